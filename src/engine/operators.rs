//! Which operators exist here, found out before anything is built.

use super::attributes;
use super::classifier;
use super::error::LoadError;
use super::proto::{label, operator, refuse, subgraphs};
use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, NodeProto};

/// Operators that only the lowering knows (it turns them into ones that exist).
const LOWERED: &[&str] = &[
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

/// Operators of ONNX Runtime that mean what the standard's of the same name mean.
const AS_STANDARD: &[&str] = &["QuantizeLinear", "DequantizeLinear", "Gelu", "Trilu"];

/// Whether something here runs the operator. The float runtime goes by the name alone: a custom
/// `Conv` would be run as the standard one.
fn is_known(node: &NodeProto, onnx: &Onnx) -> bool {
    let name = node.op_type.as_str();
    match node.domain.as_str() {
        "" | "ai.onnx" | "ai.onnx.ml" => {
            LOWERED.contains(&name) || onnx.op_register.0.contains_key(name)
        }
        "com.microsoft" => LOWERED.contains(&name) || AS_STANDARD.contains(&name),
        _ => false,
    }
}

/// Refuses a graph with an operator that nothing here runs, naming the node.
pub(super) fn check(graph: &GraphProto, onnx: &Onnx) -> Result<(), LoadError> {
    for node in &graph.node {
        if !is_known(node, onnx) || !attributes::knows(node) {
            return Err(LoadError::Operator {
                node: label(node).to_owned(),
                operator: operator(node),
                hint: hint(node),
            });
        }
        check_sizes(node)?;
        classifier::check(node)?;
        for graph in subgraphs(node) {
            check(graph, onnx)?;
        }
    }
    Ok(())
}

/// Sizes of a window beyond this are no model's.
const LARGEST: i64 = 1 << 16;

/// Refuses windows with sizes that make no sense: the float runtime computes addresses from them
/// without looking.
fn check_sizes(node: &NodeProto) -> Result<(), LoadError> {
    for attribute in &node.attribute {
        let name = attribute.name.as_str();
        let (values, least) = match name {
            "strides" | "dilations" | "kernel_shape" => (attribute.ints.as_slice(), 1),
            "pads" | "output_padding" if node.op_type != "Pad" => (attribute.ints.as_slice(), 0),
            "group" => (std::slice::from_ref(&attribute.i), 1),
            _ => continue,
        };
        if let Some(value) = values.iter().find(|v| !(least..=LARGEST).contains(*v)) {
            return Err(refuse(
                node,
                format!("its {name} of {value} is not within {least}..={LARGEST}"),
            ));
        }
    }
    Ok(())
}

/// What the owner of the model can do about it.
fn hint(node: &NodeProto) -> &'static str {
    match node.domain.as_str() {
        "" | "ai.onnx" => standard_hint(&node.op_type),
        "ai.onnx.ml" => classical_hint(&node.op_type),
        "com.microsoft" => microsoft_hint(&node.op_type),
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
            ": of Keras, export recurrent layers with unroll=True; of PyTorch, replace loops over \
             tensors by fixed numbers of steps"
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
        _ => ": export the model with another operator in its place, or for another opset",
    }
}

fn classical_hint(op: &str) -> &'static str {
    match op {
        "ZipMap" => ": export with skl2onnx options={'zipmap': False}, or onnxmltools zipmap=False",
        "Scaler" => {
            ": leave the scaler out of the export and put its mean and scale into the model card"
        }
        "Imputer" => ": leave the imputer out of the export, and send complete samples",
        "LabelEncoder" => {
            ": number the classes before training (sklearn.preprocessing.LabelEncoder), and put \
             their names into output.labels of the model card"
        }
        _ => ": of scikit-learn, linear models, neural networks and tree classifiers convert",
    }
}

fn microsoft_hint(op: &str) -> &'static str {
    match op {
        "DynamicQuantizeLSTM" => ": quantize with op_types_to_quantize=['Conv', 'MatMul', 'Gemm']",
        "MatMulNBits" | "MatMulBnb4" => {
            ": quantize with 8 bits (quantize_static or quantize_dynamic)"
        }
        _ => {
            ": ONNX Runtime's optimiser wrote it; take the file from before, or save it with \
             sess_options.graph_optimization_level = ORT_ENABLE_BASIC"
        }
    }
}
