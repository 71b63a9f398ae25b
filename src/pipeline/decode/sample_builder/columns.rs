//! Whole inputs that are objects of numbers and arrays.

use super::super::samples::ValueOrder;
use super::SampleBuilder;
use crate::pipeline::reject::Reject;

impl SampleBuilder<'_> {
    /// Begins a whole input that is an object of numbers and arrays.
    pub(in crate::pipeline::decode) fn begin_columns(&mut self) -> Result<(), Reject> {
        self.has_names()?;
        self.begin()?;
        self.out.order = ValueOrder::Columns;
        self.out.spans.resize(self.schema.fields.len(), 0..0);
        Ok(())
    }

    pub(in crate::pipeline::decode) fn open_column(&mut self, field: usize) {
        let at = self.out.values.len();
        if let Some(span) = self.out.spans.get_mut(field) {
            *span = at..at;
        }
    }

    pub(in crate::pipeline::decode) fn push_column(
        &mut self,
        field: usize,
        value: f64,
    ) -> Result<(), Reject> {
        let value = self.finite(field, value)?;
        self.out.values.push(value);
        let end = self.out.values.len();
        if let Some(span) = self.out.spans.get_mut(field) {
            span.end = end;
        }
        Ok(())
    }

    pub(in crate::pipeline::decode) fn end_columns(&mut self) -> Result<(), Reject> {
        self.in_sample = false;
        if self.schema.missing.is_some() {
            return self.settle_columns();
        }
        let empty = self.out.spans.iter().zip(&self.schema.fields).filter(|(s, _)| s.is_empty());
        let fields: Vec<String> = empty.map(|(_, name)| name.clone()).collect();
        if fields.is_empty() {
            return Ok(());
        }
        Err(Reject::MissingField { fields, option: "payload.fields" })
    }
}
