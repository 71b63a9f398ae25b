//! The ONNX protobuf: decoding it, and reading names, attributes and shapes from it.

use super::error::LoadError;
use super::foreign;
use prost::Message;
use std::collections::BTreeSet;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension},
    type_proto::{self, Value},
};

/// Decodes a model and checks that it has a graph with something in it.
pub(super) fn decode(bytes: &[u8]) -> Result<(ModelProto, GraphProto), LoadError> {
    let mut model = ModelProto::decode(bytes).map_err(|error| {
        log::debug!("a model cannot be decoded: {error}");
        undecodable(bytes, "its bytes are damaged, or of a format that is not known here")
    })?;
    let Some(graph) = model.graph.take() else {
        return Err(undecodable(bytes, "there is no graph in it; is it cut off?"));
    };
    if graph.node.is_empty() || graph.output.is_empty() {
        return Err(undecodable(bytes, "its graph has no nodes or no outputs"));
    }
    if model.opset_import.is_empty() {
        return Err(undecodable(bytes, "it names no operator set; is it cut off?"));
    }
    Ok((model, graph))
}

/// What bytes are that are no model: another format, a model that is cut off, or else `otherwise`.
fn undecodable(bytes: &[u8], otherwise: &str) -> LoadError {
    let what = foreign::identify(bytes).map(|what| format!("it is {what}"));
    let cut_off = || {
        let bytes = foreign::missing(bytes)?;
        Some(format!(
            "it is cut off, at least {bytes} bytes are missing at its end: copy or download it again"
        ))
    };
    LoadError::Parse(what.or_else(cut_off).unwrap_or_else(|| otherwise.to_owned()))
}

/// The name of a node for messages: its own, or its first output's where it has none.
pub(super) fn label(node: &NodeProto) -> &str {
    let output = node.output.iter().find(|o| !o.is_empty());
    if node.name.is_empty() { output.map_or("unnamed", String::as_str) } else { &node.name }
}

/// The operator's name with its domain, as `com.microsoft.QGemm`; the standard domain is left out.
pub(super) fn operator(node: &NodeProto) -> String {
    let name = match node.domain.as_str() {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    };
    // A file may hold anything, and a terminal obeys some of it.
    if name.chars().any(char::is_control) { name.escape_debug().to_string() } else { name }
}

/// A refusal that names the node.
pub(super) fn refuse(node: &NodeProto, reason: impl Into<String>) -> LoadError {
    LoadError::Node {
        node: label(node).to_owned(),
        operator: operator(node),
        reason: reason.into(),
    }
}

/// Attributes by name, with the defaults of the specification at the place of use.
pub(super) trait Attributes {
    fn attribute(&self, name: &str) -> Option<&AttributeProto>;

    fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).map(|a| a.i)
    }

    fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|a| a.f)
    }

    fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.attribute(name).and_then(|a| std::str::from_utf8(&a.s).ok())
    }
}

impl Attributes for NodeProto {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name == name)
    }
}

/// The element type and dimensions of a tensor type; none for sequences, maps and optionals.
pub(super) fn tensor_type(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match info.r#type.as_ref()?.value.as_ref()? {
        Value::TensorType(t) => Some(t),
    }
}

/// A declaration of a tensor with a fixed shape.
pub(super) fn declare(name: &str, elem_type: i32, shape: &[usize]) -> ValueInfoProto {
    let dim = |&d: &usize| {
        let value = dimension::Value::DimValue(i64::try_from(d).unwrap_or(i64::MAX));
        Dimension { denotation: String::new(), value: Some(value) }
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type, shape: Some(shape) };
    let value = Some(Value::TensorType(tensor));
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { denotation: String::new(), value }),
        doc_string: String::new(),
    }
}

/// The graphs inside a node (branches and loop bodies).
pub(super) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Every name a node reads: its inputs, and what the graphs inside it take from outside.
pub(super) fn reads(node: &NodeProto) -> BTreeSet<&str> {
    let own = node.input.iter().map(String::as_str).filter(|n| !n.is_empty());
    own.chain(subgraphs(node).flat_map(captured)).collect()
}

fn captured(graph: &GraphProto) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = graph.node.iter().flat_map(reads).collect();
    names.extend(graph.output.iter().map(|o| o.name.as_str()));
    for made in graph.node.iter().flat_map(|n| &n.output) {
        names.remove(made.as_str());
    }
    let given = graph.input.iter().map(|i| &i.name);
    for name in given.chain(graph.initializer.iter().map(|i| &i.name)) {
        names.remove(name.as_str());
    }
    names
}
