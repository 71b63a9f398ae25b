//! Declared inputs and outputs, and the operator sets of a model.

use super::element_type::ElementType;

/// An input or output as a graph declares it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct ValueInfo {
    pub name: String,
    /// None if the value is not a tensor, or has no declared type.
    pub tensor: Option<TensorType>,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct TensorType {
    pub element: ElementType,
    /// None if not even the number of axes is known.
    pub shape: Option<Vec<Dimension>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) enum Dimension {
    /// A size as the file has it, which may be zero or negative.
    Fixed(i64),
    Named(String),
    Unknown,
}

impl ValueInfo {
    /// A value without a declared type.
    pub(in crate::engine) fn untyped(name: &str) -> Self {
        Self { name: name.to_owned(), tensor: None }
    }

    /// A tensor of a fixed shape.
    pub(in crate::engine) fn tensor(name: &str, element: ElementType, shape: &[usize]) -> Self {
        let size = |&d: &usize| Dimension::Fixed(i64::try_from(d).unwrap_or(i64::MAX));
        let shape = Some(shape.iter().map(size).collect());
        Self { name: name.to_owned(), tensor: Some(TensorType { element, shape }) }
    }
}

/// The operator sets that a model imports: domain and version of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::engine) struct OperatorSets(pub Vec<(String, i64)>);

impl OperatorSets {
    /// The versions given for the standard operators; more than one only in a malformed model.
    pub(in crate::engine) fn standard(&self) -> impl Iterator<Item = i64> {
        let is_standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        self.0.iter().filter(move |(domain, _)| is_standard(domain)).map(|(_, version)| *version)
    }
}
