//! Tensors whose values the model itself holds.

use super::error::LoadError;
use super::spec::{data_type, dtype, volume};
use crate::tensor::{Data, Dtype, Tensor};
use tract_onnx::pb::TensorProto;

/// The tensor in `proto`, or none where its element type is not known here (then only the float
/// runtime may make sense of it).
///
/// # Errors
/// Dimensions that do not agree with the number of elements.
pub(super) fn read(proto: &TensorProto) -> Result<Option<Tensor>, LoadError> {
    let Ok(dtype) = dtype(proto.data_type) else { return Ok(None) };
    let refuse = |reason: String| LoadError::Tensor { name: proto.name.clone(), reason };
    let dims = proto.dims.iter().map(|&d| usize::try_from(d));
    let shape: Vec<usize> =
        dims.collect::<Result<_, _>>().map_err(|_| refuse("a negative dimension".into()))?;
    let expected = volume(&shape).map_err(refuse)?;
    let data = if proto.raw_data.is_empty() {
        from_fields(proto, dtype)
    } else {
        from_raw(&proto.raw_data, dtype)
    };
    if data.len() != expected
        || (!proto.raw_data.is_empty() && proto.raw_data.len() != expected * dtype.size())
    {
        let found = data.len();
        return Err(refuse(format!("shape {shape:?} wants {expected} elements, it has {found}")));
    }
    Ok(Some(Tensor { shape, data }))
}

fn from_raw(raw: &[u8], dtype: Dtype) -> Data {
    fn all<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|c| read(*c)).collect()
    }
    match dtype {
        Dtype::F32 => Data::F32(all(raw, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(all(raw, f64::from_le_bytes)),
        Dtype::I8 => Data::I8(all(raw, i8::from_le_bytes)),
        Dtype::U8 => Data::U8(raw.to_vec()),
        Dtype::I16 => Data::I16(all(raw, i16::from_le_bytes)),
        Dtype::U16 => Data::U16(all(raw, u16::from_le_bytes)),
        Dtype::I32 => Data::I32(all(raw, i32::from_le_bytes)),
        Dtype::I64 => Data::I64(all(raw, i64::from_le_bytes)),
        Dtype::Bool => Data::Bool(all(raw, |[b]| b != 0)),
    }
}

/// The specification keeps small integers one per 32-bit field.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a field holds a value of the narrower type"
)]
fn from_fields(proto: &TensorProto, dtype: Dtype) -> Data {
    let small = &proto.int32_data;
    match dtype {
        Dtype::F32 => Data::F32(proto.float_data.clone()),
        Dtype::F64 => Data::F64(proto.double_data.clone()),
        Dtype::I8 => Data::I8(small.iter().map(|&v| v as i8).collect()),
        Dtype::U8 => Data::U8(small.iter().map(|&v| v as u8).collect()),
        Dtype::I16 => Data::I16(small.iter().map(|&v| v as i16).collect()),
        Dtype::U16 => Data::U16(small.iter().map(|&v| v as u16).collect()),
        Dtype::I32 => Data::I32(small.clone()),
        Dtype::I64 => Data::I64(proto.int64_data.clone()),
        Dtype::Bool => Data::Bool(small.iter().map(|&v| v != 0).collect()),
    }
}

/// The protobuf of a tensor.
pub(super) fn write(name: &str, tensor: &Tensor) -> TensorProto {
    let raw_data = match &tensor.data {
        Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I8(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::U8(v) => v.clone(),
        Data::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::U16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::Bool(v) => v.iter().map(|&x| u8::from(x)).collect(),
    };
    TensorProto {
        name: name.to_owned(),
        dims: tensor.shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
        data_type: data_type(tensor.dtype()) as i32,
        raw_data,
        ..TensorProto::default()
    }
}

/// The values as real numbers, where the tensor is of floats.
pub(super) fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    match &tensor.data {
        Data::F32(v) => Some(v.iter().map(|&x| f64::from(x)).collect()),
        Data::F64(v) => Some(v.clone()),
        _ => None,
    }
}

/// The values as integers, where the tensor is of integers of at most 64 bits.
pub(super) fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match &tensor.data {
        Data::I8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::U8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::I16(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::U16(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::I32(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::I64(v) => Some(v.clone()),
        _ => None,
    }
}
