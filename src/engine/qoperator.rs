//! QOperator models as QDQ models: every `QLinear…` node is a dequantization of its inputs, the
//! float operator, and a quantization of its result. Rewritten so, one lowering serves both.

use super::constant;
use super::error::LoadError;
use super::proto::{Attributes, refuse};
use crate::tensor::{Data, Tensor};
use std::collections::HashMap;
use std::rc::Rc;
use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};

/// A node to lower, and the node of the model that it came from.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub proto: NodeProto,
    pub origin: usize,
}

type Constants = HashMap<String, Rc<Tensor>>;

/// The graph's nodes, each QOperator node replaced by what it means.
pub(super) fn expand(
    nodes: &[NodeProto],
    constants: &mut Constants,
) -> Result<Vec<Node>, LoadError> {
    let mut all = Vec::new();
    for (origin, proto) in nodes.iter().enumerate() {
        let mut rewriting =
            Rewriting { proto, origin, constants: &mut *constants, made: Vec::new() };
        rewriting.rewrite()?;
        all.append(&mut rewriting.made);
    }
    Ok(all)
}

struct Rewriting<'a> {
    proto: &'a NodeProto,
    origin: usize,
    constants: &'a mut Constants,
    made: Vec<Node>,
}

impl Rewriting<'_> {
    fn rewrite(&mut self) -> Result<(), LoadError> {
        match self.proto.op_type.as_str() {
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
            _ => {
                self.made.push(Node { proto: self.proto.clone(), origin: self.origin });
                Ok(())
            }
        }
    }

    fn input(&self, i: usize) -> Result<String, LoadError> {
        let name = self.proto.input.get(i).filter(|n| !n.is_empty()).cloned();
        name.ok_or_else(|| refuse(self.proto, format!("it has no input {i}")))
    }

    fn optional(&self, i: usize) -> String {
        self.proto.input.get(i).cloned().unwrap_or_default()
    }

    fn output(&self) -> Result<String, LoadError> {
        let name = self.proto.output.first().filter(|n| !n.is_empty()).cloned();
        name.ok_or_else(|| refuse(self.proto, "it has no output"))
    }

    /// Adds a node; its name is the original's, its result is named after the original's.
    fn add(
        &mut self,
        op: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
    ) {
        let proto = NodeProto {
            input,
            output: vec![output],
            name: self.proto.name.clone(),
            op_type: op.to_owned(),
            attribute,
            ..NodeProto::default()
        };
        self.made.push(Node { proto, origin: self.origin });
    }

    /// Dequantizes inputs `i`, `i + 1` (scale) and `i + 2` (zero point), per channel along `axis`.
    fn dequantized(&mut self, i: usize, axis: i64) -> Result<String, LoadError> {
        let name = format!("{}#{i}", self.output()?);
        let inputs = vec![self.input(i)?, self.input(i + 1)?, self.optional(i + 2)];
        self.add("DequantizeLinear", inputs, name.clone(), vec![int("axis", axis)]);
        Ok(name)
    }

    /// Quantizes `real` by the scale and zero point in inputs `i` and `i + 1`.
    fn quantized(&mut self, real: String, i: usize) -> Result<(), LoadError> {
        let inputs = vec![real, self.input(i)?, self.optional(i + 1)];
        let output = self.output()?;
        self.add("QuantizeLinear", inputs, output, Vec::new());
        Ok(())
    }

    /// The i32 bias in input `i`, whose scale is that of `a` times that of `b` (inputs).
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
        let factor = |name: String| self.constants.get(&name).and_then(|t| constant::floats(t));
        let (Some(a), Some(b)) = (factor(self.input(a)?), factor(self.input(b)?)) else {
            return Err(refuse(self.proto, "its scales are not constants"));
        };
        let a = a.first().copied().unwrap_or(f64::NAN) * alpha;
        #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
        let scales: Vec<f32> = b.iter().map(|b| (a * b) as f32).collect();
        let shape = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
        let output = self.output()?;
        let (scale, name) = (format!("{output}#bias_scale"), format!("{output}#bias"));
        let tensor = Tensor { shape, data: Data::F32(scales) };
        self.constants.insert(scale.clone(), Rc::new(tensor));
        self.add("DequantizeLinear", vec![bias, scale], name.clone(), vec![int("axis", 0)]);
        Ok(Some(name))
    }

    fn conv(&mut self) -> Result<(), LoadError> {
        let mut inputs = vec![self.dequantized(0, 1)?, self.dequantized(3, 0)?];
        inputs.extend(self.bias(8, 1, 4, 1.0)?);
        self.operator("Conv", inputs, 6)
    }

    fn gemm(&mut self) -> Result<(), LoadError> {
        let alpha = f64::from(self.proto.float("alpha").unwrap_or(1.0));
        let axis = if self.proto.int("transB").unwrap_or(0) == 0 { 1 } else { 0 };
        let mut inputs = vec![self.dequantized(0, 1)?, self.dequantized(3, axis)?];
        inputs.extend(self.bias(6, 1, 4, alpha)?);
        if self.optional(7).is_empty() {
            // No output scale: the result stays float.
            let output = self.output()?;
            self.add("Gemm", inputs, output, self.proto.attribute.clone());
            return Ok(());
        }
        self.operator("Gemm", inputs, 7)
    }

    fn binary(&mut self, op: &str) -> Result<(), LoadError> {
        let inputs = vec![self.dequantized(0, -1)?, self.dequantized(3, -1)?];
        self.operator(op, inputs, 6)
    }

    fn unary(&mut self, op: &str) -> Result<(), LoadError> {
        if self.proto.int("channels_last").unwrap_or(0) != 0 {
            return Err(refuse(self.proto, "channels_last is not supported"));
        }
        let inputs = vec![self.dequantized(0, 1)?];
        self.operator(op, inputs, 3)
    }

    /// Inputs: output scale, output zero point, then three for each part.
    fn concat(&mut self) -> Result<(), LoadError> {
        let parts = (2..self.proto.input.len()).step_by(3);
        let inputs = parts.map(|i| self.dequantized(i, 1)).collect::<Result<_, _>>()?;
        self.operator("Concat", inputs, 0)
    }

    /// The float operator and the quantization of its result.
    fn operator(
        &mut self,
        op: &str,
        inputs: Vec<String>,
        quantization: usize,
    ) -> Result<(), LoadError> {
        let real = format!("{}#real", self.output()?);
        self.add(op, inputs, real.clone(), self.proto.attribute.clone());
        self.quantized(real, quantization)
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}
