//! Errors in a configuration file, collected so that one run reports all of them.

use std::cell::RefCell;
use std::fmt;

use super::origin::Origin;
use super::value::Value;

/// One error.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// `None` where nothing was written.
    pub origin: Option<Origin>,
    /// Of the option, e.g. `stream[1].payload.fields`.
    pub path: String,
    pub value: Option<Value>,
    pub reason: String,
    /// The allowed values, in words; may be empty.
    pub allowed: String,
}

/// The problems found so far. Shared by everything that reads one configuration.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Sorted by file and line. Errors without a place come last.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| match &problem.origin {
            Some(Origin::File { name, line }) => (0, Some(name.clone()), *line),
            Some(Origin::Other(name)) => (1, Some(name.clone()), 0),
            None => (2, None, 0),
        });
        problems
    }
}

/// The longest value that is quoted in full.
const MAX_QUOTED_LEN: usize = 80;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        match (&*self.path, &self.value) {
            ("", _) => {}
            (path, None) => write!(f, "{path}: ")?,
            (path, Some(value)) => {
                let value = value.to_string();
                let cut: String = value.chars().take(MAX_QUOTED_LEN).collect();
                let dots = if cut.len() < value.len() { "…" } else { "" };
                write!(f, "{path} = {cut}{dots}: ")?;
            }
        }
        f.write_str(&self.reason)?;
        if self.allowed.is_empty() { Ok(()) } else { write!(f, "; allowed: {}", self.allowed) }
    }
}

/// `{"place","path","value","reason","allowed"}`
impl serde::Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut out = serializer.serialize_struct("Problem", 5)?;
        out.serialize_field("place", &self.origin.as_ref().map(Origin::to_string))?;
        out.serialize_field("path", &self.path)?;
        out.serialize_field("value", &self.value.as_ref().map(Value::to_string))?;
        out.serialize_field("reason", &self.reason)?;
        out.serialize_field("allowed", &self.allowed)?;
        out.end()
    }
}
