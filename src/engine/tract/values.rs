//! Tensors to values of the float runtime, and back.

use super::error_text;
use crate::engine::error::RunError;
use crate::tensor::Data;
use tract_onnx::prelude::{
    Datum, DatumType, IntoTValue, TValue, Tensor as TractTensor, TractError,
};

/// A tensor of the float runtime.
pub(in crate::engine) type FloatValue = TValue;

/// Copies a tensor into a value of the float runtime.
pub(in crate::engine) fn to_value(shape: &[usize], data: &Data) -> Result<FloatValue, RunError> {
    crate::each_dtype!(data, v => slice_to_value(shape, v))
}

/// Copies a slice into a value of the float runtime.
pub(in crate::engine) fn slice_to_value<T: Datum + Copy>(
    shape: &[usize],
    values: &[T],
) -> Result<FloatValue, RunError> {
    TractTensor::from_shape(shape, values).map(IntoTValue::into_tvalue).map_err(failed)
}

/// Copies bytes that are stored with an offset of -128 into a u8 value.
pub(in crate::engine) fn unsigned_to_value(
    shape: &[usize],
    values: &[i8],
) -> Result<FloatValue, RunError> {
    let values: Vec<u8> = values.iter().map(|&v| v.cast_unsigned() ^ 0x80).collect();
    slice_to_value(shape, &values)
}

/// Copies a value of the float runtime into a slice of the same length.
pub(in crate::engine) fn copy_to_slice<T: Datum + Copy>(
    value: &FloatValue,
    to: &mut [T],
) -> Result<(), RunError> {
    let view = value.try_as_plain_ram().map_err(failed)?;
    copy_slice(view.as_slice().map_err(failed)?, to)
}

/// Copies a u8 value of the float runtime, less 128.
pub(in crate::engine) fn copy_to_unsigned(
    value: &FloatValue,
    to: &mut [i8],
) -> Result<(), RunError> {
    let view = value.try_as_plain_ram().map_err(failed)?;
    let from: &[u8] = view.as_slice().map_err(failed)?;
    if from.len() != to.len() {
        return copy_slice(from, &mut []);
    }
    to.iter_mut().zip(from).for_each(|(y, &x)| *y = (x ^ 0x80).cast_signed());
    Ok(())
}

fn failed(error: TractError) -> RunError {
    error_text::run_error(&format!("{error:#}"))
}

/// Copies a value of the float runtime into `data` of the same type.
pub(in crate::engine) fn copy_to_data(value: &FloatValue, data: &mut Data) -> Result<(), RunError> {
    if value.datum_type() == DatumType::TDim {
        let cast = value.cast_to::<i64>().map_err(failed)?.into_owned();
        return copy_to_data(&cast.into_tvalue(), data);
    }
    crate::each_dtype!(data, v => copy_to_slice(value, v))
}

fn copy_slice<T: Copy>(from: &[T], to: &mut [T]) -> Result<(), RunError> {
    if from.len() != to.len() {
        let reason = format!("a result has {} elements, not {}", from.len(), to.len());
        return Err(RunError::Float(reason));
    }
    to.copy_from_slice(from);
    Ok(())
}
