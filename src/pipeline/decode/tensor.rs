//! Payloads that are the elements of the model's only input.

use super::decoder::{Decoded, PayloadDecoder};
use super::raw::after;
use super::schema::TensorPayload;
use crate::pipeline::reject::Reject;
use crate::tensor::Data;

/// Copies the little-endian elements of a payload.
#[derive(Debug)]
pub(super) struct TensorDecoder {
    input: TensorPayload,
    /// Bytes before the elements.
    header: usize,
}

impl TensorDecoder {
    pub(super) fn new(input: TensorPayload, header: usize) -> Self {
        Self { input, header }
    }
}

impl PayloadDecoder for TensorDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let TensorPayload { name, dtype, len } = &self.input;
        let bytes = len.saturating_mul(dtype.size());
        let elements = payload.get(self.header..).unwrap_or_default();
        if elements.len() != bytes {
            let (what, got) = ("bytes of payload", payload.len().to_string());
            let behind = after(self.header);
            let expected = format!("{bytes} ({len} elements of {dtype}){behind}");
            return Err(Reject::WrongLength { what, got, expected, hint: "" });
        }
        let data = out.tensor_mut(*dtype);
        copy_elements(elements, data);
        let bad = match data {
            Data::F32(values) => values.iter().position(|v| !v.is_finite()),
            Data::F64(values) => values.iter().position(|v| !v.is_finite()),
            _ => None,
        };
        match bad {
            Some(at) => Err(Reject::NotFinite { field: format!("element {at} of input {name}") }),
            None => Ok(()),
        }
    }
}

fn copy_elements(payload: &[u8], data: &mut Data) {
    match data {
        Data::F32(out) => copy(payload, out, f32::from_le_bytes),
        Data::F64(out) => copy(payload, out, f64::from_le_bytes),
        Data::I8(out) => copy(payload, out, i8::from_le_bytes),
        Data::U8(out) => copy(payload, out, u8::from_le_bytes),
        Data::I16(out) => copy(payload, out, i16::from_le_bytes),
        Data::U16(out) => copy(payload, out, u16::from_le_bytes),
        Data::I32(out) => copy(payload, out, i32::from_le_bytes),
        Data::I64(out) => copy(payload, out, i64::from_le_bytes),
        Data::Bool(out) => copy(payload, out, |byte: [u8; 1]| byte != [0]),
    }
}

fn copy<const N: usize, T>(payload: &[u8], out: &mut Vec<T>, element: impl Fn([u8; N]) -> T) {
    let (elements, _) = payload.as_chunks::<N>();
    out.clear();
    out.extend(elements.iter().map(|bytes| element(*bytes)));
}
