//! The engine's graph to protobuf messages. Weights are moved, not copied.

use crate::engine::graph::{
    Attribute, AttributeValue, Dimension, Graph, Node, OperatorSets, TensorData, ValueInfo,
};
use std::mem::take;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_shape_proto::Dimension as DimensionProto, tensor_shape_proto::dimension, type_proto,
};

/// The model of `graph`, which keeps its nodes, for messages, and loses the values of its
/// constants.
pub(in crate::engine) fn encode(sets: &OperatorSets, graph: &mut Graph) -> ModelProto {
    let set = |(domain, version): &(String, i64)| OperatorSetIdProto {
        domain: domain.clone(),
        version: *version,
    };
    ModelProto {
        ir_version: 8,
        opset_import: sets.0.iter().map(set).collect(),
        graph: Some(encode_graph(graph)),
        ..ModelProto::default()
    }
}

fn encode_graph(graph: &mut Graph) -> GraphProto {
    GraphProto {
        node: graph.nodes.iter_mut().map(encode_node).collect(),
        initializer: graph.initializers.iter_mut().map(encode_tensor).collect(),
        input: graph.inputs.iter().map(encode_value_info).collect(),
        output: graph.outputs.iter().map(encode_value_info).collect(),
        ..GraphProto::default()
    }
}

fn encode_node(node: &mut Node) -> NodeProto {
    NodeProto {
        name: node.name.clone(),
        op_type: node.op.clone(),
        domain: node.domain.clone(),
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        attribute: node.attributes.iter_mut().map(encode_attribute).collect(),
        ..NodeProto::default()
    }
}

fn encode_attribute(attribute: &mut Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: attribute.name.clone(), ..AttributeProto::default() };
    let kind = match &mut attribute.value {
        AttributeValue::Int(value) => {
            proto.i = *value;
            AttributeType::Int
        }
        AttributeValue::Ints(values) => {
            proto.ints.clone_from(values);
            AttributeType::Ints
        }
        AttributeValue::Float(value) => {
            proto.f = *value;
            AttributeType::Float
        }
        AttributeValue::Floats(values) => {
            proto.floats = take(values);
            AttributeType::Floats
        }
        AttributeValue::Text(value) => {
            proto.s.clone_from(value);
            AttributeType::String
        }
        AttributeValue::Texts(values) => {
            proto.strings = take(values);
            AttributeType::Strings
        }
        AttributeValue::Tensor(tensor) => {
            proto.t = Some(encode_tensor(tensor));
            AttributeType::Tensor
        }
        AttributeValue::Graph(graph) => {
            proto.g = Some(encode_graph(graph));
            AttributeType::Graph
        }
        AttributeValue::Reference | AttributeValue::Other => AttributeType::Undefined,
    };
    proto.set_type(kind);
    proto
}

/// The message of a constant, which loses its values to it.
pub(in crate::engine) fn encode_tensor(tensor: &mut TensorData) -> TensorProto {
    TensorProto {
        name: tensor.name.clone(),
        dims: tensor.shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
        data_type: tensor.element.code(),
        raw_data: take(&mut tensor.bytes),
        string_data: take(&mut tensor.texts),
        ..TensorProto::default()
    }
}

fn encode_value_info(info: &ValueInfo) -> ValueInfoProto {
    let dimension = |dimension: &Dimension| {
        let value = match dimension {
            Dimension::Fixed(size) => Some(dimension::Value::DimValue(*size)),
            Dimension::Named(name) => Some(dimension::Value::DimParam(name.clone())),
            Dimension::Unknown => None,
        };
        DimensionProto { denotation: String::new(), value }
    };
    let r#type = info.tensor.as_ref().map(|tensor| {
        let shape = tensor.shape.as_ref();
        let shape = shape.map(|s| TensorShapeProto { dim: s.iter().map(dimension).collect() });
        let tensor = type_proto::Tensor { elem_type: tensor.element.code(), shape };
        let value = Some(type_proto::Value::TensorType(tensor));
        TypeProto { denotation: String::new(), value }
    });
    ValueInfoProto { name: info.name.clone(), r#type, doc_string: String::new() }
}
