//! TOML values that know where they were written.

use std::collections::BTreeMap;
use std::fmt;

use super::origin::Origin;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub origin: Origin,
    pub value: Value,
}

/// A TOML value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Dates and times, which no option takes, as they were written.
    Date(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

/// A value that is no list and no table.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Value {
    /// The value as a scalar; `None` for lists, tables, dates and numbers that are not finite.
    #[must_use]
    pub fn scalar(&self) -> Option<Scalar> {
        match self {
            Self::Bool(flag) => Some(Scalar::Bool(*flag)),
            #[expect(clippy::cast_precision_loss, reason = "numbers of a configuration are small")]
            Self::Int(number) => Some(Scalar::Number(*number as f64)),
            Self::Float(number) => number.is_finite().then_some(Scalar::Number(*number)),
            Self::Text(text) => Some(Scalar::Text(text.clone())),
            Self::Date(_) | Self::List(_) | Self::Table(_) => None,
        }
    }
}

/// As TOML, on one line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Date(date) => f.write_str(date),
            Self::List(list) => {
                let items: Vec<_> = list.iter().map(|node| node.value.to_string()).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Table(table) => {
                let item = |(key, node): (&String, &Node)| format!("{key} = {}", node.value);
                let items: Vec<_> = table.iter().map(item).collect();
                write!(f, "{{ {} }}", items.join(", "))
            }
        }
    }
}
