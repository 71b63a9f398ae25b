//! Rules for the values of an attribute.

use crate::engine::graph::{Attribute, AttributeValue};

/// An attribute, its supported values, and the last opset that has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttributeRule {
    pub name: &'static str,
    pub rule: ValueRule,
    pub until: i64,
}

/// The type of an attribute, and its supported values if those are not all.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueRule {
    Int,
    IntOf(&'static [i64]),
    Ints,
    Float,
    Floats,
    Text,
    TextOf(&'static [&'static str]),
    Texts,
    Tensor,
    Graph,
}

impl AttributeRule {
    pub(super) const fn new(name: &'static str, rule: ValueRule) -> Self {
        Self { name, rule, until: i64::MAX }
    }

    /// Supports only these numbers.
    pub(super) const fn only(self, values: &'static [i64]) -> Self {
        Self { rule: ValueRule::IntOf(values), ..self }
    }

    /// Sets the last opset that has the attribute.
    pub(super) const fn until(self, until: i64) -> Self {
        Self { until, ..self }
    }
}

pub(super) const fn int(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Int)
}

pub(super) const fn ints(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Ints)
}

pub(super) const fn float(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Float)
}

pub(super) const fn floats(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Floats)
}

pub(super) const fn text(name: &'static str, values: &'static [&'static str]) -> AttributeRule {
    AttributeRule::new(name, ValueRule::TextOf(values))
}

pub(super) const fn texts(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Texts)
}

pub(super) const fn tensor(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Tensor)
}

pub(super) const fn graph(name: &'static str) -> AttributeRule {
    AttributeRule::new(name, ValueRule::Graph)
}

impl ValueRule {
    /// The name of the type in the ONNX specification.
    fn type_name(self) -> &'static str {
        match self {
            Self::Int | Self::IntOf(_) => "INT",
            Self::Ints => "INTS",
            Self::Float => "FLOAT",
            Self::Floats => "FLOATS",
            Self::Text | Self::TextOf(_) => "STRING",
            Self::Texts => "STRINGS",
            Self::Tensor => "TENSOR",
            Self::Graph => "GRAPH",
        }
    }

    /// Whether `value` is allowed; none if it is of another type.
    fn allows(self, value: &AttributeValue) -> Option<bool> {
        Some(match (self, value) {
            (Self::IntOf(values), AttributeValue::Int(value)) => values.contains(value),
            (Self::TextOf(values), AttributeValue::Text(value)) => {
                values.iter().any(|v| v.as_bytes() == value)
            }
            (Self::Int, AttributeValue::Int(_))
            | (Self::Ints, AttributeValue::Ints(_))
            | (Self::Float, AttributeValue::Float(_))
            | (Self::Floats, AttributeValue::Floats(_))
            | (Self::Text, AttributeValue::Text(_))
            | (Self::Texts, AttributeValue::Texts(_))
            | (Self::Tensor, AttributeValue::Tensor(_))
            | (Self::Graph, AttributeValue::Graph(_)) => true,
            _ => return None,
        })
    }

    /// Why the value of `attribute` is not supported; none if it is.
    pub(super) fn refusal(self, attribute: &Attribute) -> Option<String> {
        let name = &attribute.name;
        match self.allows(&attribute.value) {
            Some(true) => None,
            Some(false) => {
                let (value, allowed) = (display(&attribute.value), self.allowed_values());
                Some(format!("its attribute {name} = {value} is not supported, only {allowed}"))
            }
            None => {
                let kind = self.type_name();
                Some(format!("its attribute {name} is not of the type {kind} that ONNX gives it"))
            }
        }
    }

    fn allowed_values(self) -> String {
        match self {
            Self::IntOf(values) => alternatives(values),
            Self::TextOf(values) => alternatives(values),
            _ => "other values".to_owned(),
        }
    }
}

fn alternatives<T: std::fmt::Debug>(values: &[T]) -> String {
    let all: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
    all.join(" or ")
}

/// The value of an attribute for messages, in a line.
pub(super) fn display(value: &AttributeValue) -> String {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let all = match value {
        AttributeValue::Int(value) => value.to_string(),
        AttributeValue::Float(value) => value.to_string(),
        AttributeValue::Text(value) => format!("{:?}", text(value)),
        AttributeValue::Ints(values) => format!("{values:?}"),
        AttributeValue::Floats(values) => format!("{values:?}"),
        AttributeValue::Texts(values) => {
            format!("{:?}", values.iter().map(text).collect::<Vec<_>>())
        }
        _ => "(a tensor or graph)".to_owned(),
    };
    match all.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", all.get(..end).unwrap_or_default()),
        None => all,
    }
}
