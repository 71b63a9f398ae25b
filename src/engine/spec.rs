//! What goes in: the model's inputs with every dimension fixed.

use super::LoadOptions;
use super::error::LoadError;
use super::proto::{declare, tensor_type};
use crate::tensor::{Dtype, TensorSpec};
use std::collections::BTreeSet;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ValueInfoProto, tensor_shape_proto::dimension::Value};

/// No tensor of a model may have more elements: a hostile file must not exhaust the memory.
pub(super) const MOST_ELEMENTS: usize = 1 << 26;

/// The specs of the graph's inputs, which are then declared with these shapes in `graph` itself.
/// Inputs that only give initializers a name (IR version 3) are dropped from it.
pub(super) fn fix_inputs(
    graph: &mut GraphProto,
    options: &LoadOptions,
) -> Result<Vec<TensorSpec>, LoadError> {
    let initialized: BTreeSet<&str> = graph.initializer.iter().map(|i| i.name.as_str()).collect();
    graph.input.retain(|i| !initialized.contains(i.name.as_str()));
    let specs: Vec<_> = graph.input.iter().map(|i| spec(i, options)).collect::<Result<_, _>>()?;
    for (input, spec) in graph.input.iter_mut().zip(&specs) {
        *input = declare(&spec.name, data_type(spec.dtype) as i32, &spec.shape);
    }
    Ok(specs)
}

fn spec(input: &ValueInfoProto, options: &LoadOptions) -> Result<TensorSpec, LoadError> {
    let refuse = |reason: String| LoadError::Input { name: input.name.clone(), reason };
    let tensor = tensor_type(input).ok_or_else(|| refuse("it is not a tensor".into()))?;
    let dtype = dtype(tensor.elem_type).map_err(refuse)?;
    let shape = tensor.shape.as_ref().ok_or_else(|| refuse("it has no shape".into()))?;
    let fixed = |value: &Option<Value>| match value {
        Some(Value::DimValue(v)) => usize::try_from(*v).ok().filter(|&v| v > 0).unwrap_or(1),
        Some(Value::DimParam(name)) => options.dims.get(name).copied().unwrap_or(1),
        None => 1,
    };
    let shape: Vec<usize> = shape.dim.iter().map(|d| fixed(&d.value)).collect();
    volume(&shape).map_err(refuse)?;
    Ok(TensorSpec { name: input.name.clone(), dtype, shape, quant: None })
}

/// The number of elements, where that is within bounds.
pub(super) fn volume(shape: &[usize]) -> Result<usize, String> {
    let product = shape.iter().try_fold(1usize, |v, &d| v.checked_mul(d));
    product
        .filter(|&v| v <= MOST_ELEMENTS)
        .ok_or_else(|| format!("shape {shape:?} has more than {MOST_ELEMENTS} elements"))
}

/// The element type behind the protobuf's number.
pub(super) fn dtype(elem_type: i32) -> Result<Dtype, String> {
    let known = DataType::try_from(elem_type).map_err(|_| {
        format!("element type number {elem_type} is not known here: export the model in float32")
    })?;
    match known {
        DataType::Float => Ok(Dtype::F32),
        DataType::Double => Ok(Dtype::F64),
        DataType::Int8 => Ok(Dtype::I8),
        DataType::Uint8 => Ok(Dtype::U8),
        DataType::Int16 => Ok(Dtype::I16),
        DataType::Uint16 => Ok(Dtype::U16),
        DataType::Int32 => Ok(Dtype::I32),
        DataType::Int64 => Ok(Dtype::I64),
        DataType::Bool => Ok(Dtype::Bool),
        other => Err(unsupported(other.as_str_name())),
    }
}

/// That there is no such element type here, and what to do.
pub(super) fn unsupported(name: &str) -> String {
    let advice = match name {
        "FLOAT16" | "BFLOAT16" => "export the model in float32, or quantize it to 8 bits",
        "UINT32" | "UINT64" => "export the model with int64",
        "STRING" => "texts are not supported, give their numbers instead",
        _ => "export the model in float32 or with 8-bit integers",
    };
    format!("element type {name} is not supported: {advice}")
}

/// The protobuf's number for an element type.
pub(super) fn data_type(dtype: Dtype) -> DataType {
    match dtype {
        Dtype::F32 => DataType::Float,
        Dtype::F64 => DataType::Double,
        Dtype::I8 => DataType::Int8,
        Dtype::U8 => DataType::Uint8,
        Dtype::I16 => DataType::Int16,
        Dtype::U16 => DataType::Uint16,
        Dtype::I32 => DataType::Int32,
        Dtype::I64 => DataType::Int64,
        Dtype::Bool => DataType::Bool,
    }
}
