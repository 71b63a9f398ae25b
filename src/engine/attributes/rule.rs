//! Which values of an attribute are honoured.

use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};

/// An attribute, the values of it that are honoured, and the last opset that has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub name: &'static str,
    pub rule: Rule,
    pub until: i64,
}

/// The type of an attribute, and its values where not all are honoured.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Int,
    IntOf(&'static [i64]),
    Ints,
    Float,
    Floats,
    /// A list of floats that must be empty.
    NoFloats,
    Text,
    TextOf(&'static [&'static str]),
    Texts,
    Tensor,
    Graph,
}

impl Attribute {
    pub(super) const fn new(name: &'static str, rule: Rule) -> Self {
        Self { name, rule, until: i64::MAX }
    }

    /// Only these numbers.
    pub(super) const fn only(self, values: &'static [i64]) -> Self {
        Self { rule: Rule::IntOf(values), ..self }
    }

    /// Only an empty list.
    pub(super) const fn empty(self) -> Self {
        Self { rule: Rule::NoFloats, ..self }
    }

    /// Later opsets do not have it.
    pub(super) const fn until(self, until: i64) -> Self {
        Self { until, ..self }
    }
}

pub(super) const fn int(name: &'static str) -> Attribute {
    Attribute::new(name, Rule::Int)
}

pub(super) const fn ints(name: &'static str) -> Attribute {
    Attribute::new(name, Rule::Ints)
}

pub(super) const fn float(name: &'static str) -> Attribute {
    Attribute::new(name, Rule::Float)
}

pub(super) const fn floats(name: &'static str) -> Attribute {
    Attribute::new(name, Rule::Floats)
}

pub(super) const fn text(name: &'static str, values: &'static [&'static str]) -> Attribute {
    Attribute::new(name, Rule::TextOf(values))
}

pub(super) const fn texts(name: &'static str) -> Attribute {
    Attribute::new(name, Rule::Texts)
}

pub(super) const fn tensor(name: &'static str) -> Attribute {
    Attribute::new(name, Rule::Tensor)
}

pub(super) const fn graph(name: &'static str) -> Attribute {
    Attribute::new(name, Rule::Graph)
}

impl Rule {
    fn kind(self) -> AttributeType {
        match self {
            Self::Int | Self::IntOf(_) => AttributeType::Int,
            Self::Ints => AttributeType::Ints,
            Self::Float => AttributeType::Float,
            Self::Floats | Self::NoFloats => AttributeType::Floats,
            Self::Text | Self::TextOf(_) => AttributeType::String,
            Self::Texts => AttributeType::Strings,
            Self::Tensor => AttributeType::Tensor,
            Self::Graph => AttributeType::Graph,
        }
    }

    /// Why `attribute` is not honoured, where it is not.
    pub(super) fn refusal(self, attribute: &AttributeProto) -> Option<String> {
        let name = &attribute.name;
        if attribute.r#type != self.kind() as i32 {
            let kind = self.kind().as_str_name();
            return Some(format!(
                "its attribute {name} is not of the type {kind} that ONNX gives it"
            ));
        }
        let (honoured, only) = match self {
            Self::IntOf(values) => (values.contains(&attribute.i), listed(values)),
            Self::TextOf(values) => {
                let found = values.iter().any(|v| v.as_bytes() == attribute.s);
                (found, listed(values))
            }
            Self::NoFloats => (attribute.floats.is_empty(), "an empty list".to_owned()),
            _ => (true, String::new()),
        };
        let value = shown(attribute);
        (!honoured).then(|| format!("its attribute {name} = {value} is not supported, only {only}"))
    }
}

fn listed<T: std::fmt::Debug>(values: &[T]) -> String {
    let all: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
    all.join(" or ")
}

/// The value of an attribute for messages, in a line.
pub(super) fn shown(attribute: &AttributeProto) -> String {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let all = match AttributeType::try_from(attribute.r#type) {
        Ok(AttributeType::Int) => attribute.i.to_string(),
        Ok(AttributeType::Float) => attribute.f.to_string(),
        Ok(AttributeType::String) => format!("{:?}", text(&attribute.s)),
        Ok(AttributeType::Ints) => format!("{:?}", attribute.ints),
        Ok(AttributeType::Floats) => format!("{:?}", attribute.floats),
        Ok(AttributeType::Strings) => {
            format!("{:?}", attribute.strings.iter().map(text).collect::<Vec<_>>())
        }
        _ => "(a tensor or graph)".to_owned(),
    };
    match all.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", all.get(..end).unwrap_or_default()),
        None => all,
    }
}
