//! The scalars of a record: an object with a name and a value, or with bytes.

use super::field_tree::Slot;
use super::sample_builder::SampleBuilder;
use super::text::clip;
use crate::clock::Timestamp;
use crate::pipeline::reject::{Got, Reject};

/// A scalar of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Scalar {
    #[default]
    Missing,
    Whole(i128),
    Real(f64),
    Bool(bool),
    Text(String),
    Bytes(Vec<u8>),
    /// No scalar.
    Other(Got),
}

/// The wanted scalars of a record, or of the object around the records.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// By number of the field.
    pub(super) fields: Vec<Scalar>,
    pub(super) time: Scalar,
    pub(super) time_of_day: Scalar,
    pub(super) device: Vec<Scalar>,
}

impl Record {
    pub(super) fn put(&mut self, slot: Slot, value: Scalar) {
        let place = |list: &mut Vec<Scalar>, at: usize, value| {
            if list.len() <= at {
                list.resize(at.saturating_add(1), Scalar::Missing);
            }
            if let Some(cell) = list.get_mut(at) {
                *cell = value;
            }
        };
        match slot {
            Slot::Field(field) => place(&mut self.fields, field, value),
            Slot::Device(part) => place(&mut self.device, part, value),
            Slot::Time => self.time = value,
            Slot::TimeOfDay => self.time_of_day = value,
            Slot::Samples | Slot::Condition(_) => {}
        }
    }

    /// Takes the scalar of a field out of the record.
    pub(super) fn take_field(&mut self, field: usize) -> Scalar {
        self.fields.get_mut(field).map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.fields.clear();
        self.device.clear();
        (self.time, self.time_of_day) = (Scalar::Missing, Scalar::Missing);
    }

    /// Gives the time and the device to the sample at hand, or to the message as a whole.
    ///
    /// # Errors
    /// What is no time or names no device.
    pub(super) fn date_and_name(&self, builder: &mut SampleBuilder<'_>) -> Result<(), Reject> {
        self.time.date(Slot::Time, builder)?;
        self.time_of_day.date(Slot::TimeOfDay, builder)?;
        for (part, name) in self.device_parts(builder)?.iter().enumerate() {
            if !name.is_empty() {
                builder.set_device(part, name)?;
            }
        }
        Ok(())
    }

    /// The parts of the device's name; empty where they are not known.
    ///
    /// # Errors
    /// What names no device.
    pub(super) fn device_parts(&self, builder: &SampleBuilder<'_>) -> Result<Vec<String>, Reject> {
        let part = |(part, name): (usize, &Scalar)| match name {
            Scalar::Missing => Ok(String::new()),
            Scalar::Text(name) if !name.is_empty() => Ok(name.clone()),
            Scalar::Whole(name) => Ok(name.to_string()),
            Scalar::Bool(name) => Ok(name.to_string()),
            other => {
                let problem = "send a text, a whole number, true or false";
                let (field, got) = (builder.slot_name(Slot::Device(part)), other.shown());
                Err(Reject::BadDevice { field, got, problem })
            }
        };
        self.device.iter().enumerate().map(part).collect()
    }
}

impl Scalar {
    fn date(&self, slot: Slot, builder: &mut SampleBuilder<'_>) -> Result<(), Reject> {
        match self {
            Self::Text(text) => builder.take_text_time(slot, text),
            Self::Missing => Ok(()),
            other if builder.schema.time_of_day.is_some() => Err(builder.bad_time(other.shown())),
            other => builder.take_time(other.moment(builder)?, || other.shown()),
        }
    }

    /// The time that it is; `None` where there is nothing.
    ///
    /// # Errors
    /// What is no time.
    pub(super) fn moment(&self, builder: &SampleBuilder<'_>) -> Result<Option<Timestamp>, Reject> {
        let times = &builder.schema.times;
        #[expect(clippy::cast_precision_loss, reason = "times below 2^53 microseconds are exact")]
        let moment = match self {
            Self::Missing => return Ok(None),
            Self::Whole(number) => times.of_number(*number as f64),
            Self::Real(number) => times.of_number(*number),
            Self::Text(text) => times.of_text(text),
            Self::Bool(_) | Self::Bytes(_) | Self::Other(_) => None,
        };
        moment.map(Some).ok_or_else(|| builder.bad_time(self.shown()))
    }

    /// What a message says of it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Missing => "nothing".to_owned(),
            Self::Whole(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => Got::Text(clip(text)).to_string(),
            Self::Bytes(bytes) => {
                let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                Got::Bytes { len, tag: None }.to_string()
            }
            Self::Other(got) => got.to_string(),
        }
    }
}
