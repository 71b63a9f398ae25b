//! Graphs, their nodes and attributes.

use super::tensor_data::TensorData;
use super::value_info::ValueInfo;
use crate::engine::error::LoadError;
use std::collections::BTreeSet;

/// A graph with sorted nodes: each reads inputs, constants, and results of earlier nodes only.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::engine) struct Graph {
    pub nodes: Vec<Node>,
    /// Constants of the graph, by name.
    pub initializers: Vec<TensorData>,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
}

/// An operator with the names of its inputs and outputs. An empty name is an input or output that
/// is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::engine) struct Node {
    pub name: String,
    pub op: String,
    /// The operator set of `op`; empty for the standard one.
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<Attribute>,
    /// Name of the model's node that this one replaces a part of; empty for a node of the model.
    pub original: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Attribute {
    pub name: String,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) enum AttributeValue {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Floats(Vec<f32>),
    /// Bytes that should be UTF-8.
    Text(Vec<u8>),
    Texts(Vec<Vec<u8>>),
    Tensor(TensorData),
    Graph(Graph),
    /// The value of an attribute of the function around the node.
    Reference,
    /// A type that no operator here has.
    Other,
}

impl Attribute {
    pub(in crate::engine) fn int(name: &str, value: i64) -> Self {
        Self { name: name.to_owned(), value: AttributeValue::Int(value) }
    }

    pub(in crate::engine) fn ints(name: &str, values: Vec<i64>) -> Self {
        Self { name: name.to_owned(), value: AttributeValue::Ints(values) }
    }

    pub(in crate::engine) fn float(name: &str, value: f32) -> Self {
        Self { name: name.to_owned(), value: AttributeValue::Float(value) }
    }

    pub(in crate::engine) fn text(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: AttributeValue::Text(value.as_bytes().to_vec()) }
    }
}

/// Attributes are read by name, with the defaults of the specification at the place of use. None
/// means that the node does not have the attribute, or has it with another type.
impl Node {
    pub(in crate::engine) fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|a| a.name == name).map(|a| &a.value)
    }

    pub(in crate::engine) fn int(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            AttributeValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub(in crate::engine) fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attribute(name)? {
            AttributeValue::Ints(values) => Some(values),
            _ => None,
        }
    }

    pub(in crate::engine) fn float(&self, name: &str) -> Option<f32> {
        match self.attribute(name)? {
            AttributeValue::Float(value) => Some(*value),
            _ => None,
        }
    }

    pub(in crate::engine) fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.attribute(name)? {
            AttributeValue::Floats(values) => Some(values),
            _ => None,
        }
    }

    pub(in crate::engine) fn text(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            AttributeValue::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(in crate::engine) fn texts(&self, name: &str) -> Option<&[Vec<u8>]> {
        match self.attribute(name)? {
            AttributeValue::Texts(values) => Some(values),
            _ => None,
        }
    }

    pub(in crate::engine) fn tensor(&self, name: &str) -> Option<&TensorData> {
        match self.attribute(name)? {
            AttributeValue::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }
}

impl Node {
    /// The name of the node for messages: its own, or that of its first output.
    pub(in crate::engine) fn label(&self) -> &str {
        let output = self.outputs.iter().find(|o| !o.is_empty());
        if self.name.is_empty() { output.map_or("unnamed", String::as_str) } else { &self.name }
    }

    /// The operator's name with its domain, as `com.microsoft.QGemm`; the standard domain is left
    /// out.
    pub(in crate::engine) fn operator(&self) -> String {
        let name = match self.domain.as_str() {
            "" | "ai.onnx" => self.op.clone(),
            domain => format!("{domain}.{}", self.op),
        };
        // Control characters of a file must not reach a terminal.
        if name.chars().any(char::is_control) { name.escape_debug().to_string() } else { name }
    }

    /// The node without its attributes, which may hold weights.
    pub(in crate::engine) fn without_attributes(&self) -> Self {
        Self {
            name: self.name.clone(),
            op: self.op.clone(),
            domain: self.domain.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            attributes: Vec::new(),
            original: self.original.clone(),
        }
    }

    /// A refusal of the model that names this node.
    pub(in crate::engine) fn refusal(&self, reason: impl Into<String>) -> LoadError {
        LoadError::Node {
            node: self.label().to_owned(),
            operator: self.operator(),
            reason: reason.into(),
        }
    }

    /// The name of the input at `index`; empty if the node leaves it out.
    pub(in crate::engine) fn input(&self, index: usize) -> &str {
        self.inputs.get(index).map_or("", String::as_str)
    }

    /// The graphs inside the node: branches and loop bodies.
    pub(in crate::engine) fn subgraphs(&self) -> impl Iterator<Item = &Graph> {
        self.attributes.iter().filter_map(|a| match &a.value {
            AttributeValue::Graph(graph) => Some(graph),
            _ => None,
        })
    }

    pub(in crate::engine) fn subgraphs_mut(&mut self) -> impl Iterator<Item = &mut Graph> {
        self.attributes.iter_mut().filter_map(|a| match &mut a.value {
            AttributeValue::Graph(graph) => Some(graph),
            _ => None,
        })
    }

    /// Every value that the node reads: its inputs, and outside values that the graphs in it read.
    pub(in crate::engine) fn reads(&self) -> BTreeSet<&str> {
        let own = self.inputs.iter().map(String::as_str).filter(|n| !n.is_empty());
        own.chain(self.subgraphs().flat_map(captures)).collect()
    }
}

/// The outside values that a graph in a node reads.
fn captures(graph: &Graph) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = graph.nodes.iter().flat_map(Node::reads).collect();
    names.extend(graph.outputs.iter().map(|o| o.name.as_str()));
    for made in graph.nodes.iter().flat_map(|n| &n.outputs) {
        names.remove(made.as_str());
    }
    let given = graph.inputs.iter().map(|i| &i.name);
    for name in given.chain(graph.initializers.iter().map(|i| &i.name)) {
        names.remove(name.as_str());
    }
    names
}
