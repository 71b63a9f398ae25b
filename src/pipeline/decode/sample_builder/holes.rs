//! Samples that lack numbers. NaN stands for a number that is missing.

use super::SampleBuilder;
use crate::config::Missing;
use crate::pipeline::reject::Reject;

impl SampleBuilder<'_> {
    /// The number, or NaN where it is one that stands for none and the field's rule allows that.
    #[cold]
    pub(super) fn number_or_hole(&self, place: usize, value: f64) -> Result<f64, Reject> {
        let is_finite = value.abs() <= f64::from(f32::MAX);
        let Some(missing) = &self.schema.missing else {
            return Err(Reject::NotFinite { field: self.field_name(place) });
        };
        if is_finite && !missing.is_number_of_none(value) {
            return Ok(value);
        }
        match missing.of(self.field_of(place)) {
            Missing::Reject if is_finite => Err(self.missing_fields(vec![self.field_name(place)])),
            Missing::Reject => Err(Reject::NotFinite { field: self.field_name(place) }),
            _ => Ok(f64::NAN),
        }
    }

    /// The field that a number of a sample belongs to; `None` where a whole input has several
    /// numbers for each field.
    pub(in crate::pipeline::decode) fn field_of(&self, place: usize) -> Option<usize> {
        let by_place = !self.schema.whole || self.schema.width == self.schema.fields.len();
        by_place.then_some(place)
    }

    /// The place of the next number that comes by position.
    pub(in crate::pipeline::decode) fn position(&self) -> usize {
        self.out.values.len().saturating_sub(self.row)
    }

    pub(super) fn missing_fields(&self, fields: Vec<String>) -> Reject {
        Reject::MissingField { fields, option: "payload.fields" }
    }

    /// Decides what becomes of the sample that was read last and lacks numbers.
    pub(super) fn settle_holes(&mut self) -> Result<(), Reject> {
        let row = self.out.values.get(self.row..).unwrap_or_default();
        let missing = self.schema.missing.as_ref();
        let rule = |place: usize| {
            missing.map_or(Missing::Reject, |missing| missing.of(self.field_of(place)))
        };
        let holes = || row.iter().enumerate().filter(|(_, value)| value.is_nan());
        let rejected = holes().filter(|(place, _)| rule(*place) == Missing::Reject);
        let rejected: Vec<_> = rejected.map(|(place, _)| self.field_name(place)).collect();
        if !rejected.is_empty() {
            return Err(self.missing_fields(rejected));
        }
        let skips = holes().any(|(place, _)| rule(place) == Missing::Skip);
        if self.schema.whole {
            self.is_passed_over |= skips;
            self.out.has_holes = true;
        } else if skips || holes().count() == row.len() {
            self.pass_over();
        } else {
            self.out.has_holes = true;
        }
        Ok(())
    }

    /// Adds a sample that has no number at all: rejected, or passed over where numbers may be
    /// missing.
    pub(in crate::pipeline::decode) fn add_empty_sample(&mut self) -> Result<(), Reject> {
        self.begin_named()?;
        if self.schema.whole {
            self.in_rows();
        }
        self.end_named()
    }

    /// Takes back the sample that was read last, and counts it.
    fn pass_over(&mut self) {
        self.out.values.truncate(self.row);
        let _time = self.out.times.pop();
        self.out.devices.drop_sample();
        self.out.skipped = self.out.skipped.saturating_add(1);
        self.in_sample = false;
    }

    /// The same for all samples of a payload whose numbers are there at once.
    pub(super) fn settle_all(&mut self) -> Result<(), Reject> {
        let values = std::mem::take(&mut self.out.values);
        for row in values.chunks(self.schema.width.max(1)) {
            self.begin()?;
            row.iter().try_for_each(|value| self.push(*value))?;
            self.end_positions()?;
        }
        Ok(())
    }

    /// The same for a whole input by field: a field that is not there becomes holes.
    pub(super) fn settle_columns(&mut self) -> Result<(), Reject> {
        let fields = self.schema.fields.len().max(1);
        let each = (self.schema.width / fields).max(1);
        let mut rejected = Vec::new();
        for field in 0..self.schema.fields.len() {
            let rule = self.schema.missing.as_ref().map(|missing| missing.of(Some(field)));
            let span = self.out.spans.get(field).cloned().unwrap_or_default();
            let values = self.out.values.get(span.clone()).unwrap_or_default();
            if !span.is_empty() && !values.iter().any(|value| value.is_nan()) {
                continue;
            }
            self.out.has_holes = true;
            match rule {
                None | Some(Missing::Reject) => rejected.push(self.field_name(field)),
                Some(Missing::Skip) => self.is_passed_over = true,
                Some(_) => {}
            }
            if span.is_empty() {
                self.open_column(field);
                for _ in 0..each {
                    self.out.values.push(f64::NAN);
                }
                let end = self.out.values.len();
                if let Some(span) = self.out.spans.get_mut(field) {
                    span.end = end;
                }
            }
        }
        if rejected.is_empty() { Ok(()) } else { Err(self.missing_fields(rejected)) }
    }

    /// Whether samples were passed over and none is left; a whole input is one sample.
    pub(super) fn is_nothing_left(&mut self) -> bool {
        let is_whole = self.schema.whole && !self.out.values.is_empty();
        if is_whole && (self.is_passed_over || self.out.values.iter().all(|v| v.is_nan())) {
            self.out.clear();
            self.out.skipped = 1;
        }
        self.out.values.is_empty() && self.out.skipped > 0
    }
}
