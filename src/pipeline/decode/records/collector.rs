//! Samples from records: values by name, each with a time of its own.

use std::collections::HashMap;

use super::super::sample_builder::{SampleBuilder, wrong_shape};
use super::super::samples::MAX_SAMPLES;
use crate::clock::Timestamp;
use crate::pipeline::reject::Reject;

/// The most values that are collected of one message.
const MAX_ENTRIES: usize = 1 << 20;

/// Collects the values of a message and makes samples of them. Its buffers are used again.
#[derive(Debug, Default)]
pub(in crate::pipeline::decode) struct RecordCollector {
    entries: Vec<Entry>,
    /// The parts of the names of the devices, in the order in which they came.
    devices: Vec<Vec<String>>,
    by_device: HashMap<Vec<String>, usize>,
    /// For each field, how many of its values were seen among those of one time.
    seen: Vec<usize>,
}

/// A value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    device: usize,
    field: usize,
    time: Option<Timestamp>,
    /// The sample among those of its device.
    row: usize,
    value: f64,
}

impl RecordCollector {
    pub(in crate::pipeline::decode) fn clear(&mut self) {
        self.entries.clear();
        self.devices.clear();
        self.by_device.clear();
    }

    pub(in crate::pipeline::decode) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether each of so many fields has a value.
    pub(in crate::pipeline::decode) fn has_all(&self, fields: usize) -> bool {
        let mut has = vec![false; fields];
        for entry in &self.entries {
            if let Some(has) = has.get_mut(entry.field) {
                *has = true;
            }
        }
        has.iter().all(|has| *has)
    }

    /// Adds a value; NaN stands for one that is missing. The parts of the device's name may be
    /// empty.
    ///
    /// # Errors
    /// Too many values or devices.
    pub(in crate::pipeline::decode) fn add(
        &mut self,
        device: &[String],
        field: usize,
        time: Option<Timestamp>,
        value: f64,
    ) -> Result<(), Reject> {
        if self.entries.len() >= MAX_ENTRIES || self.devices.len() > MAX_SAMPLES {
            return Err(Reject::TooManySamples { max: MAX_SAMPLES });
        }
        let device = match self.by_device.get(device) {
            Some(known) => *known,
            None => {
                let new = self.devices.len();
                self.devices.push(device.to_vec());
                let _none = self.by_device.insert(device.to_vec(), new);
                new
            }
        };
        self.entries.push(Entry { device, field, time, row: 0, value });
        Ok(())
    }

    /// Makes samples of the values. Where each name came once, they are one sample with the latest of
    /// their times. Where a name came again, the values of one time are a sample, and so are the
    /// second values of that time, and so on.
    ///
    /// # Errors
    /// What the builder refuses, and a message without any value that is asked for.
    pub(in crate::pipeline::decode) fn finish(
        &mut self,
        builder: &mut SampleBuilder<'_>,
    ) -> Result<(), Reject> {
        if self.entries.is_empty() {
            return builder.add_empty_sample();
        }
        self.seen.clear();
        self.seen.resize(builder.schema.fields.len(), 0);
        let Self { entries, devices, seen, .. } = self;
        if builder.schema.whole {
            if devices.len() > 1 {
                return Err(wrong_shape(
                    "its records are of several devices, and the model takes them as one",
                ));
            }
            return add_columns(entries, devices, builder);
        }
        entries.sort_by_key(|entry| entry.device);
        for entries in entries.chunk_by_mut(|one, other| one.device == other.device) {
            number_rows(entries, seen);
            entries.sort_by_key(|entry| entry.row);
            for row in entries.chunk_by(|one, other| one.row == other.row) {
                add_row(row, devices, builder)?;
            }
        }
        Ok(())
    }
}

/// Gives the values of one device their rows.
fn number_rows(entries: &mut [Entry], seen: &mut [usize]) {
    if count(entries, seen) <= 1 {
        // One sample.
        return;
    }
    entries.sort_by_key(|entry| entry.time);
    let mut first = 0_usize;
    for same in entries.chunk_by_mut(|one, other| one.time == other.time) {
        let rows = count(same, seen);
        for entry in same.iter_mut() {
            entry.row = entry.row.saturating_add(first);
        }
        first = first.saturating_add(rows);
    }
}

/// Numbers the values of each field from 0, and returns the most values of a field.
fn count(entries: &mut [Entry], seen: &mut [usize]) -> usize {
    for entry in entries.iter() {
        if let Some(count) = seen.get_mut(entry.field) {
            *count = 0;
        }
    }
    let mut most = 0;
    for entry in entries {
        if let Some(count) = seen.get_mut(entry.field) {
            entry.row = *count;
            *count = count.saturating_add(1);
            most = most.max(*count);
        }
    }
    most
}

fn add_row(
    row: &[Entry],
    devices: &[Vec<String>],
    builder: &mut SampleBuilder<'_>,
) -> Result<(), Reject> {
    builder.begin_named()?;
    name_and_date(row, devices, builder)?;
    for entry in row {
        builder.set(entry.field, entry.value)?;
    }
    builder.end_named()
}

/// Makes a whole input: each field has its values in the order of their times.
fn add_columns(
    entries: &mut [Entry],
    devices: &[Vec<String>],
    builder: &mut SampleBuilder<'_>,
) -> Result<(), Reject> {
    builder.begin_columns()?;
    name_and_date(entries, devices, builder)?;
    entries.sort_by_key(|entry| (entry.field, entry.time));
    for values in entries.chunk_by(|one, other| one.field == other.field) {
        for (place, entry) in values.iter().enumerate() {
            if place == 0 {
                builder.open_column(entry.field);
            }
            builder.push_column(entry.field, entry.value)?;
        }
    }
    builder.end_columns()
}

fn name_and_date(
    entries: &[Entry],
    devices: &[Vec<String>],
    builder: &mut SampleBuilder<'_>,
) -> Result<(), Reject> {
    let device = entries.first().and_then(|entry| devices.get(entry.device));
    for (part, name) in device.into_iter().flatten().enumerate().filter(|(_, n)| !n.is_empty()) {
        builder.set_device(part, name)?;
    }
    match entries.iter().filter_map(|entry| entry.time).max() {
        Some(time) => builder.take_time(Some(time), || time.to_string()),
        None => Ok(()),
    }
}
