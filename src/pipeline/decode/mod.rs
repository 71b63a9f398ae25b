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
mod device;
mod field_tree;
mod json;
mod json_mistakes;
mod key;
mod payload_visitor;
mod raw;
mod sample_builder;
mod schema;
mod serde_glue;
pub(super) mod time;

#[cfg(test)]
mod tests;

use std::fmt;

pub(super) use csv::Csv;
use sample_builder::SampleBuilder;
pub(super) use schema::{Order, PayloadSchema, Samples};

use super::reject::Reject;
use crate::config::Format;

/// One stream's decoder and its buffers.
pub(super) struct Decoder {
    format: Format,
    expect: PayloadSchema,
    csv: Option<Box<csv::Csv>>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Decoder {
    pub(super) fn new(format: Format, expect: PayloadSchema) -> Self {
        let csv = (format == Format::Csv).then(Box::default);
        Self { format, expect, csv }
    }

    /// # Errors
    /// A payload over the stream's bound.
    pub(super) fn check_size(&self, payload: &[u8]) -> Result<(), Reject> {
        let (got, max) = (payload.len(), self.expect.max_payload);
        if got > max { Err(Reject::TooLarge { got, max }) } else { Ok(()) }
    }

    /// Reads a payload into `out`, whose contents are undefined after an error.
    ///
    /// # Errors
    /// The first thing that keeps the payload as a whole from being taken.
    pub(super) fn read(&mut self, payload: &[u8], out: &mut Samples) -> Result<(), Reject> {
        self.check_size(payload)?;
        let mut sink = SampleBuilder::new(&self.expect, out);
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
    std::str::from_utf8(payload).map_err(|error| {
        let advice = match payload {
            [0x1f, 0x8b, ..] => "it is compressed with gzip, send it uncompressed",
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
                "it is compressed with zlib, send it uncompressed"
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16, send UTF-8",
            _ => "send text as UTF-8, or set payload.format to the format that is sent",
        };
        Reject::NotUtf8 { at: error.valid_up_to(), advice }
    })
}
