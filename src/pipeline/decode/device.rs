//! Names of devices that are in payloads.

use std::ops::Range;

use crate::ids::MAX_DEVICE_KEY_BYTES;

/// What separates the parts of a name.
const SEPARATOR: char = ',';

/// The names of the devices of a message's samples, in parts. The buffers are used again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::pipeline) struct DeviceParts {
    /// All parts, written by [`DeviceParts::set`].
    text: String,
    /// So many for each sample; an empty one is missing.
    parts: Vec<Range<usize>>,
    /// Of the message as a whole.
    around: Vec<Range<usize>>,
    /// Parts of a name; 0 where payloads name no device.
    each: usize,
}

/// Why a text cannot be a part of a device's name.
pub(super) type NameProblem = &'static str;

impl DeviceParts {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.parts.clear();
        self.around.clear();
    }

    /// Begins a message whose samples have names of so many parts.
    pub(super) fn begin_message(&mut self, each: usize) {
        self.each = each;
        self.around.resize(each, 0..0);
    }

    /// Begins a sample.
    pub(super) fn begin_sample(&mut self) {
        let end = self.parts.len().saturating_add(self.each);
        self.parts.resize(end, 0..0);
    }

    /// Removes the latest sample.
    pub(super) fn drop_sample(&mut self) {
        let end = self.parts.len().saturating_sub(self.each);
        self.parts.truncate(end);
    }

    /// Repeats the latest sample so many times.
    pub(super) fn repeat_sample(&mut self, times: usize) {
        let start = self.parts.len().saturating_sub(self.each);
        let last: Vec<_> = self.parts.drain(start..).collect();
        for _ in 0..times {
            self.parts.extend(last.iter().cloned());
        }
    }

    /// Sets a part of the latest sample, or of the message as a whole. What has a
    /// meaning in topics or in names of several parts is written as `%` and two hex digits, so
    /// that two names are never one.
    pub(super) fn set(
        &mut self,
        part: usize,
        name: &str,
        in_sample: bool,
    ) -> Result<(), NameProblem> {
        if name.is_empty() {
            return Err("send a text, a whole number, true or false");
        }
        if name.chars().any(char::is_control) {
            return Err("leave control characters out");
        }
        let start = self.text.len();
        for (place, c) in name.char_indices() {
            match c {
                '$' if place == 0 => self.text.push_str("%24"),
                '%' => self.text.push_str("%25"),
                '/' => self.text.push_str("%2F"),
                '+' => self.text.push_str("%2B"),
                '#' => self.text.push_str("%23"),
                SEPARATOR => self.text.push_str("%2C"),
                c => self.text.push(c),
            }
        }
        let end = self.text.len();
        if end.saturating_sub(start) > MAX_DEVICE_KEY_BYTES {
            self.text.truncate(start);
            return Err("send at most 128 bytes");
        }
        let first = self.parts.len().saturating_sub(self.each);
        let place = if in_sample {
            self.parts.get_mut(first.saturating_add(part))
        } else {
            self.around.get_mut(part)
        };
        if let Some(place) = place {
            *place = start..end;
        }
        Ok(())
    }

    /// Fills what samples lack with what the message has; the number of the first part that
    /// neither has.
    pub(super) fn end_message(&mut self) -> Option<usize> {
        let each = self.each;
        if each == 0 {
            return None;
        }
        for sample in self.parts.chunks_exact_mut(each) {
            for (place, (part, around)) in sample.iter_mut().zip(&self.around).enumerate() {
                if part.start == part.end {
                    part.clone_from(around);
                }
                if part.start == part.end {
                    return Some(place);
                }
            }
        }
        None
    }

    /// Whether all samples are of one device.
    pub(super) fn is_one(&self) -> bool {
        self.run_from(0).is_none_or(|end| end.saturating_mul(self.each) >= self.parts.len())
    }

    /// The number of the first sample after `sample` that is of another device, or of all samples
    /// where there is none; `None` where payloads name no device.
    pub(in crate::pipeline) fn run_from(&self, sample: usize) -> Option<usize> {
        if self.each == 0 {
            return None;
        }
        let same = |other: &usize| self.name(sample).eq(self.name(*other));
        let all = self.parts.len() / self.each;
        Some((sample..all).take_while(same).last().map_or(all, |last| last + 1))
    }

    /// The parts of a sample's device.
    fn name(&self, sample: usize) -> impl Iterator<Item = &str> {
        let parts = self.parts.iter().skip(sample.saturating_mul(self.each)).take(self.each);
        parts.map(|part| self.text.get(part.clone()).unwrap_or_default())
    }

    /// Writes a sample's device.
    pub(in crate::pipeline) fn write(&self, sample: usize, into: &mut String) {
        for (place, part) in self.name(sample).enumerate() {
            if place > 0 {
                into.push(SEPARATOR);
            }
            into.push_str(part);
        }
    }
}
