//! Which operators exist here, found out before anything is built.

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

/// Refuses a graph with an operator that nothing here runs, naming the node.
pub(super) fn check(graph: &GraphProto, onnx: &Onnx) -> Result<(), LoadError> {
    for node in &graph.node {
        let name = node.op_type.as_str();
        if !LOWERED.contains(&name) && !onnx.op_register.0.contains_key(name) {
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
    match (node.domain.as_str(), node.op_type.as_str()) {
        (_, "ZipMap") => ": export with skl2onnx options={'zipmap': False}",
        ("ai.onnx.ml", "Scaler") => {
            ": leave the scaler out of the export and put its mean and scale into the model card"
        }
        ("ai.onnx.ml", _) => {
            ": of scikit-learn, linear models, neural networks and tree classifiers convert"
        }
        ("com.microsoft", "DynamicQuantizeLSTM") => {
            ": quantize with op_types_to_quantize=['Conv', 'MatMul', 'Gemm']"
        }
        ("com.microsoft", _) => ": export without ONNX Runtime's own optimisations",
        _ => "",
    }
}
