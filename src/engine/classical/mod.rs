//! Operators of `ai.onnx.ml`: trees, linear models, support vectors, and what exporters of
//! scikit-learn, LightGBM and XGBoost write around them.
//!
//! Every operator is a pure function of numbers, with attributes that were checked at load. The
//! meaning is that of ONNX Runtime's CPU kernels; where their label and scores contradict each
//! other, the node is refused or the label follows the scores.

mod class_labels;
mod evaluator;
mod features;
mod linear;
mod lookup;
mod numbers;
mod rows;
mod scores;
mod svm;
mod svm_probability;
mod texts;
mod trees;

pub(super) use class_labels::ClassLabels;
pub(super) use evaluator::{Classical, Operand};
pub(super) use numbers::Numbers;
pub(super) use texts::{Names, replace_texts};
pub(super) use trees::Scores;

use super::graph::Node;

const DOMAIN: &str = "ai.onnx.ml";

/// Whether this module computes the node.
pub(super) fn is_classical(node: &Node) -> bool {
    node.domain == DOMAIN
}

/// The classes and the meaning of the scores of a classifier. None for other nodes, and for those
/// that are refused.
pub(super) fn describe(node: &Node) -> Option<(ClassLabels, Scores)> {
    if !is_classical(node) {
        return None;
    }
    match node.op.as_str() {
        "TreeEnsembleClassifier" => trees::describe(node).ok(),
        "LinearClassifier" => linear::describe(node).ok(),
        "SVMClassifier" => svm::describe(node).ok(),
        _ => None,
    }
}
