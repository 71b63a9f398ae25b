//! What stands for the numbers that a device's samples lack.

use std::time::Duration;

use super::decode::{MissingPlan, Samples, ValueOrder};
use super::reject::Reject;
use crate::config::Missing;

/// The last number of each field of a device, with the time of its sample in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HeldValues(Vec<Option<(f64, i64)>>);

impl HeldValues {
    /// Takes up the numbers of a sample; those that are NaN stay as they were.
    fn note(&mut self, sample: &[f64], at: i64) {
        if self.0.len() != sample.len() {
            self.0.clear();
            self.0.resize(sample.len(), None);
        }
        for (held, value) in self.0.iter_mut().zip(sample).filter(|(_, value)| !value.is_nan()) {
            *held = Some((*value, at));
        }
    }

    /// Starts with the sample that a device had last before a restart.
    pub(super) fn restore(&mut self, sample: &[f64], at: i64) {
        self.0.clear();
        self.note(sample, at);
    }

    /// The number of a field that was there at most `hold` ago.
    fn get(&self, place: usize, at: i64, hold: Duration) -> Option<f64> {
        let (value, then) = (*self.0.get(place)?)?;
        let age = Duration::from_micros(u64::try_from(at.saturating_sub(then)).unwrap_or(0));
        (age <= hold).then_some(value)
    }
}

/// Puts numbers in the place of those that samples lack.
#[derive(Clone, Debug)]
pub(super) struct HoleFiller {
    plan: Option<MissingPlan>,
    hold: Duration,
    fields: Vec<String>,
    /// Numbers in a sample, or in a whole input.
    width: usize,
    row: Vec<f64>,
}

impl HoleFiller {
    pub(super) fn new(
        plan: Option<MissingPlan>,
        hold: Duration,
        fields: Vec<String>,
        width: usize,
    ) -> Self {
        Self { plan, hold, fields, width, row: Vec::new() }
    }

    /// Whether numbers of devices are kept for later samples.
    pub(super) fn holds(&self) -> bool {
        self.plan.as_ref().is_some_and(MissingPlan::holds)
    }

    /// The sample with a number for each one that it lacks. `at` is its time in microseconds, by the
    /// clock of all samples of this device.
    ///
    /// # Errors
    /// A number to be held that was not there for too long.
    pub(super) fn fill<'a>(
        &'a mut self,
        sample: &'a [f64],
        held: &mut HeldValues,
        at: i64,
    ) -> Result<&'a [f64], Reject> {
        // A whole input may have several numbers of each field, in an unknown order.
        let by_place = self.width == self.fields.len();
        self.fill_by(sample, held, at, |place| by_place.then_some(place))
    }

    fn fill_by<'a>(
        &'a mut self,
        sample: &'a [f64],
        held: &mut HeldValues,
        at: i64,
        field_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<&'a [f64], Reject> {
        if self.plan.is_none() {
            return Ok(sample);
        }
        if self.holds() {
            held.note(sample, at);
        }
        if !sample.iter().any(|value| value.is_nan()) {
            return Ok(sample);
        }
        self.row.clear();
        for (place, value) in sample.iter().enumerate() {
            let stand_in = || self.stand_in(place, field_of(place), held, at);
            let value = if value.is_nan() { stand_in()? } else { *value };
            self.row.push(value);
        }
        Ok(&self.row)
    }

    /// The same for a whole input, in place.
    ///
    /// # Errors
    /// As [`HoleFiller::fill`].
    pub(super) fn fill_whole(
        &mut self,
        samples: &mut Samples,
        held: &mut HeldValues,
        at: i64,
    ) -> Result<(), Reject> {
        if self.plan.is_none() || !(samples.has_holes || self.holds()) {
            return Ok(());
        }
        if samples.order == ValueOrder::Columns {
            return self.fill_columns(samples, held, at);
        }
        let _filled = self.fill(&samples.values, held, at)?;
        if samples.has_holes {
            samples.values.clone_from(&self.row);
        }
        Ok(())
    }

    /// A whole input by field: the fields' numbers one after the other.
    fn fill_columns(
        &mut self,
        samples: &mut Samples,
        held: &mut HeldValues,
        at: i64,
    ) -> Result<(), Reject> {
        let (mut numbers, mut fields) = (Vec::new(), Vec::new());
        for (field, span) in samples.spans.iter().enumerate() {
            numbers.extend_from_slice(samples.values.get(span.clone()).unwrap_or_default());
            fields.resize(numbers.len(), field);
        }
        let mut filled =
            self.fill_by(&numbers, held, at, |place| fields.get(place).copied())?.iter();
        for span in &samples.spans {
            let values = samples.values.get_mut(span.clone()).unwrap_or_default();
            for (value, filled) in values.iter_mut().zip(&mut filled) {
                *value = *filled;
            }
        }
        Ok(())
    }

    /// What stands for the number at a place.
    fn stand_in(
        &self,
        place: usize,
        field: Option<usize>,
        held: &HeldValues,
        at: i64,
    ) -> Result<f64, Reject> {
        match self.plan.as_ref().map(|plan| plan.of(field)) {
            Some(Missing::Value(value)) => Ok(value),
            Some(Missing::Hold) => held.get(place, at, self.hold).ok_or_else(|| {
                let name = field.and_then(|field| self.fields.get(field));
                let field = name.map_or_else(|| format!("element {place}"), Clone::clone);
                Reject::NothingHeld { field, hold: self.hold }
            }),
            // Others have been settled by the decoder.
            Some(Missing::Nan | Missing::Reject | Missing::Skip) | None => Ok(f64::NAN),
        }
    }
}
