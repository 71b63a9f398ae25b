//! QOperator models as QDQ models: every `QLinear…` node is a dequantization of its inputs, the
//! float operator, and a quantization of its result. Rewritten so, one lowering serves both.

use super::error::LoadError;
use super::graph::{Attribute, Node, reals};
use crate::tensor::{Data, Tensor};
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;

/// A node to lower, with the number of the model's node that it was made from.
#[derive(Clone, Debug)]
pub(super) struct ExpandedNode {
    node: Node,
    pub origin: usize,
}

impl Deref for ExpandedNode {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

type Constants = HashMap<String, Rc<Tensor>>;

/// The nodes of a graph with every QOperator node expanded.
///
/// # Errors
/// A QOperator node without one of its inputs, or with scales that are not constants.
pub(super) fn expand(
    nodes: Vec<Node>,
    constants: &mut Constants,
) -> Result<Vec<ExpandedNode>, LoadError> {
    let mut all = Vec::new();
    for (origin, node) in nodes.into_iter().enumerate() {
        if !is_qoperator(&node) {
            all.push(ExpandedNode { node, origin });
            continue;
        }
        let mut expansion =
            Expansion { node: &node, origin, constants: &mut *constants, nodes: Vec::new() };
        expansion.expand()?;
        all.append(&mut expansion.nodes);
    }
    Ok(all)
}

/// Whether the node is a quantized operator that [`expand`] replaces.
pub(super) fn is_qoperator(node: &Node) -> bool {
    node.op == "QGemm" || node.op.starts_with("QLinear")
}

struct Expansion<'a> {
    node: &'a Node,
    origin: usize,
    constants: &'a mut Constants,
    nodes: Vec<ExpandedNode>,
}

impl Expansion<'_> {
    fn expand(&mut self) -> Result<(), LoadError> {
        match self.node.op.as_str() {
            "QLinearConv" => self.conv(),
            "QLinearMatMul" => self.binary("MatMul"),
            "QLinearAdd" => self.binary("Add"),
            "QLinearMul" => self.binary("Mul"),
            "QGemm" => self.gemm(),
            "QLinearAveragePool" => self.unary("AveragePool"),
            "QLinearGlobalAveragePool" => self.unary("GlobalAveragePool"),
            "QLinearSigmoid" => self.unary("Sigmoid"),
            "QLinearLeakyRelu" => self.unary("LeakyRelu"),
            "QLinearSoftmax" => self.unary("Softmax"),
            "QLinearConcat" => self.concat(),
            _ => Err(self.node.refusal("it is not known as a quantized operator")),
        }
    }

    fn input(&self, i: usize) -> Result<String, LoadError> {
        let name = self.node.inputs.get(i).filter(|n| !n.is_empty()).cloned();
        name.ok_or_else(|| self.node.refusal(format!("it has no input {i}")))
    }

    fn optional(&self, i: usize) -> String {
        self.node.inputs.get(i).cloned().unwrap_or_default()
    }

    fn output(&self) -> Result<String, LoadError> {
        let name = self.node.outputs.first().filter(|n| !n.is_empty()).cloned();
        name.ok_or_else(|| self.node.refusal("it has no output"))
    }

    /// Adds a node with the name of the original.
    fn add(&mut self, op: &str, inputs: Vec<String>, output: String, attributes: Vec<Attribute>) {
        let node = Node {
            name: self.node.name.clone(),
            op: op.to_owned(),
            inputs,
            outputs: vec![output],
            attributes,
            ..Node::default()
        };
        self.nodes.push(ExpandedNode { node, origin: self.origin });
    }

    /// Dequantizes input `i` by inputs `i + 1` (scale) and `i + 2` (zero point), per channel along
    /// `axis`.
    fn dequantized(&mut self, i: usize, axis: i64) -> Result<String, LoadError> {
        let name = format!("{}#{i}", self.output()?);
        let inputs = vec![self.input(i)?, self.input(i + 1)?, self.optional(i + 2)];
        self.add("DequantizeLinear", inputs, name.clone(), vec![Attribute::int("axis", axis)]);
        Ok(name)
    }

    /// Quantizes `real` by inputs `i` (scale) and `i + 1` (zero point).
    fn quantized(&mut self, real: String, i: usize) -> Result<(), LoadError> {
        let inputs = vec![real, self.input(i)?, self.optional(i + 1)];
        let output = self.output()?;
        self.add("QuantizeLinear", inputs, output, Vec::new());
        Ok(())
    }

    /// Dequantizes the i32 bias in input `i`, whose scale is `alpha` times those in inputs `a` and
    /// `b`.
    fn bias(
        &mut self,
        i: usize,
        a: usize,
        b: usize,
        alpha: f64,
    ) -> Result<Option<String>, LoadError> {
        let bias = self.optional(i);
        if bias.is_empty() {
            return Ok(None);
        }
        let factor = |name: String| self.constants.get(&name).and_then(|t| reals(t));
        let (Some(a), Some(b)) = (factor(self.input(a)?), factor(self.input(b)?)) else {
            return Err(self.node.refusal("its scales are not constants"));
        };
        let a = a.first().copied().unwrap_or(f64::NAN) * alpha;
        #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
        let scales: Vec<f32> = b.iter().map(|b| (a * b) as f32).collect();
        let shape = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
        let output = self.output()?;
        let (scale, name) = (format!("{output}#bias_scale"), format!("{output}#bias"));
        let tensor = Tensor { shape, data: Data::F32(scales) };
        self.constants.insert(scale.clone(), Rc::new(tensor));
        self.add(
            "DequantizeLinear",
            vec![bias, scale],
            name.clone(),
            vec![Attribute::int("axis", 0)],
        );
        Ok(Some(name))
    }

    fn conv(&mut self) -> Result<(), LoadError> {
        let mut inputs = vec![self.dequantized(0, 1)?, self.dequantized(3, 0)?];
        inputs.extend(self.bias(8, 1, 4, 1.0)?);
        self.operator("Conv", inputs, 6)
    }

    fn gemm(&mut self) -> Result<(), LoadError> {
        let alpha = f64::from(self.node.float("alpha").unwrap_or(1.0));
        let axis = if self.node.int("transB").unwrap_or(0) == 0 { 1 } else { 0 };
        let mut inputs = vec![self.dequantized(0, 1)?, self.dequantized(3, axis)?];
        inputs.extend(self.bias(6, 1, 4, alpha)?);
        if self.optional(7).is_empty() {
            // No output scale: the result stays float.
            let output = self.output()?;
            self.add("Gemm", inputs, output, self.node.attributes.clone());
            return Ok(());
        }
        self.operator("Gemm", inputs, 7)
    }

    fn binary(&mut self, op: &str) -> Result<(), LoadError> {
        let inputs = vec![self.dequantized(0, -1)?, self.dequantized(3, -1)?];
        self.operator(op, inputs, 6)
    }

    fn unary(&mut self, op: &str) -> Result<(), LoadError> {
        if self.node.int("channels_last").unwrap_or(0) != 0 {
            return Err(self.node.refusal("channels_last is not supported"));
        }
        let inputs = vec![self.dequantized(0, 1)?];
        self.operator(op, inputs, 3)
    }

    /// The inputs are the output's scale and zero point, then three for each part.
    fn concat(&mut self) -> Result<(), LoadError> {
        let parts = (2..self.node.inputs.len()).step_by(3);
        let inputs = parts.map(|i| self.dequantized(i, 1)).collect::<Result<_, _>>()?;
        self.operator("Concat", inputs, 0)
    }

    /// Adds the float operator and the quantization of its result.
    fn operator(
        &mut self,
        op: &str,
        inputs: Vec<String>,
        quantization: usize,
    ) -> Result<(), LoadError> {
        let real = format!("{}#real", self.output()?);
        self.add(op, inputs, real.clone(), self.node.attributes.clone());
        self.quantized(real, quantization)
    }
}
