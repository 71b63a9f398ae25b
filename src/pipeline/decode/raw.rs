//! Payloads that are the little-endian elements of a tensor and nothing else.

use super::decoder::{Decoded, PayloadDecoder};
use super::sample_builder::SampleBuilder;
use super::samples::MAX_SAMPLES;
use super::schema::PayloadSchema;
use crate::pipeline::reject::Reject;
use crate::tensor::Dtype;

/// Decodes raw elements to samples.
#[derive(Debug)]
pub(super) struct RawDecoder {
    schema: PayloadSchema,
    dtype: Dtype,
}

impl RawDecoder {
    pub(super) fn new(schema: PayloadSchema, dtype: Dtype) -> Self {
        Self { schema, dtype }
    }
}

impl PayloadDecoder for RawDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        read(payload, self.dtype, &mut builder)?;
        builder.finish()
    }
}

fn read(payload: &[u8], dtype: Dtype, builder: &mut SampleBuilder<'_>) -> Result<(), Reject> {
    let elements = payload.len() / dtype.size();
    let width = builder.schema.width;
    let fits = if builder.schema.whole {
        elements == width
    } else {
        elements.is_multiple_of(width.max(1))
    };
    if !fits || elements == 0 || !payload.len().is_multiple_of(dtype.size()) {
        let bytes = width.saturating_mul(dtype.size());
        let several = if builder.schema.whole { "" } else { " or a multiple" };
        let expected = format!("{bytes}{several} ({width} elements of {dtype})");
        let (what, got) = ("bytes of payload", payload.len().to_string());
        return Err(Reject::WrongLength { what, got, expected, hint: "" });
    }
    let samples = if builder.schema.whole { 1 } else { elements / width.max(1) };
    if samples > MAX_SAMPLES {
        return Err(Reject::TooManySamples { max: MAX_SAMPLES });
    }
    builder.fill(samples, |values| append(payload, dtype, values))
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
