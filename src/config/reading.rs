//! How the values of a payload are read: what is taken beyond the strict forms, and as what.

use std::time::Duration;

use super::value::Scalar;
use crate::clock::Zone;

/// The options of `[stream.payload]` beyond format and names. The default is strict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    pub missing: MissingRules,
    pub numbers: NumberForm,
    /// Texts that stand for a number.
    pub words: Vec<(String, f64)>,
    pub times: TimeReading,
    pub compression: Compression,
    pub csv: CsvDialect,
    /// The distance of the samples of a message that has one time.
    pub interval: Option<SampleInterval>,
    /// What the inner arrays of an array of arrays are.
    pub arrays: ArrayOrder,
    /// Fields and the values that they have in messages of the stream; others are passed over.
    pub filter: Vec<(String, Vec<Scalar>)>,
}

impl Reading {
    /// Whether something is remembered of each device for the sake of reading its next sample.
    #[must_use]
    pub fn keeps_state(&self) -> bool {
        self.missing.holds() || self.times.clock == DeviceClock::Own
    }
}

/// What is done with a field that has no number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Missing {
    /// The sample is rejected.
    #[default]
    Reject,
    /// The sample is passed over.
    Skip,
    /// The device's last number of this field stands for it.
    Hold,
    /// The model gets NaN.
    Nan,
    /// This number stands for it.
    Value(f64),
}

/// What counts as no number, and what is done then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MissingRules {
    /// Of fields that `fields` does not name.
    pub default: Missing,
    pub fields: Vec<(String, Missing)>,
    /// The longest time between a number and the sample it stands in for.
    pub hold: Duration,
    /// Texts, and numbers written as texts, that stand for no number.
    pub values: Vec<String>,
}

impl MissingRules {
    /// Whether every hole is a reason to reject.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.all().all(|rule| rule == Missing::Reject)
    }

    /// Whether numbers are kept for later samples.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.all().any(|rule| rule == Missing::Hold)
    }

    /// All rules that some field may have.
    pub fn all(&self) -> impl Iterator<Item = Missing> {
        self.fields.iter().map(|(_, rule)| *rule).chain([self.default])
    }

    /// The rule of a field.
    #[must_use]
    pub fn of(&self, field: &str) -> Missing {
        let own = self.fields.iter().find(|(name, _)| name == field);
        own.map_or(self.default, |(_, rule)| *rule)
    }
}

/// How numbers may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberForm {
    /// As the format writes numbers.
    #[default]
    Strict,
    /// In texts as well, with a unit or a decimal comma.
    Lenient,
}

/// How times are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeReading {
    /// Of times that have no offset of their own.
    pub zone: Option<Zone>,
    pub clock: DeviceClock,
    /// The unit of numbers; without one, it follows from their magnitude.
    pub unit: Option<TimeUnit>,
    /// The field with the time of day, where `time` holds the date alone.
    pub time_of_day: Option<String>,
}

/// The distance of the samples of a message that has one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInterval {
    pub nanos: u64,
    /// The time is that of the first sample rather than of the last.
    pub from_first: bool,
}

/// What a device's times count from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceClock {
    #[default]
    Wall,
    /// From a moment of the device's own, such as its start.
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// How payloads are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Zlib,
    /// As the first bytes tell; others are taken as they are.
    Auto,
}

/// How lines of CSV are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvDialect {
    pub delimiter: u8,
    /// Lines that start with this are passed over.
    pub comment: Option<u8>,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self { delimiter: b',', comment: None }
    }
}

/// What the inner arrays of an array of arrays are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArrayOrder {
    /// Samples.
    #[default]
    Rows,
    /// Fields, with a number for each sample.
    Columns,
}
