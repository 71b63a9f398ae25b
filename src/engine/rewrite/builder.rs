//! Nodes and constants of rewritten graphs.

use super::Rewriter;
use crate::engine::error::LoadError;
use crate::engine::graph::{Attribute, Node, TensorData};
use crate::tensor::{Data, Tensor};

impl Rewriter<'_, '_> {
    /// Adds a node that makes `output` in place of a part of `of`.
    pub(super) fn emit(
        &mut self,
        of: &Node,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<Attribute>,
    ) -> Result<(), LoadError> {
        self.keep(Node {
            name: output.to_owned(),
            op: op.to_owned(),
            domain: String::new(),
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            outputs: vec![output.to_owned()],
            attributes,
            original: original(of),
        })
    }

    /// Adds a constant and returns its name.
    pub(super) fn constant(&mut self, name: String, shape: Vec<usize>, data: Data) -> String {
        self.add_constant(TensorData::from_tensor(name.clone(), &Tensor { shape, data }));
        name
    }

    pub(super) fn add_constant(&mut self, tensor: TensorData) {
        self.values.add_constant(&tensor);
        self.constants.insert(tensor.name.clone(), tensor);
    }

    /// A single float.
    pub(super) fn scalar(&mut self, name: String, value: f32) -> String {
        self.constant(name, Vec::new(), Data::F32(vec![value]))
    }

    /// Adds an Unsqueeze by `axes`, in the form of the model's opset.
    pub(super) fn unsqueeze(
        &mut self,
        of: &Node,
        input: &str,
        output: &str,
        axes: Vec<i64>,
    ) -> Result<(), LoadError> {
        if self.opset < 13 {
            return self.emit(
                of,
                "Unsqueeze",
                &[input],
                output,
                vec![Attribute::ints("axes", axes)],
            );
        }
        let shape = vec![axes.len()];
        let axes = self.constant(format!("{output}#axes"), shape, Data::I64(axes));
        self.emit(of, "Unsqueeze", &[input, &axes], output, Vec::new())
    }

    /// Adds a Clip, in the form of the model's opset.
    pub(super) fn clip(
        &mut self,
        of: &Node,
        input: &str,
        output: &str,
        (min, max): (f32, f32),
    ) -> Result<(), LoadError> {
        if self.opset < 11 {
            let bounds = vec![Attribute::float("min", min), Attribute::float("max", max)];
            return self.emit(of, "Clip", &[input], output, bounds);
        }
        let min = self.scalar(format!("{output}#min"), min);
        let max = self.scalar(format!("{output}#max"), max);
        self.emit(of, "Clip", &[input, &min, &max], output, Vec::new())
    }
}

/// The name of the model's node that `node` is or was made from.
pub(super) fn original(node: &Node) -> String {
    if node.original.is_empty() { node.label().to_owned() } else { node.original.clone() }
}

/// The name of the first output.
///
/// # Errors
/// A node without one.
pub(super) fn output(node: &Node) -> Result<&str, LoadError> {
    let output = node.outputs.first().filter(|output| !output.is_empty());
    output.map(String::as_str).ok_or_else(|| node.refusal("it has no output"))
}

/// Refuses outputs after the first `count` that the model uses.
pub(super) fn only_outputs(node: &Node, count: usize) -> Result<(), LoadError> {
    match node.outputs.iter().skip(count).find(|output| !output.is_empty()) {
        Some(output) => Err(node.refusal(format!("its output {output:?} is not supported"))),
        None => Ok(()),
    }
}

/// Refuses attributes other than the `known` ones.
pub(super) fn only_attributes(node: &Node, known: &[&str]) -> Result<(), LoadError> {
    match node.attributes.iter().find(|a| !known.contains(&a.name.as_str())) {
        Some(a) => Err(node.refusal(format!("its attribute {} is not supported", a.name))),
        None => Ok(()),
    }
}

/// Refuses inputs after the first `count`.
pub(super) fn only_inputs(node: &Node, count: usize) -> Result<(), LoadError> {
    match node.inputs.iter().skip(count).find(|input| !input.is_empty()) {
        Some(input) => Err(node.refusal(format!("its input {input:?} is not supported"))),
        None => Ok(()),
    }
}
