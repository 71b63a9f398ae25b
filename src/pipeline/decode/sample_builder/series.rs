//! Samples that come as an array for each field.

use super::super::samples::{MAX_SAMPLES, MAX_VALUES};
use super::{MISSING, SampleBuilder};
use crate::clock::Timestamp;
use crate::pipeline::reject::{Got, Reject};

/// The arrays of a message.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// By field; `None` where the message has no array for it.
    columns: Vec<Option<Vec<f64>>>,
    times: Option<Vec<Timestamp>>,
}

impl SampleBuilder<'_> {
    /// Begins the array of a field.
    pub(in crate::pipeline::decode) fn open_series(&mut self, field: usize) -> Result<(), Reject> {
        if field >= self.schema.width {
            return Err(self.wrong_length(format!("at least {}", field.saturating_add(1))));
        }
        let columns = &mut self.series.get_or_insert_default().columns;
        columns.resize(columns.len().max(field.saturating_add(1)), None);
        if let Some(column) = columns.get_mut(field) {
            *column = Some(Vec::new());
        }
        Ok(())
    }

    /// Adds a number to the array of a field.
    pub(in crate::pipeline::decode) fn push_series(
        &mut self,
        field: usize,
        value: f64,
    ) -> Result<(), Reject> {
        let value = self.finite(field, value)?;
        let series = self.series.get_or_insert_default();
        if let Some(Some(column)) = series.columns.get_mut(field) {
            if column.len() >= MAX_SAMPLES {
                return Err(Reject::TooManySamples { max: MAX_SAMPLES });
            }
            column.push(value);
        }
        Ok(())
    }

    /// Begins the array of the times.
    pub(in crate::pipeline::decode) fn open_time_series(&mut self) {
        self.series.get_or_insert_default().times = Some(Vec::new());
    }

    /// Adds a time to the array of the times.
    pub(in crate::pipeline::decode) fn push_time(
        &mut self,
        at: Option<Timestamp>,
        got: impl FnOnce() -> String,
    ) -> Result<(), Reject> {
        let time = self.plausible(at, got)?;
        if let Some(times) = &mut self.series.get_or_insert_default().times {
            if times.len() >= MAX_SAMPLES {
                return Err(Reject::TooManySamples { max: MAX_SAMPLES });
            }
            times.push(time);
        }
        Ok(())
    }

    /// Begins the message that is an array of an array for each field, unless it is open.
    pub(in crate::pipeline::decode) fn begin_arrays(&mut self) -> Result<(), Reject> {
        if self.series.is_none() {
            self.begin()?;
            let _series = self.series.get_or_insert_default();
        }
        Ok(())
    }

    /// Makes samples of the arrays: one for each place. Numbers that are no arrays have no place.
    pub(super) fn end_series(&mut self, series: Series) -> Result<(), Reject> {
        let Series { columns, times } = series;
        let Some(rows) = columns.iter().flatten().map(Vec::len).max() else {
            return Err(self.bad_time("an array".to_owned()));
        };
        let alone = self.out.values.get(self.row..).unwrap_or_default();
        if alone.iter().any(|value| !value.is_nan()) {
            let field = columns.iter().position(Option::is_some).unwrap_or_default();
            return Err(Reject::NotANumber { field: self.field_name(field), got: Got::Array });
        }
        let lengths = columns.iter().flatten().map(Vec::len).chain(times.iter().map(Vec::len));
        if let Some(other) = lengths.into_iter().find(|len| *len != rows) {
            let (what, got) = ("numbers in a field", other.to_string());
            let expected = format!("{rows}, as in the other fields");
            return Err(Reject::WrongLength { what, got, expected, hint: "" });
        }
        let before = self.out.times.len();
        if before.saturating_add(rows) > MAX_SAMPLES
            || self.row.saturating_add(rows.saturating_mul(self.schema.width)) > MAX_VALUES
        {
            return Err(Reject::TooManySamples { max: MAX_SAMPLES });
        }
        let time = self.out.times.pop().flatten();
        self.out.values.truncate(self.row);
        self.out.devices.repeat_sample(rows);
        for row in 0..rows {
            self.row = self.out.values.len();
            let own = times.as_ref().and_then(|times| times.get(row)).copied();
            self.out.times.push(own.or(time));
            for field in 0..self.schema.width {
                let column = columns.get(field).and_then(Option::as_ref);
                let value = column.and_then(|column| column.get(row)).copied();
                self.out.values.push(value.unwrap_or(MISSING));
            }
            let values = self.out.values.get(self.row..).unwrap_or_default();
            if values.iter().any(|value| value.is_nan()) {
                self.settle_holes()?;
            }
        }
        Ok(())
    }
}
