//! Checks that every operator of a graph is supported, before anything is built.

use super::attributes;
use super::classical::is_classical;
use super::error::LoadError;
use super::graph::{AttributeValue, Graph, Node};
use super::tract::FloatCompiler;

/// Operators that the lowering replaces; the float runtime does not have them.
const LOWERED: &[&str] = &[
    "DynamicQuantizeLSTM",
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMul",
    "QLinearSigmoid",
    "QLinearSoftmax",
];

/// Operators of ONNX Runtime with the meaning of the standard operator of the same name.
const AS_STANDARD: &[&str] = &["QuantizeLinear", "DequantizeLinear", "Gelu", "Trilu"];

/// Whether the operator is supported. The float runtime ignores domains, and would run a custom
/// `Conv` as the standard one.
fn is_known(node: &Node, float: &FloatCompiler) -> bool {
    let name = node.op.as_str();
    match node.domain.as_str() {
        "" | "ai.onnx" => LOWERED.contains(&name) || float.has_operator(name),
        "ai.onnx.ml" => true,
        "com.microsoft" => LOWERED.contains(&name) || AS_STANDARD.contains(&name),
        _ => false,
    }
}

/// Checks the operators of a graph and of the graphs inside it.
///
/// # Errors
/// The first node whose operator is not supported, or that is malformed.
pub(super) fn check(graph: &Graph, float: &FloatCompiler) -> Result<(), LoadError> {
    for node in &graph.nodes {
        if !is_known(node, float) || !attributes::knows(node) {
            return Err(LoadError::Operator {
                node: node.label().to_owned(),
                operator: node.operator(),
                hint: hint(node),
            });
        }
        check_sizes(node)?;
        for graph in node.subgraphs() {
            if let Some(inner) = graph.nodes.iter().find(|inner| is_classical(inner)) {
                return Err(inner.refusal(
                    "it is inside of a loop or a branch: export the model without that, for one \
                     batch",
                ));
            }
            check(graph, float)?;
        }
    }
    Ok(())
}

/// The largest kernel, stride, dilation, padding or group count of a convolution or pool.
const MAX_WINDOW_SIZE: i64 = 1 << 16;

/// Refuses windows of impossible sizes: the float runtime computes addresses from them without
/// checks.
fn check_sizes(node: &Node) -> Result<(), LoadError> {
    for attribute in &node.attributes {
        let name = attribute.name.as_str();
        let min = match name {
            "strides" | "dilations" | "kernel_shape" | "group" => 1,
            "pads" | "output_padding" if node.op != "Pad" => 0,
            _ => continue,
        };
        let values = match &attribute.value {
            AttributeValue::Ints(values) => values.as_slice(),
            AttributeValue::Int(value) => std::slice::from_ref(value),
            _ => continue,
        };
        if let Some(value) = values.iter().find(|v| !(min..=MAX_WINDOW_SIZE).contains(*v)) {
            return Err(node.refusal(format!(
                "its {name} of {value} is not within {min}..={MAX_WINDOW_SIZE}"
            )));
        }
    }
    Ok(())
}

/// How the owner of the model can avoid the operator.
fn hint(node: &Node) -> &'static str {
    match node.domain.as_str() {
        "" | "ai.onnx" => standard_hint(&node.op),
        "ai.onnx.ml" => classical_hint(&node.op),
        "com.microsoft" => microsoft_hint(&node.op),
        "com.microsoft.nchwc" => {
            ": ONNX Runtime optimised this file for one processor; take the file from before, or \
             save it with sess_options.graph_optimization_level = ORT_ENABLE_BASIC"
        }
        domain if domain.starts_with("ai.onnx.preview.training") => TRAINING,
        _ => ": it is a custom operator; export the model with operators of ONNX itself",
    }
}

const TRAINING: &str =
    ": export the model for inference (model.eval()), without loss and optimizer";

fn standard_hint(op: &str) -> &'static str {
    match op {
        "Loop" => {
            ": in Keras, export recurrent layers with unroll=True; in PyTorch, replace loops over \
             tensors by a fixed number of steps"
        }
        "Attention" | "RMSNormalization" | "RotaryEmbedding" | "TensorScatter" | "Swish" => {
            ": export for an opset below 23 (torch.onnx.export(…, opset_version=18))"
        }
        "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => TRAINING,
        "Bernoulli" | "Multinomial" | "RandomNormal" | "RandomUniform" => TRAINING,
        "ImageDecoder" | "StringNormalizer" | "StringSplit" | "StringConcat" | "RegexFullMatch"
        | "TfIdfVectorizer" => {
            ": texts and pictures are not decoded here; cut this part off, and give the model its \
             numbers"
        }
        "NonMaxSuppression" => ": export the model without it (ultralytics: nms=False)",
        name if name.starts_with("Sequence") || name.starts_with("Optional") => {
            ": sequences and optional values are not supported; export the model with tensors only"
        }
        "SplitToSequence" | "ConcatFromSequence" => {
            ": sequences and optional values are not supported; export the model with tensors only"
        }
        _ => ": replace it with another operator, or export for another opset",
    }
}

fn classical_hint(op: &str) -> &'static str {
    match op {
        "CategoryMapper" | "DictVectorizer" | "CastMap" => {
            ": it reads texts or maps; give the model its numbers, in an order of your own"
        }
        _ => {
            ": trees, linear models, support vectors and scalers of scikit-learn, LightGBM and \
             XGBoost are supported"
        }
    }
}

fn microsoft_hint(op: &str) -> &'static str {
    match op {
        "MatMulNBits" | "MatMulBnb4" => {
            ": quantize with 8 bits (quantize_static or quantize_dynamic)"
        }
        _ => {
            ": ONNX Runtime's optimiser wrote it; take the file from before, or save it with \
             sess_options.graph_optimization_level = ORT_ENABLE_BASIC"
        }
    }
}
