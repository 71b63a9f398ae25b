//! Builds samples from the numbers that a decoder finds, and keeps the limits of every format.

mod columns;
mod holes;
mod series;
mod times;
mod typed;

use series::Series;

use super::field_tree::Slot;
use super::samples::{MAX_SAMPLES, MAX_VALUES, Samples, ValueOrder};
use super::schema::PayloadSchema;
use super::text::clip;
use crate::clock::Timestamp;
use crate::pipeline::reject::{Got, Reject};

/// What an array turned out to be, once its first element is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Array {
    Unknown,
    /// Its elements are the numbers of one sample.
    IsSample,
    /// Its elements are samples.
    OfSamples,
}

/// Builds [`Samples`] from the numbers that a decoder finds, and checks them against the schema.
///
/// A decoder of its own format calls [`SampleBuilder::add_sample`] for each sample and
/// [`SampleBuilder::finish`] at the end.
#[derive(Debug)]
pub struct SampleBuilder<'a> {
    pub(super) schema: &'a PayloadSchema,
    out: &'a mut Samples,
    /// Where the sample being read begins in `out.values`.
    row: usize,
    pub(super) array: Array,
    /// Whether a sample is being read, rather than the object around the samples.
    in_sample: bool,
    /// The time of the message as a whole.
    time: Option<Timestamp>,
    /// The date and the time of day, where they are two fields.
    time_parts: [String; 2],
    /// The fields of the sample that are arrays, with a number for each sample.
    series: Option<Box<Series>>,
    /// The message is passed over: it is a whole input that lacks a number.
    is_passed_over: bool,
    /// The array at hand is flat and may hold several samples.
    is_typed_array: bool,
    /// Why the payload is refused; set before a reader's own error is raised to stop it.
    pub(super) reject: Option<Reject>,
}

/// Stands for a missing number until the sample is complete; no number that is taken is NaN.
const MISSING: f64 = f64::NAN;

impl<'a> SampleBuilder<'a> {
    /// Starts a message; `out` is emptied.
    #[must_use]
    pub fn new(schema: &'a PayloadSchema, out: &'a mut Samples) -> Self {
        out.clear();
        out.devices.begin_message(schema.device.len());
        let (array, in_sample) = (Array::Unknown, false);
        let (time_parts, series, is_passed_over) = (<[String; 2]>::default(), None, false);
        Self {
            schema,
            out,
            row: 0,
            array,
            in_sample,
            time: None,
            time_parts,
            series,
            is_passed_over,
            is_typed_array: false,
            reject: None,
        }
    }

    pub(super) fn field_name(&self, field: usize) -> String {
        self.schema.fields.get(field).map_or_else(|| format!("element {field}"), Clone::clone)
    }

    /// The name of what a slot is wanted for.
    pub(super) fn slot_name(&self, slot: Slot) -> String {
        match slot {
            Slot::Field(field) => self.field_name(field),
            Slot::Time => self.schema.time.clone().unwrap_or_else(|| "the time".to_owned()),
            Slot::TimeOfDay => self.schema.time_of_day.clone().unwrap_or_default(),
            Slot::Device(part) => self.schema.device.get(part).cloned().unwrap_or_default(),
            Slot::Samples => "the array of samples".to_owned(),
            Slot::Condition(_) => String::new(),
        }
    }

    /// The number, or NaN for none where the field's rule allows it.
    fn finite(&self, field: usize, value: f64) -> Result<f64, Reject> {
        if value.abs() <= f64::from(f32::MAX) && self.schema.missing.is_none() {
            Ok(value)
        } else {
            self.number_or_hole(field, value)
        }
    }

    fn has_names(&self) -> Result<(), Reject> {
        if self.schema.fields.is_empty() {
            return Err(wrong_shape(
                "it is an object, but neither payload.fields nor the card's channels name its \
                 members",
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
        match (self.schema.sample.is_indexed(), self.schema.whole) {
            (false, _) => self.begin(),
            (true, false) => self.begin_named(),
            (true, true) => self.begin_columns(),
        }
    }

    /// Ends the sample that an array as a whole is, if it is one.
    pub(super) fn end_array(&mut self) -> Result<(), Reject> {
        if !self.in_sample {
            return Ok(());
        }
        if self.series.is_some() {
            return self.end_named();
        }
        if self.array != Array::IsSample {
            return Ok(());
        }
        match (self.schema.sample.is_indexed(), self.schema.whole) {
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
        let end = self.row.saturating_add(self.schema.fields.len());
        if end > MAX_VALUES {
            return Err(Reject::TooManySamples { max: self.out.times.len().saturating_sub(1) });
        }
        self.out.values.resize(end, MISSING);
        Ok(())
    }

    /// Begins a sample whose numbers come by position.
    pub(super) fn begin(&mut self) -> Result<(), Reject> {
        if self.out.times.len() >= MAX_SAMPLES {
            return Err(Reject::TooManySamples { max: MAX_SAMPLES });
        }
        if self.series.is_some() {
            return Err(wrong_shape("a sample among arrays of fields"));
        }
        self.row = self.out.values.len();
        self.out.times.push(None);
        self.out.devices.begin_sample();
        self.in_sample = true;
        Ok(())
    }

    pub(super) fn set(&mut self, field: usize, value: f64) -> Result<(), Reject> {
        if self.out.order == ValueOrder::Columns {
            self.open_column(field);
            return self.push_column(field, value);
        }
        let value = self.finite(field, value)?;
        if let Some(cell) = self.out.values.get_mut(self.row.saturating_add(field)) {
            *cell = value;
        }
        Ok(())
    }

    /// Sets a part of the device's name, for the current sample or else for the whole message.
    ///
    /// # Errors
    /// A text that cannot be part of a device's name.
    pub fn set_device(&mut self, part: usize, name: &str) -> Result<(), Reject> {
        self.out.devices.set(part, name, self.in_sample).map_err(|problem| {
            let got = Got::Text(clip(name)).to_string();
            Reject::BadDevice { field: self.slot_name(Slot::Device(part)), got, problem }
        })
    }

    /// Ends a sample started with [`SampleBuilder::begin_named`].
    pub(super) fn end_named(&mut self) -> Result<(), Reject> {
        self.in_sample = false;
        if let Some(series) = self.series.take() {
            return self.end_series(*series);
        }
        let row = self.out.values.get(self.row..).unwrap_or_default();
        if row.iter().any(|v| v.is_nan()) { self.settle_holes() } else { Ok(()) }
    }

    /// Adds the next number of a sample that comes by position, or of a whole input.
    pub(super) fn push(&mut self, value: f64) -> Result<(), Reject> {
        let place = self.out.values.len().saturating_sub(self.row);
        let most = self.schema.width.saturating_add(1);
        if place >= most && !self.is_typed_array {
            return Err(self.wrong_length(format!("at least {}", place.saturating_add(1))));
        }
        // The first may be a time, which is larger than a reading may be.
        let value = if place == 0 && value.is_finite() && self.schema.time.is_some() {
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
        let timed = self.schema.time.is_some() && self.out.times.last() == Some(&None);
        if timed && len == self.schema.width.saturating_add(1) {
            let first = self.out.values.remove(self.row);
            self.take_time(self.schema.times.of_number(first), || first.to_string())?;
        } else if len != self.schema.width {
            if self.is_typed_array && len > 0 && len.is_multiple_of(self.schema.width.max(1)) {
                return self.cut_rows();
            }
            return Err(self.wrong_length(len.to_string()));
        }
        self.in_sample = false;
        let Some(&first) = self.out.values.get(self.row) else { return Ok(()) };
        let first = self.finite(0, first)?;
        if self.schema.missing.is_none() {
            return Ok(());
        }
        if let Some(cell) = self.out.values.get_mut(self.row) {
            *cell = first;
        }
        let row = self.out.values.get(self.row..).unwrap_or_default();
        if row.iter().any(|v| v.is_nan()) { self.settle_holes() } else { Ok(()) }
    }

    /// Takes all numbers of a payload at once; their count is checked already.
    pub(super) fn fill(
        &mut self,
        samples: usize,
        append: impl FnOnce(&mut Vec<f64>),
    ) -> Result<(), Reject> {
        append(&mut self.out.values);
        if self.schema.missing.is_some() {
            return self.settle_all();
        }
        self.out.times.resize(samples, None);
        let largest = f64::from(f32::MAX);
        // A NaN fails the comparison. All first, which becomes vector instructions.
        let fits = |v: &f64| v.abs() <= largest;
        if self.out.values.iter().fold(true, |all, v| all & fits(v)) {
            return Ok(());
        }
        match self.out.values.iter().position(|v| !fits(v)) {
            Some(at) if self.schema.whole => Err(Reject::NotFinite { field: self.field_name(at) }),
            Some(at) => {
                let (sample, field) = (at / self.schema.width, at % self.schema.width);
                let field = format!("{} of sample {sample}", self.field_name(field));
                Err(Reject::NotFinite { field })
            }
            None => Ok(()),
        }
    }

    pub(super) fn wrong_length(&self, got: String) -> Reject {
        let what = if self.schema.whole { "numbers in the message" } else { "numbers in a sample" };
        Reject::WrongLength { what, got, expected: self.schema.width.to_string(), hint: "" }
    }

    pub(super) fn missing_samples(&self) -> Reject {
        Reject::MissingField {
            fields: vec![self.slot_name(Slot::Samples)],
            option: "payload.samples",
        }
    }

    pub(super) fn in_rows(&mut self) {
        self.out.order = ValueOrder::Rows;
    }

    /// Adds one sample: a number for each field, in the schema's order, and its own time, if it has
    /// one. For a whole input, the numbers are all those of the message.
    ///
    /// # Errors
    /// Another count of numbers than the schema has, a number that is not finite in 32 bits, an
    /// implausible time, or more than 65,536 samples in the message.
    pub fn add_sample(&mut self, values: &[f64], time: Option<Timestamp>) -> Result<(), Reject> {
        self.begin()?;
        values.iter().try_for_each(|value| self.push(*value))?;
        if let Some(time) = time {
            self.take_time(Some(time), || time.to_string())?;
        }
        self.end_positions()
    }

    /// Ends the message.
    ///
    /// # Errors
    /// A message without samples, or samples without the time or device that the stream's options
    /// ask for.
    pub fn finish(&mut self) -> Result<(), Reject> {
        if self.schema.missing.is_some() && self.is_nothing_left() {
            return Ok(());
        }
        if self.schema.whole {
            let own = self.out.times.iter().rev().find_map(|t| *t);
            self.out.times.clear();
            self.out.times.push(own);
        }
        if self.out.values.is_empty() {
            return Err(self.wrong_length("0".to_owned()));
        }
        if let Some(part) = self.out.devices.end_message() {
            let fields = vec![self.slot_name(Slot::Device(part))];
            return Err(Reject::MissingField { fields, option: "payload.device" });
        }
        if self.schema.whole && !self.out.devices.is_one() {
            return Err(wrong_shape(
                "its rows are of several devices, and the model takes them as one",
            ));
        }
        if self.schema.time.is_none() {
            return Ok(());
        }
        let message = self.time;
        for time in &mut self.out.times {
            *time = time.or(message);
        }
        if self.out.times.contains(&None) {
            let fields = vec![self.slot_name(Slot::Time)];
            return Err(Reject::MissingField { fields, option: "payload.time" });
        }
        Ok(())
    }
}

pub(super) fn wrong_shape(problem: &str) -> Reject {
    Reject::Syntax { format: "of the configured shape", problem: problem.to_owned() }
}
