//! Which values of a region are floats, as far as operators tell. A node that works on floats waits
//! for the region, because it has a kernel; one that works on something else joins the region.

use crate::engine::graph::{ElementType, Node};
use crate::engine::lower::context::Lowering;
use crate::engine::lower::value::Value;
use crate::tensor::Dtype;

impl Lowering<'_> {
    /// Whether the node reads something that is known not to be floats where kernels take floats.
    pub(in crate::engine::lower) fn reads_others(&self, node: &Node) -> bool {
        let other = |name: &str| match self.values.get(name) {
            Some(Value::OpaqueTensor(tensor)) => tensor.dtype != Dtype::F32,
            Some(Value::Quantized(_)) => true,
            _ => self.others.contains(name),
        };
        // Further inputs of an operator that moves elements are shapes, axes and indices.
        let elements = if moves(&node.op) { 1 } else { node.inputs.len() };
        let computed = |name: &&String| !matches!(self.values.get(*name), Some(Value::Constant(_)));
        node.inputs.iter().take(elements).any(|name| other(name))
            || (moves(&node.op)
                && node.inputs.iter().skip(1).filter(|n| !n.is_empty()).any(|n| computed(&n)))
    }

    /// Records whether the results of a node in a region are known not to be floats.
    pub(in crate::engine::lower) fn record_types(&mut self, node: &Node) {
        let from = |i: usize| self.others.contains(node.input(i)) || self.is_other(node.input(i));
        let other = match node.op.as_str() {
            "Cast" => node.int("to") != Some(i64::from(ElementType::F32.code())),
            "Where" => from(1),
            op => MAKES_OTHERS.contains(&op) || from(0),
        };
        if other {
            self.others.extend(node.outputs.iter().cloned());
        }
    }

    fn is_other(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(Value::OpaqueTensor(tensor)) => tensor.dtype != Dtype::F32,
            Some(Value::Constant(tensor)) => tensor.dtype() != Dtype::F32,
            Some(Value::Quantized(_)) => true,
            _ => false,
        }
    }
}

/// Operators whose results are integers or truth values.
const MAKES_OTHERS: [&str; 16] = [
    "And",
    "ArgMax",
    "ArgMin",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "NonZero",
    "Not",
    "Or",
    "Shape",
    "Size",
    "Xor",
];

/// Operators that only move the elements of their first input.
fn moves(op: &str) -> bool {
    matches!(
        op,
        "Dropout"
            | "Expand"
            | "Flatten"
            | "Gather"
            | "Identity"
            | "Pad"
            | "Reshape"
            | "Slice"
            | "Split"
            | "Squeeze"
            | "Transpose"
            | "Unsqueeze"
    )
}

/// Operators that have float kernels.
pub(in crate::engine::lower) fn has_kernel(op: &str) -> bool {
    moves(op) || KERNELS.contains(&op)
}

const KERNELS: &[&str] = &[
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Div",
    "DynamicQuantizeLSTM",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "GRU",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "RMSNormalization",
    "RNN",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Round",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "ThresholdedRelu",
];
