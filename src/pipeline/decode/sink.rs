//! Where decoded numbers go, whatever format they came in.

use super::expect::{Expect, Order, SAMPLES_MAX, Samples};
use super::time;
use super::tree::Slot;
use crate::clock::Timestamp;
use crate::pipeline::reject::Reject;

/// What an array turned out to be, once its first element is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Array {
    Unknown,
    /// Its elements are the numbers of one sample.
    IsSample,
    /// Its elements are samples.
    OfSamples,
}

/// Takes what a format's reader finds and keeps the bounds.
pub(super) struct Sink<'a> {
    pub(super) expect: &'a Expect,
    out: &'a mut Samples,
    /// Where the sample being read begins in `out.values`.
    row: usize,
    pub(super) array: Array,
    /// Whether a sample is being read, rather than the object around the samples.
    in_sample: bool,
    /// The time of the message as a whole.
    time: Option<Timestamp>,
    /// Why the payload is refused; set before a reader's own error is raised to stop it.
    pub(super) reject: Option<Reject>,
}

/// Stands for a missing number until the sample is complete; no number that is taken is NaN.
const MISSING: f64 = f64::NAN;

impl<'a> Sink<'a> {
    pub(super) fn new(expect: &'a Expect, out: &'a mut Samples) -> Self {
        out.clear();
        let (array, in_sample) = (Array::Unknown, false);
        Self { expect, out, row: 0, array, in_sample, time: None, reject: None }
    }

    pub(super) fn field_name(&self, field: usize) -> String {
        self.expect.fields.get(field).map_or_else(|| format!("element {field}"), Clone::clone)
    }

    /// The name of what a slot is wanted for.
    pub(super) fn slot_name(&self, slot: Slot) -> String {
        match slot {
            Slot::Field(field) => self.field_name(field),
            Slot::Time => self.expect.time.clone().unwrap_or_default(),
            Slot::Samples => "the array of samples".to_owned(),
        }
    }

    fn finite(&self, field: usize, value: f64) -> Result<f64, Reject> {
        if value.abs() <= f64::from(f32::MAX) {
            Ok(value)
        } else {
            Err(Reject::NotFinite { field: self.field_name(field) })
        }
    }

    fn has_names(&self) -> Result<(), Reject> {
        if self.expect.fields.is_empty() {
            return Err(wrong_shape(
                "it is an object, but neither payload.fields nor the card's channels name its members",
            ));
        }
        Ok(())
    }

    /// Begins the sample that an array as a whole is.
    pub(super) fn begin_array(&mut self) -> Result<(), Reject> {
        match self.array {
            Array::IsSample => return Ok(()),
            Array::OfSamples => return Err(wrong_shape("numbers among the samples of an array")),
            Array::Unknown => self.array = Array::IsSample,
        }
        match (self.expect.sample.is_indexed(), self.expect.whole) {
            (false, _) => self.begin(),
            (true, false) => self.begin_named(),
            (true, true) => self.begin_columns(),
        }
    }

    /// Ends the sample that an array as a whole is, if it is one.
    pub(super) fn end_array(&mut self) -> Result<(), Reject> {
        if self.array != Array::IsSample || !self.in_sample {
            return Ok(());
        }
        match (self.expect.sample.is_indexed(), self.expect.whole) {
            (false, _) => self.end_positions(),
            (true, false) => self.end_named(),
            (true, true) => self.end_columns(),
        }
    }

    /// Notes that an array holds samples.
    pub(super) fn of_samples(&mut self) -> Result<(), Reject> {
        if self.array == Array::IsSample {
            return Err(wrong_shape("samples among the numbers of an array"));
        }
        self.array = Array::OfSamples;
        Ok(())
    }

    /// Whether nothing of the sample is known yet, not even its time.
    pub(super) fn at_row_start(&self) -> bool {
        self.out.values.len() == self.row && self.out.times.last() == Some(&None)
    }

    /// The name of the next number that comes by position.
    pub(super) fn position_name(&self) -> String {
        self.field_name(self.out.values.len().saturating_sub(self.row))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.out.values.is_empty()
    }

    /// Begins a sample whose fields come by name.
    pub(super) fn begin_named(&mut self) -> Result<(), Reject> {
        self.has_names()?;
        self.begin()?;
        let end = self.row.saturating_add(self.expect.fields.len());
        self.out.values.resize(end, MISSING);
        Ok(())
    }

    /// Begins a sample whose numbers come by position.
    pub(super) fn begin(&mut self) -> Result<(), Reject> {
        if self.out.times.len() >= SAMPLES_MAX {
            return Err(Reject::TooManySamples { max: SAMPLES_MAX });
        }
        self.row = self.out.values.len();
        self.out.times.push(None);
        self.in_sample = true;
        Ok(())
    }

    pub(super) fn set(&mut self, field: usize, value: f64) -> Result<(), Reject> {
        if self.out.order == Order::Columns {
            self.open_column(field);
            return self.push_column(field, value);
        }
        let value = self.finite(field, value)?;
        if let Some(cell) = self.out.values.get_mut(self.row.saturating_add(field)) {
            *cell = value;
        }
        Ok(())
    }

    pub(super) fn set_time(&mut self, time: Timestamp) {
        match self.out.times.last_mut().filter(|_| self.in_sample) {
            Some(own) => *own = Some(time),
            None => self.time = Some(time),
        }
    }

    /// Ends a sample begun with [`Sink::begin_named`].
    pub(super) fn end_named(&mut self) -> Result<(), Reject> {
        self.in_sample = false;
        let row = self.out.values.get(self.row..).unwrap_or_default();
        if !row.iter().any(|v| v.is_nan()) {
            return Ok(());
        }
        let missing = row.iter().zip(&self.expect.fields).filter(|(v, _)| v.is_nan());
        Err(Reject::MissingField { field: join(missing.map(|(_, name)| name.as_str())) })
    }

    /// Adds the next number of a sample that comes by position, or of a whole input.
    pub(super) fn push(&mut self, value: f64) -> Result<(), Reject> {
        let place = self.out.values.len().saturating_sub(self.row);
        let most = self.expect.width.saturating_add(1);
        if place >= most {
            return Err(self.wrong_length(place.saturating_add(1), true));
        }
        // The first may be a time, which is larger than a reading may be.
        let value = if place == 0 && value.is_finite() && self.expect.time.is_some() {
            value
        } else {
            self.finite(place, value)?
        };
        self.out.values.push(value);
        Ok(())
    }

    /// Ends a sample that came by position: as many numbers as fields, with the time before them
    /// where one is configured and nothing else gave it.
    pub(super) fn end_positions(&mut self) -> Result<(), Reject> {
        let len = self.out.values.len().saturating_sub(self.row);
        let timed = self.expect.time.is_some() && self.out.times.last() == Some(&None);
        if timed && len == self.expect.width.saturating_add(1) {
            let first = self.out.values.remove(self.row);
            let time = time::from_number(first).ok_or_else(|| self.bad_time(first.to_string()))?;
            self.set_time(time);
        } else if len != self.expect.width {
            return Err(self.wrong_length(len, false));
        }
        self.in_sample = false;
        match self.out.values.get(self.row) {
            Some(&first) => self.finite(0, first).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Takes all numbers of a payload at once; their count is checked already.
    pub(super) fn fill(
        &mut self,
        samples: usize,
        append: impl FnOnce(&mut Vec<f64>),
    ) -> Result<(), Reject> {
        append(&mut self.out.values);
        self.out.times.resize(samples, None);
        let largest = f64::from(f32::MAX);
        // A NaN fails the comparison. All first, which becomes vector instructions.
        let fits = |v: &f64| v.abs() <= largest;
        if self.out.values.iter().fold(true, |all, v| all & fits(v)) {
            return Ok(());
        }
        match self.out.values.iter().position(|v| !fits(v)) {
            Some(at) if self.expect.whole => Err(Reject::NotFinite { field: self.field_name(at) }),
            Some(at) => {
                let (sample, field) = (at / self.expect.width, at % self.expect.width);
                let field = format!("{} of sample {sample}", self.field_name(field));
                Err(Reject::NotFinite { field })
            }
            None => Ok(()),
        }
    }

    pub(super) fn wrong_length(&self, got: usize, more: bool) -> Reject {
        let what = if self.expect.whole { "numbers in the message" } else { "numbers in a sample" };
        let width = self.expect.width;
        let expected = if more { format!("{width}, no more") } else { width.to_string() };
        Reject::WrongLength { what, got, expected }
    }

    pub(super) fn bad_time(&self, got: String) -> Reject {
        Reject::BadTime { field: self.slot_name(Slot::Time), got }
    }

    /// Begins a whole input that is an object of numbers and arrays.
    pub(super) fn begin_columns(&mut self) -> Result<(), Reject> {
        self.has_names()?;
        self.begin()?;
        self.out.order = Order::Columns;
        self.out.spans.resize(self.expect.fields.len(), 0..0);
        Ok(())
    }

    pub(super) fn open_column(&mut self, field: usize) {
        let at = self.out.values.len();
        if let Some(span) = self.out.spans.get_mut(field) {
            *span = at..at;
        }
    }

    pub(super) fn push_column(&mut self, field: usize, value: f64) -> Result<(), Reject> {
        let value = self.finite(field, value)?;
        self.out.values.push(value);
        let end = self.out.values.len();
        if let Some(span) = self.out.spans.get_mut(field) {
            span.end = end;
        }
        Ok(())
    }

    pub(super) fn end_columns(&mut self) -> Result<(), Reject> {
        self.in_sample = false;
        let empty = self.out.spans.iter().zip(&self.expect.fields).filter(|(s, _)| s.is_empty());
        let missing = join(empty.map(|(_, name)| name.as_str()));
        if missing.is_empty() { Ok(()) } else { Err(Reject::MissingField { field: missing }) }
    }

    pub(super) fn in_rows(&mut self) {
        self.out.order = Order::Rows;
    }

    /// Ends the message: there is at least one sample, and each has its time where one is wanted.
    pub(super) fn end(&mut self) -> Result<(), Reject> {
        if self.expect.whole {
            let own = self.out.times.iter().rev().find_map(|t| *t);
            self.out.times.clear();
            self.out.times.push(own);
        }
        if self.out.values.is_empty() {
            return Err(self.wrong_length(0, false));
        }
        if self.expect.time.is_none() {
            return Ok(());
        }
        let message = self.time;
        for time in &mut self.out.times {
            *time = time.or(message);
        }
        if self.out.times.contains(&None) {
            return Err(Reject::MissingField { field: self.slot_name(Slot::Time) });
        }
        Ok(())
    }
}

pub(super) fn wrong_shape(problem: &str) -> Reject {
    Reject::Syntax { format: "of the configured shape", problem: problem.to_owned() }
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
