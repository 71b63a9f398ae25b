//! Payloads that are binary numbers of one type and nothing else but a header.

use std::fmt;

use super::binary;
use super::decoder::{Decoded, PayloadDecoder};
use super::sample_builder::SampleBuilder;
use super::samples::MAX_SAMPLES;
use super::schema::PayloadSchema;
use crate::config::BinaryNumber;
use crate::pipeline::reject::Reject;
use crate::tensor::Dtype;

/// What the numbers of a payload are.
#[derive(Clone, Copy, Debug)]
pub(super) enum RawNumber {
    /// Little-endian elements.
    Element(Dtype),
    Other(BinaryNumber),
}

impl RawNumber {
    fn size(self) -> usize {
        match self {
            Self::Element(dtype) => dtype.size(),
            Self::Other(number) => number.size(),
        }
    }
}

impl fmt::Display for RawNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(dtype) => dtype.fmt(f),
            Self::Other(number) => number.fmt(f),
        }
    }
}

/// Decodes raw numbers to samples.
#[derive(Debug)]
pub(super) struct RawDecoder {
    schema: PayloadSchema,
    number: RawNumber,
}

impl RawDecoder {
    pub(super) fn new(schema: PayloadSchema, number: RawNumber) -> Self {
        Self { schema, number }
    }
}

impl PayloadDecoder for RawDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        read(payload, self.number, &mut builder)?;
        builder.finish()
    }
}

fn read(payload: &[u8], number: RawNumber, builder: &mut SampleBuilder<'_>) -> Result<(), Reject> {
    let (header, width) = (builder.schema.header, builder.schema.width);
    let numbers = payload.get(header..).unwrap_or_default();
    let count = numbers.len() / number.size();
    let fits =
        if builder.schema.whole { count == width } else { count.is_multiple_of(width.max(1)) };
    if !fits || count == 0 || !numbers.len().is_multiple_of(number.size()) {
        let bytes = width.saturating_mul(number.size());
        let several = if builder.schema.whole { "" } else { " or a multiple" };
        let behind = after(header);
        let expected = format!("{bytes}{several} ({width} elements of {number}){behind}");
        let (what, got) = ("bytes of payload", payload.len().to_string());
        return Err(Reject::WrongLength { what, got, expected, hint: "" });
    }
    let samples = if builder.schema.whole { 1 } else { count / width.max(1) };
    if samples > MAX_SAMPLES {
        return Err(Reject::TooManySamples { max: MAX_SAMPLES });
    }
    builder.fill(samples, |values| match number {
        RawNumber::Element(dtype) => append(numbers, dtype, values),
        RawNumber::Other(number) => binary::append(number, numbers, values),
    })
}

/// What a message says of a header.
pub(super) fn after(header: usize) -> String {
    if header == 0 { String::new() } else { format!(" after a header of {header}") }
}

fn append(payload: &[u8], dtype: Dtype, values: &mut Vec<f64>) {
    #[expect(clippy::cast_precision_loss, reason = "integers above 2^53 are no readings")]
    fn wide(v: i64) -> f64 {
        v as f64
    }
    match dtype {
        Dtype::F32 => each(payload, values, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => each(payload, values, f64::from_le_bytes),
        Dtype::I8 => each(payload, values, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::U8 => each(payload, values, |b| f64::from(u8::from_le_bytes(b))),
        Dtype::I16 => each(payload, values, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::U16 => each(payload, values, |b| f64::from(u16::from_le_bytes(b))),
        Dtype::I32 => each(payload, values, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::I64 => each(payload, values, |b| wide(i64::from_le_bytes(b))),
        Dtype::Bool => each(payload, values, |b: [u8; 1]| f64::from(u8::from(b != [0]))),
    }
}

fn each<const N: usize>(payload: &[u8], values: &mut Vec<f64>, number: impl Fn([u8; N]) -> f64) {
    let (elements, _) = payload.as_chunks::<N>();
    values.extend(elements.iter().map(|bytes| number(*bytes)));
}
