//! TOML as it was written: values that know the file and line they stand in, merged from several
//! files and the environment before anything is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::origin::Origin;
use super::problem::{Problem, Problems};
pub use super::value::{Node, Scalar, Value};

impl Node {
    /// An empty table, as an empty file is.
    #[must_use]
    pub fn empty(origin: Origin) -> Self {
        Self { origin, value: Value::Table(BTreeMap::new()) }
    }

    /// Parses a file's text. What is not TOML is reported, and the rest is kept.
    #[must_use]
    pub fn parse(name: &str, text: &str, problems: &Problems) -> Self {
        let file = File::new(name, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            problems.add(Problem {
                origin: Some(file.origin(error.span().map_or(0, |span| span.start))),
                path: String::new(),
                value: None,
                reason: format!("not TOML: {}", error.message()),
                allowed: String::new(),
            });
        }
        Self { origin: file.origin(0), value: file.table(table.get_ref()) }
    }

    /// Parses one value; `None` where it is not TOML.
    #[must_use]
    pub fn value(text: &str, origin: &Origin) -> Option<Self> {
        let value = DeValue::parse(text).ok()?;
        let value = File::new("", text).value(value.get_ref());
        Some(Self { origin: origin.clone(), value })
    }

    /// Puts `later` over this: tables are merged, lists of tables are appended to, anything else
    /// is replaced.
    pub fn merge(&mut self, later: Self) {
        match (&mut self.value, later.value) {
            (Value::Table(ours), Value::Table(theirs)) => {
                for (key, node) in theirs {
                    match ours.get_mut(&key) {
                        Some(ours) => ours.merge(node),
                        None => _ = ours.insert(key, node),
                    }
                }
            }
            (Value::List(ours), Value::List(theirs)) if are_tables(ours) && are_tables(&theirs) => {
                ours.extend(theirs);
            }
            (ours, theirs) => {
                *ours = theirs;
                self.origin = later.origin;
            }
        }
    }

    /// The member of a table.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(table) => table.get(key),
            _ => None,
        }
    }

    /// The place at `path`, tables made on the way; a number is a place in a list that is there.
    /// `None`, with nothing made, where a list is shorter or a value that is no table is in the way.
    pub fn place(&mut self, path: &[&str], origin: &Origin) -> Option<&mut Self> {
        let Some((key, rest)) = path.split_first() else { return Some(self) };
        let place = key.parse::<usize>().ok();
        match &mut self.value {
            Value::List(list) => list.get_mut(place?)?.place(rest, origin),
            Value::Table(table) if place.is_none() => {
                let before_list = rest.first().is_some_and(|next| next.parse::<usize>().is_ok());
                if before_list && !table.contains_key(*key) {
                    return None;
                }
                let made = || Self::empty(origin.clone());
                table.entry((*key).to_owned()).or_insert_with(made).place(rest, origin)
            }
            _ => None,
        }
    }
}

fn are_tables(list: &[Node]) -> bool {
    list.iter().all(|node| matches!(node.value, Value::Table(_)))
}

/// What a span is resolved against.
struct File {
    name: Arc<str>,
    /// Offsets at which lines end.
    ends: Vec<usize>,
}

impl File {
    fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), ends: text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = 1 + self.ends.partition_point(|&end| end < offset);
        Origin::File { name: self.name.clone(), line }
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let node = |key: &Spanned<_>, value: &Spanned<DeValue<'_>>| Node {
            // A table's own span is its header; a value's line is that of its key.
            origin: self.origin(key.span().start),
            value: self.value(value.get_ref()),
        };
        let entries = table.iter();
        Value::Table(entries.map(|(key, v)| (key.get_ref().to_string(), node(key, v))).collect())
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::Float(f64::INFINITY), Value::Int),
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(list) => Value::List(
                list.iter()
                    .map(|item| Node {
                        origin: self.origin(item.span().start),
                        value: self.value(item.get_ref()),
                    })
                    .collect(),
            ),
            DeValue::Table(table) => self.table(table),
        }
    }
}
