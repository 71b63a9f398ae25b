//! Protobuf messages to the engine's graph. Weights are moved, not copied.

use crate::engine::error::LoadError;
use crate::engine::graph::{
    Attribute, AttributeValue, Dimension, ElementType, Graph, Node, TensorData, TensorType,
    ValueInfo,
};
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_shape_proto::dimension, type_proto,
};

/// The graph in `proto`, whose external data has been read.
pub(in crate::engine) fn decode_graph(proto: GraphProto) -> Result<Graph, LoadError> {
    Ok(Graph {
        nodes: proto.node.into_iter().map(decode_node).collect::<Result<_, _>>()?,
        initializers: proto.initializer.into_iter().map(decode_tensor).collect::<Result<_, _>>()?,
        inputs: proto.input.into_iter().map(decode_value_info).collect(),
        outputs: proto.output.into_iter().map(decode_value_info).collect(),
    })
}

fn decode_node(proto: NodeProto) -> Result<Node, LoadError> {
    Ok(Node {
        name: proto.name,
        op: proto.op_type,
        domain: proto.domain,
        inputs: proto.input,
        outputs: proto.output,
        attributes: proto.attribute.into_iter().map(decode_attribute).collect::<Result<_, _>>()?,
        original: String::new(),
    })
}

fn decode_attribute(proto: AttributeProto) -> Result<Attribute, LoadError> {
    let value = match proto.r#type() {
        _ if !proto.ref_attr_name.is_empty() => AttributeValue::Reference,
        AttributeType::Int => AttributeValue::Int(proto.i),
        AttributeType::Ints => AttributeValue::Ints(proto.ints),
        AttributeType::Float => AttributeValue::Float(proto.f),
        AttributeType::Floats => AttributeValue::Floats(proto.floats),
        AttributeType::String => AttributeValue::Text(proto.s),
        AttributeType::Strings => AttributeValue::Texts(proto.strings),
        AttributeType::Tensor => match proto.t {
            Some(tensor) => AttributeValue::Tensor(decode_tensor(tensor)?),
            None => AttributeValue::Other,
        },
        AttributeType::Graph => match proto.g {
            Some(graph) => AttributeValue::Graph(decode_graph(graph)?),
            None => AttributeValue::Other,
        },
        _ => AttributeValue::Other,
    };
    Ok(Attribute { name: proto.name, value })
}

fn decode_value_info(proto: ValueInfoProto) -> ValueInfo {
    let tensor = proto.r#type.and_then(|t| t.value).map(|value| {
        let type_proto::Value::TensorType(tensor) = value;
        let dimension = |value: Option<dimension::Value>| match value {
            Some(dimension::Value::DimValue(size)) => Dimension::Fixed(size),
            Some(dimension::Value::DimParam(name)) => Dimension::Named(name),
            None => Dimension::Unknown,
        };
        let shape = tensor.shape.map(|s| s.dim.into_iter().map(|d| dimension(d.value)).collect());
        TensorType { element: ElementType::from_code(tensor.elem_type), shape }
    });
    ValueInfo { name: proto.name, tensor }
}

/// The constant in `proto`.
///
/// # Errors
/// Dimensions that do not agree with the number of elements.
pub(in crate::engine) fn decode_tensor(mut proto: TensorProto) -> Result<TensorData, LoadError> {
    let name = std::mem::take(&mut proto.name);
    let refuse = |name: &str, reason: String| LoadError::Tensor { name: name.to_owned(), reason };
    let shape = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| refuse(&name, "a negative dimension".into()))?;
    let element = ElementType::from_code(proto.data_type);
    let bytes = if proto.raw_data.is_empty() {
        bytes_of_fields(&proto, element)
    } else {
        std::mem::take(&mut proto.raw_data)
    };
    let tensor = TensorData::new(name.clone(), element, shape, bytes);
    let tensor = tensor.map_err(|reason| refuse(&name, reason))?;
    Ok(TensorData { texts: proto.string_data, ..tensor })
}

/// The elements of a tensor that keeps them in fields by type: small integers one per 32-bit field,
/// half precision by its bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a field holds a value of the narrower type"
)]
fn bytes_of_fields(proto: &TensorProto, element: ElementType) -> Vec<u8> {
    use crate::tensor::Dtype;
    let small = proto.int32_data.iter().copied();
    let unsigned = proto.uint64_data.iter().copied();
    match element {
        ElementType::FLOAT16 | ElementType::BFLOAT16 => {
            return small.flat_map(|v| (v as u16).to_le_bytes()).collect();
        }
        ElementType::UINT32 if unsigned.len() == 0 => {
            return small.flat_map(i32::to_le_bytes).collect();
        }
        ElementType::UINT32 => return unsigned.flat_map(|v| (v as u32).to_le_bytes()).collect(),
        ElementType::UINT64 if unsigned.len() == 0 => {
            return proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect();
        }
        ElementType::UINT64 => return unsigned.flat_map(u64::to_le_bytes).collect(),
        _ => {}
    }
    match element.dtype() {
        Ok(Dtype::F32) => proto.float_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(Dtype::F64) => proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(Dtype::I8 | Dtype::U8) => small.map(|v| v as u8).collect(),
        Ok(Dtype::I16 | Dtype::U16) => small.flat_map(|v| (v as u16).to_le_bytes()).collect(),
        Ok(Dtype::I32) => small.flat_map(i32::to_le_bytes).collect(),
        Ok(Dtype::I64) => proto.int64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Ok(Dtype::Bool) => small.map(|v| u8::from(v != 0)).collect(),
        Err(_) => Vec::new(),
    }
}
