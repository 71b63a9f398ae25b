//! Operators that ONNX Runtime's optimiser fuses, as the operators that they were.
//!
//! Their definitions are in ONNX Runtime's `docs/ContribOperators.md`.

use super::Rewriter;
use super::builder::{only_attributes, only_inputs, only_outputs, output};
use crate::engine::error::LoadError;
use crate::engine::graph::{Attribute, ElementType, Node};
use crate::tensor::Data;

const CONV: &[&str] = &[
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "pads",
    "strides",
    "activation",
    "activation_params",
];
const GEMM: &[&str] = &[
    "alpha",
    "beta",
    "transA",
    "transB",
    "activation",
    "activation_alpha",
    "activation_beta",
    "activation_gamma",
];
const MATMUL: &[&str] = &["alpha", "transA", "transB", "transBatchA", "transBatchB"];

impl Rewriter<'_, '_> {
    /// A convolution, the sum with another tensor if there is one, and an activation.
    pub(super) fn fused_conv(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, CONV)?;
        only_inputs(node, 4)?;
        only_outputs(node, 1)?;
        let y = output(node)?;
        let (sums, params) = (node.input(3), node.floats("activation_params").unwrap_or_default());
        let conv = format!("{y}#conv");
        let inputs: Vec<&str> = node.inputs.iter().take(3).map(String::as_str).collect();
        self.emit(node, "Conv", &inputs, &conv, without_activation(node))?;
        let mut value = conv;
        if !sums.is_empty() {
            let sum = format!("{y}#sum");
            self.emit(node, "Add", &[&value, sums], &sum, Vec::new())?;
            value = sum;
        }
        self.activation(node, &value, y, params)
    }

    /// A product of matrices and an activation.
    pub(super) fn fused_gemm(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, GEMM)?;
        only_inputs(node, 3)?;
        let y = output(node)?;
        let params = ["activation_alpha", "activation_beta"];
        let params: Vec<f32> = params.iter().map_while(|name| node.float(name)).collect();
        let gemm = format!("{y}#gemm");
        let inputs: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
        self.emit(node, "Gemm", &inputs, &gemm, without_activation(node))?;
        self.activation(node, &gemm, y, &params)
    }

    /// The activation that the node names, with its parameters.
    fn activation(
        &mut self,
        node: &Node,
        input: &str,
        y: &str,
        params: &[f32],
    ) -> Result<(), LoadError> {
        let name = node.text("activation").unwrap_or("");
        let attributes = match (name, params) {
            ("", []) => return self.emit(node, "Identity", &[input], y, Vec::new()),
            ("Relu" | "Tanh" | "Sigmoid", []) => Vec::new(),
            ("LeakyRelu", [alpha]) => vec![Attribute::float("alpha", *alpha)],
            ("HardSigmoid", [alpha, beta]) => {
                vec![Attribute::float("alpha", *alpha), Attribute::float("beta", *beta)]
            }
            ("Clip", [min, max]) => return self.clip(node, input, y, (*min, *max)),
            _ => {
                let reason = format!(
                    "its activation {name:?} with the parameters {params:?} is not supported: \
                     save the model with sess_options.graph_optimization_level = ORT_ENABLE_BASIC"
                );
                return Err(node.refusal(reason));
            }
        };
        self.emit(node, name, &[input], y, attributes)
    }

    /// A product of matrices, some of them transposed, times a factor.
    pub(super) fn fused_matmul(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, MATMUL)?;
        only_inputs(node, 2)?;
        let y = output(node)?;
        if ["transBatchA", "transBatchB"].iter().any(|name| node.int(name).unwrap_or(0) != 0) {
            return Err(node.refusal("its transBatchA or transBatchB is not supported"));
        }
        let a = self.maybe_transposed(node, 0, "transA")?;
        let b = self.maybe_transposed(node, 1, "transB")?;
        let alpha = node.float("alpha").unwrap_or(1.0);
        if alpha.to_bits() == 1f32.to_bits() {
            return self.emit(node, "MatMul", &[&a, &b], y, Vec::new());
        }
        let (product, factor) = (format!("{y}#product"), format!("{y}#alpha"));
        self.emit(node, "MatMul", &[&a, &b], &product, Vec::new())?;
        let factor = self.scalar(factor, alpha);
        self.emit(node, "Mul", &[&product, &factor], y, Vec::new())
    }

    /// The name of input `i`, with its last two axes exchanged if the attribute is set.
    fn maybe_transposed(
        &mut self,
        node: &Node,
        i: usize,
        attribute: &str,
    ) -> Result<String, LoadError> {
        let input = node.input(i).to_owned();
        if node.int(attribute).unwrap_or(0) == 0 {
            return Ok(input);
        }
        let Some(axes) = self.values.shape(&input).map(<[usize]>::len) else {
            return Err(node.refusal(format!("the number of axes of {input:?} is not known")));
        };
        if axes < 2 {
            return Ok(input);
        }
        let mut perm: Vec<i64> = (0..axes).filter_map(|axis| i64::try_from(axis).ok()).collect();
        perm.swap(axes - 2, axes - 1);
        let transposed = format!("{}#{attribute}", output(node)?);
        let perm = vec![Attribute::ints("perm", perm)];
        self.emit(node, "Transpose", &[&input], &transposed, perm)?;
        Ok(transposed)
    }

    /// Forms of Gelu: of the sum with a bias, by tanh, by sigmoid.
    pub(super) fn gelu(&mut self, node: &Node) -> Result<(), LoadError> {
        let y = output(node)?;
        let mut x = node.input(0).to_owned();
        only_inputs(node, if node.op == "QuickGelu" { 1 } else { 2 })?;
        only_attributes(node, if node.op == "QuickGelu" { &["alpha"] } else { &[] })?;
        if !node.input(1).is_empty() {
            let sum = format!("{y}#sum");
            self.emit(node, "Add", &[&x, node.input(1)], &sum, Vec::new())?;
            x = sum;
        }
        match node.op.as_str() {
            "QuickGelu" => {
                let alpha = node.float("alpha").unwrap_or(1.702);
                let alpha = self.scalar(format!("{y}#alpha"), alpha);
                let (scaled, gate) = (format!("{y}#scaled"), format!("{y}#gate"));
                self.emit(node, "Mul", &[&x, &alpha], &scaled, Vec::new())?;
                self.emit(node, "Sigmoid", &[&scaled], &gate, Vec::new())?;
                self.emit(node, "Mul", &[&x, &gate], y, Vec::new())
            }
            op => {
                let form = if op == "FastGelu" { "tanh" } else { "none" };
                self.emit(node, "Gelu", &[&x], y, vec![Attribute::text("approximate", form)])
            }
        }
    }

    /// A product of floats, quantized by their range, and quantized weights.
    pub(super) fn dynamic_quantize_matmul(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, &[])?;
        only_inputs(node, 5)?;
        let y = output(node)?;
        let part = |name: &str| format!("{y}#{name}");
        let (bytes, scale, zero) = (part("bytes"), part("scale"), part("zero"));
        self.keep(Node {
            name: bytes.clone(),
            op: "DynamicQuantizeLinear".to_owned(),
            inputs: vec![node.input(0).to_owned()],
            outputs: vec![bytes.clone(), scale.clone(), zero.clone()],
            original: super::builder::original(node),
            ..Node::default()
        })?;
        let [weights, weight_scale, weight_zero, bias] = [1, 2, 3, 4].map(|i| node.input(i));
        let factors = [bytes.as_str(), weights, &zero, weight_zero];
        self.scaled_product(node, factors, (&scale, weight_scale), bias)
    }

    /// A product of quantized values, as floats.
    pub(super) fn matmul_integer_to_float(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, &[])?;
        only_inputs(node, 7)?;
        let factors = [0, 1, 4, 5].map(|i| node.input(i));
        self.scaled_product(node, factors, (node.input(2), node.input(3)), node.input(6))
    }

    /// `MatMulInteger(factors) * scales + bias`
    fn scaled_product(
        &mut self,
        node: &Node,
        factors: [&str; 4],
        scales: (&str, &str),
        bias: &str,
    ) -> Result<(), LoadError> {
        let y = output(node)?;
        let part = |name: &str| format!("{y}#{name}");
        let (sums, floats, scale) = (part("sums"), part("floats"), part("scales"));
        let used = factors.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        self.emit(node, "MatMulInteger", factors.get(..used).unwrap_or(&factors), &sums, vec![])?;
        let to = vec![Attribute::int("to", ElementType::F32.code().into())];
        self.emit(node, "Cast", &[&sums], &floats, to)?;
        self.emit(node, "Mul", &[scales.0, scales.1], &scale, Vec::new())?;
        if bias.is_empty() {
            return self.emit(node, "Mul", &[&floats, &scale], y, Vec::new());
        }
        let product = part("product");
        self.emit(node, "Mul", &[&floats, &scale], &product, Vec::new())?;
        self.emit(node, "Add", &[&product, bias], y, Vec::new())
    }

    /// A constant of integers, for operators that take sizes and axes as inputs.
    pub(super) fn indices(&mut self, name: String, values: Vec<i64>) -> String {
        self.constant(name, vec![values.len()], Data::I64(values))
    }
}

fn without_activation(node: &Node) -> Vec<Attribute> {
    let own = node.attributes.iter().filter(|a| !a.name.starts_with("activation"));
    own.cloned().collect()
}
