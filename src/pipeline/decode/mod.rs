//! Payload bytes to numbers: JSON, CBOR, CSV and raw elements, bounded in size, depth and count.
//!
//! Shapes taken, for the formats with structure:
//! - one sample: an object (fields by name or JSON pointer; what is not asked for is skipped), an
//!   array of numbers by position, or a bare number where the model has one channel;
//! - several samples: an array of those, or an object with such an array under `payload.samples`;
//! - a whole input (a model without windows): nested arrays in the tensor's order, or an object
//!   whose fields are numbers or arrays.
//!
//! By position, a time (where one is configured) comes before the numbers. Booleans count as 0 and 1.

mod cbor;
mod csv;
mod json;
mod raw;
mod sink;
mod time;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;

use sink::Sink;
pub(super) use sink::{Expect, Order, Samples};
use tree::{Node, Slot};

use super::reject::Reject;
use crate::config::{Format, Payload};

/// One stream's decoder and its buffers.
pub(super) struct Decoder {
    format: Format,
    expect: Expect,
    csv: Option<Box<csv::Csv>>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Expect {
    /// `width` is the numbers in a sample, or in the message for whole inputs.
    pub(super) fn new(
        payload: &Payload,
        fields: Vec<String>,
        width: usize,
        whole: bool,
        max_payload: usize,
    ) -> Self {
        let mut sample = Node::default();
        for (number, field) in fields.iter().enumerate() {
            sample.add(field, Slot::Field(number));
        }
        if let Some(time) = &payload.time {
            sample.add(time, Slot::Time);
        }
        let envelope = payload.samples.as_ref().map(|samples| {
            let mut node = Node::default();
            node.add(samples, Slot::Samples);
            if let Some(time) = &payload.time {
                node.add(time, Slot::Time);
            }
            node
        });
        Self { fields, width, whole, sample, envelope, time: payload.time.clone(), max_payload }
    }

    /// Whether every number by itself is a sample.
    fn is_single(&self) -> bool {
        self.width == 1 && !self.whole && !self.sample.is_indexed()
    }
}

impl Decoder {
    pub(super) fn new(format: Format, expect: Expect) -> Self {
        let csv = (format == Format::Csv).then(Box::default);
        Self { format, expect, csv }
    }

    /// Reads a payload into `out`, whose contents are undefined after an error.
    ///
    /// # Errors
    /// The first thing that keeps the payload as a whole from being taken.
    pub(super) fn read(&mut self, payload: &[u8], out: &mut Samples) -> Result<(), Reject> {
        let max = self.expect.max_payload;
        if payload.len() > max {
            return Err(Reject::TooLarge { got: payload.len(), max });
        }
        let mut sink = Sink::new(&self.expect, out);
        match (self.format, &mut self.csv) {
            (Format::Csv, Some(csv)) => csv.read(payload, &mut sink)?,
            (Format::Json | Format::Csv, _) => json::read(payload, &mut sink)?,
            (Format::Cbor, _) => cbor::read(payload, &mut sink)?,
            (Format::Raw(dtype), _) => raw::read(payload, dtype, &mut sink)?,
        }
        sink.end()
    }
}

fn utf8(payload: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(payload).map_err(|e| Reject::NotUtf8 { at: e.valid_up_to() })
}
