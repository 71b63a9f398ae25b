//! Reads options from a tree according to a reference. A missing or invalid value is replaced by its
//! default, and all errors are collected.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::{Problem, Problems};
use super::schema::{Checked, DefaultValue, OptionSpec};
use super::tree::{Node, Scalar, Value};

/// A table of a file, and its part of the reference.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    reference: &'a [OptionSpec],
    problems: &'a Problems,
    node: Option<&'a Node>,
    /// As in the file: `stream[1].payload`.
    path: String,
    /// As in the reference: `stream[].payload`.
    pattern: String,
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Section<'a> {
    /// The whole file. Unknown keys are reported here, at any depth.
    #[must_use]
    pub fn root(reference: &'a [OptionSpec], node: &'a Node, problems: &'a Problems) -> Self {
        super::unknown::report(reference, node, problems);
        let (path, pattern) = (String::new(), String::new());
        Self { reference, problems, node: Some(node), path, pattern }
    }

    /// A table in this one; empty where it is absent.
    #[must_use]
    pub fn section(&self, key: &str) -> Self {
        let node = self.node.and_then(|node| node.get(key));
        let path = join(&self.path, key);
        if let Some(node) = node.filter(|node| !matches!(node.value, Value::Table(_))) {
            self.wrong(node, &path, "not a table", format!("[{path}]"));
        }
        Self { node, path, pattern: join(&self.pattern, key), ..self.clone() }
    }

    /// The tables of an array, `[[key]]`.
    #[must_use]
    pub fn sections(&self, key: &str) -> Vec<Self> {
        let path = join(&self.path, key);
        let pattern = join(&self.pattern, &format!("{key}[]"));
        let Some(node) = self.node.and_then(|node| node.get(key)) else { return Vec::new() };
        let Value::List(list) = &node.value else {
            self.wrong(node, &path, "not a list of tables", format!("[[{path}]]"));
            return Vec::new();
        };
        let element = |(index, node): (usize, &'a Node)| {
            let path = format!("{path}[{index}]");
            if !matches!(node.value, Value::Table(_)) {
                self.wrong(node, &path, "not a table", format!("[[{key}]]"));
            }
            Self { node: Some(node), path, pattern: pattern.clone(), ..self.clone() }
        };
        list.iter().enumerate().map(element).collect()
    }

    /// Whether the option or table was written at all.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.node.is_some_and(|node| node.get(key).is_some())
    }

    /// Reports an option whose value has the right type and is wrong all the same.
    pub fn problem(&self, key: &str, reason: impl Into<String>, allowed: impl Into<String>) {
        let node = self.node.and_then(|node| node.get(key));
        let table = self.node.map(|node| node.origin.clone());
        self.problems.add(Problem {
            origin: node.map(|node| node.origin.clone()).or(table),
            path: join(&self.path, key),
            value: node.map(|node| node.value.clone()),
            reason: reason.into(),
            allowed: allowed.into(),
        });
    }

    fn wrong(&self, node: &Node, path: &str, reason: &str, allowed: String) {
        self.problems.add(Problem {
            origin: Some(node.origin.clone()),
            path: path.to_owned(),
            value: Some(node.value.clone()),
            reason: reason.to_owned(),
            allowed,
        });
    }

    /// The option's checked value, its default, or nothing.
    fn read(&self, key: &str) -> Option<Checked> {
        let path = join(&self.pattern, key);
        let opt = self.reference.iter().find(|opt| opt.path == path);
        debug_assert!(opt.is_some(), "{path} is read and not in the reference");
        let opt = opt?;
        if let Some(node) = self.node.and_then(|node| node.get(key)) {
            match opt.kind.check(&node.value) {
                Ok(checked) => return Some(checked),
                Err(reason) => self.problem(key, reason, opt.kind.to_string()),
            }
        } else if matches!(opt.default, DefaultValue::Required) {
            self.problem(key, "missing", opt.kind.to_string());
        }
        opt.kind.check(&opt.default_value()?.value).ok()
    }

    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.read(key), Some(Checked::Bool(true)))
    }

    /// A whole number; the reference's bounds fit `T`.
    #[must_use]
    pub fn int<T: TryFrom<i64> + Default>(&self, key: &str) -> T {
        self.int_if(key).unwrap_or_default()
    }

    #[must_use]
    pub fn int_if<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        match self.read(key)? {
            Checked::Int(number) => T::try_from(number).ok(),
            _ => None,
        }
    }

    #[must_use]
    pub fn float_if(&self, key: &str) -> Option<f64> {
        match self.read(key)? {
            Checked::Float(number) => Some(number),
            _ => None,
        }
    }

    #[must_use]
    pub fn duration(&self, key: &str) -> Duration {
        self.duration_if(key).unwrap_or_default()
    }

    #[must_use]
    pub fn duration_if(&self, key: &str) -> Option<Duration> {
        match self.read(key)? {
            Checked::Duration(duration) => Some(duration),
            _ => None,
        }
    }

    /// A number of bytes; the reference's bounds fit `T`.
    #[must_use]
    pub fn size<T: TryFrom<u64> + Default>(&self, key: &str) -> T {
        match self.read(key) {
            Some(Checked::Size(bytes)) => T::try_from(bytes).unwrap_or_default(),
            _ => T::default(),
        }
    }

    #[must_use]
    pub fn text(&self, key: &str) -> String {
        self.text_if(key).unwrap_or_default()
    }

    #[must_use]
    pub fn text_if(&self, key: &str) -> Option<String> {
        match self.read(key)? {
            Checked::Text(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn path_if(&self, key: &str) -> Option<PathBuf> {
        self.text_if(key).map(PathBuf::from)
    }

    /// Empty where the option is absent.
    #[must_use]
    pub fn strings(&self, key: &str) -> Vec<String> {
        match self.read(key) {
            Some(Checked::Strings(strings)) => strings,
            _ => Vec::new(),
        }
    }

    /// As [`Section::floats`], in 64 bits.
    #[must_use]
    pub fn numbers(&self, key: &str) -> Vec<f64> {
        match self.read(key) {
            Some(Checked::Floats(floats)) => floats,
            _ => Vec::new(),
        }
    }

    /// Empty where the option is absent; one number stands for a list of one.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "models compute in f32")]
    pub fn floats(&self, key: &str) -> Vec<f32> {
        match self.read(key) {
            Some(Checked::Floats(floats)) => floats.iter().map(|&x| x as f32).collect(),
            _ => Vec::new(),
        }
    }

    /// Floats of double precision, which hold integers up to 2^53.
    #[must_use]
    pub fn doubles(&self, key: &str) -> Vec<f64> {
        match self.read(key) {
            Some(Checked::Floats(floats)) => floats,
            _ => Vec::new(),
        }
    }

    #[must_use]
    pub fn counts(&self, key: &str) -> Vec<(String, usize)> {
        match self.read(key) {
            Some(Checked::Counts(counts)) => counts,
            _ => Vec::new(),
        }
    }

    /// The values of a table by its keys; the key of a value without a table is empty.
    #[must_use]
    pub fn scalars(&self, key: &str) -> Vec<(String, Vec<Scalar>)> {
        match self.read(key) {
            Some(Checked::Scalars(scalars)) => scalars,
            _ => Vec::new(),
        }
    }

    /// A text with a form of its own; what `parse` refuses is reported with its words.
    pub fn parsed<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(&self.text_if(key)?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.problem(key, why.to_string(), self.allowed(key));
                None
            }
        }
    }

    /// The same for an option that may be absent.
    pub fn parsed_if<T, E: Display>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.has(key).then(|| self.parsed(key, parse)).flatten()
    }

    /// One of the reference's words, as what it stands for; `None` only after a problem.
    pub fn choice<T: Copy>(&self, key: &str, meanings: &[(&str, T)]) -> Option<T> {
        let word = self.text_if(key)?;
        meanings.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
    }

    fn allowed(&self, key: &str) -> String {
        let path = join(&self.pattern, key);
        self.reference
            .iter()
            .find(|o| o.path == path)
            .map_or_else(String::new, |o| o.kind.to_string())
    }
}
