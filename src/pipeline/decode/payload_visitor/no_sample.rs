//! Messages that are no sample: a word where an object with fields is wanted.

use super::PayloadVisitor;
use crate::pipeline::reject::Reject;

impl PayloadVisitor<'_, '_> {
    /// Whether a text in place of a sample of several fields has nothing of a sample, as a message on
    /// a device's state.
    pub(super) fn is_no_sample(&self, text: &str) -> bool {
        let schema = self.builder.schema;
        let has_rules = schema.missing.is_some() && schema.width > 1;
        has_rules
            && schema.envelope.is_none()
            && !text.is_empty()
            && !text.contains(|c: char| c.is_ascii_digit() || "{}[]<>".contains(c))
    }

    /// Takes the value at hand for an object with none of the fields.
    pub(super) fn no_fields(&mut self) -> Result<(), Reject> {
        if self.builder.schema.whole {
            self.builder.begin_columns()?;
            return self.builder.end_columns();
        }
        self.builder.begin_named()?;
        self.builder.end_named()
    }
}
