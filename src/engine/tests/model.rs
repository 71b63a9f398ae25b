//! Small models written in test code.

use crate::engine::graph::{ElementType, Graph};
use crate::engine::onnx;
use crate::tensor::{Data, Dtype};
use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// A model under construction.
#[derive(Clone)]
pub(super) struct Build {
    pub graph: GraphProto,
}

pub(super) fn build() -> Build {
    Build { graph: GraphProto { name: "test".into(), ..GraphProto::default() } }
}

impl Build {
    pub(super) fn input(mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        self.graph.input.push(declare(name, code(dtype), shape));
        self
    }

    pub(super) fn output(mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Self {
        self.graph.output.push(declare(name, code(dtype), shape));
        self
    }

    pub(super) fn constant(mut self, name: &str, shape: &[usize], data: Data) -> Self {
        self.graph.initializer.push(tensor(name, shape, &data));
        self
    }

    /// A scalar float, as scales are.
    pub(super) fn scale(self, name: &str, value: f32) -> Self {
        self.constant(name, &[], Data::F32(vec![value]))
    }

    /// Adds a node named after its first output.
    pub(super) fn node(mut self, op: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let strings = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let (domain, op_type) = match op.rsplit_once('.') {
            Some((domain, op)) => (domain.to_owned(), op.to_owned()),
            None => (String::new(), op.to_owned()),
        };
        self.graph.node.push(NodeProto {
            input: strings(inputs),
            output: strings(outputs),
            name: format!("{}_node", outputs[0]),
            domain,
            op_type,
            ..NodeProto::default()
        });
        self
    }

    /// Gives the last node an attribute.
    pub(super) fn ints(self, name: &str, values: &[i64]) -> Self {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Ints as i32,
            ints: values.to_vec(),
            ..AttributeProto::default()
        })
    }

    pub(super) fn int(self, name: &str, value: i64) -> Self {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Int as i32,
            i: value,
            ..AttributeProto::default()
        })
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::String as i32,
            s: value.as_bytes().to_vec(),
            ..AttributeProto::default()
        })
    }

    pub(super) fn real(self, name: &str, value: f32) -> Self {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Float as i32,
            f: value,
            ..AttributeProto::default()
        })
    }

    pub(super) fn reals(self, name: &str, values: &[f32]) -> Self {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Floats as i32,
            floats: values.to_vec(),
            ..AttributeProto::default()
        })
    }

    pub(super) fn texts(self, name: &str, values: &[&str]) -> Self {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Strings as i32,
            strings: values.iter().map(|v| v.as_bytes().to_vec()).collect(),
            ..AttributeProto::default()
        })
    }

    pub(super) fn inner(self, name: &str, graph: GraphProto) -> Self {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Graph as i32,
            g: Some(graph),
            ..AttributeProto::default()
        })
    }

    pub(super) fn attribute(mut self, attribute: AttributeProto) -> Self {
        self.graph.node.last_mut().unwrap().attribute.push(attribute);
        self
    }

    pub(super) fn model(self) -> ModelProto {
        let opset = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
        ModelProto {
            ir_version: 8,
            opset_import: vec![opset("", 13), opset("com.microsoft", 1), opset("ai.onnx.ml", 2)],
            graph: Some(self.graph),
            ..ModelProto::default()
        }
    }

    /// The graph as the engine has it after decoding.
    pub(super) fn decoded(&self) -> Graph {
        onnx::decode_graph(self.graph.clone()).unwrap()
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.model().encode_to_vec()
    }
}

pub(super) fn tensor(name: &str, shape: &[usize], data: &Data) -> TensorProto {
    let raw_data = match data {
        Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I8(v) => v.iter().map(|&x| x as u8).collect(),
        Data::U8(v) => v.clone(),
        Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::Bool(v) => v.iter().map(|&x| u8::from(x)).collect(),
        other => panic!("no constants of {}", other.dtype()),
    };
    TensorProto {
        dims: shape.iter().map(|&d| d as i64).collect(),
        data_type: code(data.dtype()),
        name: name.into(),
        raw_data,
        ..TensorProto::default()
    }
}

/// The number of an element type in a file.
pub(super) fn code(dtype: Dtype) -> i32 {
    ElementType::from(dtype).code()
}

/// A declaration of a tensor with a fixed shape.
pub(super) fn declare(name: &str, elem_type: i32, shape: &[usize]) -> ValueInfoProto {
    let dim = |&d: &usize| {
        let value = Some(dimension::Value::DimValue(d as i64));
        Dimension { denotation: String::new(), value }
    };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dim).collect() });
    let value = Some(type_proto::Value::TensorType(type_proto::Tensor { elem_type, shape }));
    let r#type = Some(TypeProto { denotation: String::new(), value });
    ValueInfoProto { name: name.into(), r#type, doc_string: String::new() }
}
