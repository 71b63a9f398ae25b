//! Fields without a number, and what stands for them.

use crate::config::{Missing, MissingRules};

/// The rules of a stream's fields, in the order of the fields.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::pipeline) struct MissingPlan {
    /// Of numbers that belong to no field by name.
    default: Missing,
    fields: Vec<Missing>,
    /// In lower case.
    words: Vec<String>,
    numbers: Vec<f64>,
}

impl MissingPlan {
    /// `None` where every hole is a reason to reject.
    pub(super) fn new(rules: &MissingRules, fields: &[String]) -> Option<Self> {
        if rules.is_strict() {
            return None;
        }
        Some(Self {
            default: rules.default,
            fields: fields.iter().map(|field| rules.of(field)).collect(),
            words: rules.values.iter().map(|value| value.to_lowercase()).collect(),
            numbers: rules.values.iter().filter_map(|value| value.parse().ok()).collect(),
        })
    }

    /// The rule of a field.
    pub(in crate::pipeline) fn of(&self, field: Option<usize>) -> Missing {
        field.and_then(|field| self.fields.get(field)).copied().unwrap_or(self.default)
    }

    /// Whether numbers are kept for later samples.
    pub(in crate::pipeline) fn holds(&self) -> bool {
        self.fields.iter().chain([&self.default]).any(|rule| *rule == Missing::Hold)
    }

    /// Whether a number stands for none.
    pub(super) fn is_number_of_none(&self, value: f64) -> bool {
        self.numbers.contains(&value)
    }

    /// Whether a text stands for no number.
    pub(super) fn is_text_of_none(&self, text: &str) -> bool {
        let text = text.trim().to_lowercase();
        matches!(text.as_str(), "" | "null") || is_not_finite(&text) || self.words.contains(&text)
    }
}

/// Whether a text is NaN or an infinity, as common writers print them.
fn is_not_finite(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(|value| !value.is_finite())
        && !text.contains(|c: char| c.is_ascii_digit())
}
