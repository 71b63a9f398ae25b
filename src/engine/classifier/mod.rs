//! Classifiers of `ai.onnx.ml`, decomposed into standard operators.
//!
//! The float runtime picks the label of a binary classifier before it computes the second score, so
//! that the label is always the first class. Here the label is the class with the highest score, as
//! both are computed from the same sums. Classifiers without an agreed meaning are refused: for
//! those, the labels of ONNX Runtime itself contradict its scores.

mod decompose;
mod linear;
mod tree;

use crate::engine::error::LoadError;
use crate::engine::graph::{Graph, Node};
use std::collections::HashMap;

pub(super) use decompose::decompose;

/// How scores are computed from the sums of a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A sum for each class.
    Each(Transform),
    /// One sum `s` for the second of two classes, a probability: scores `[1 - s, s]`.
    Complement,
    /// One sum `s`, a margin: scores `[-s, s]`.
    Opposite,
    /// One sum `s`, a logit: scores `[sigmoid(-s), sigmoid(s)]`.
    Logistic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    None,
    Sigmoid,
    Softmax,
}

/// The meaning of a classifier's scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scores {
    Softmax,
    Sigmoid,
    /// Sums that are already probabilities.
    Probabilities,
    Sums,
}

/// A classifier of the kinds that are decomposed here.
struct Classifier {
    form: Form,
    /// The class ids, in the order of the scores.
    ids: Vec<i64>,
    sums: Sums,
}

/// How the sums of a classifier are computed.
enum Sums {
    Trees {
        /// Offsets of the sums: none, or one for each.
        base: Vec<f32>,
        /// Whether every sum is a mean of probabilities.
        probabilities: bool,
    },
    Linear {
        coefficients: Vec<f32>,
        intercepts: Vec<f32>,
    },
}

impl Classifier {
    /// Reads a classifier node. None for other operators.
    fn of(node: &Node) -> Option<Result<Self, String>> {
        match node.op.as_str() {
            "TreeEnsembleClassifier" => Some(tree::read(node)),
            "LinearClassifier" => Some(linear::read(node)),
            _ => None,
        }
    }

    fn scores(&self) -> Scores {
        match (self.form, &self.sums) {
            (Form::Each(Transform::Softmax), _) => Scores::Softmax,
            (Form::Each(Transform::Sigmoid) | Form::Logistic, _) => Scores::Sigmoid,
            (_, Sums::Trees { probabilities: true, .. }) => Scores::Probabilities,
            _ => Scores::Sums,
        }
    }
}

/// Refuses a classifier whose label or scores are ambiguous.
pub(super) fn check(node: &Node) -> Result<(), LoadError> {
    match Classifier::of(node) {
        Some(Err(reason)) => Err(node.refusal(reason)),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// The class ids and the meaning of the scores. None for nodes that are not classifiers.
pub(super) fn describe(node: &Node) -> Option<(Vec<i64>, Scores)> {
    let classifier = Classifier::of(node)?.ok()?;
    let scores = classifier.scores();
    Some((classifier.ids, scores))
}

/// The class ids in attribute `name`.
fn ids(node: &Node, name: &str) -> Result<Vec<i64>, String> {
    if node.texts("classlabels_strings").is_some_and(|texts| !texts.is_empty()) {
        return Err("its classes are texts, and the engine gives numbers: number the classes \
                    before training (sklearn.preprocessing.LabelEncoder), export again, and put \
                    their names into output.labels of the model card"
            .into());
    }
    let ids = node.ints(name).unwrap_or_default().to_vec();
    if ids.len() < 2 {
        return Err(format!("{name} has {} classes; a classifier needs two", ids.len()));
    }
    Ok(ids)
}

fn transform(node: &Node) -> Result<Transform, String> {
    match node.text("post_transform").unwrap_or("NONE") {
        "NONE" => Ok(Transform::None),
        "LOGISTIC" => Ok(Transform::Sigmoid),
        "SOFTMAX" => Ok(Transform::Softmax),
        other => Err(format!("post_transform {other:?} is not supported")),
    }
}

fn floats(node: &Node, name: &str) -> Vec<f32> {
    node.floats(name).unwrap_or_default().to_vec()
}

/// Whether [`decompose()`] replaces the node.
fn is_decomposed(node: &Node) -> bool {
    matches!(
        node.op.as_str(),
        "TreeEnsembleClassifier" | "LinearClassifier" | "ArrayFeatureExtractor"
    )
}

/// The number of axes of each constant of the graph, by name.
fn constant_ranks(graph: &Graph) -> HashMap<String, usize> {
    let initializers = graph.initializers.iter().map(|t| (t.name.clone(), t.shape.len()));
    let constants = graph.nodes.iter().filter(|n| n.op == "Constant").filter_map(|node| {
        let rank = node.tensor("value")?.shape.len();
        Some((node.outputs.first()?.clone(), rank))
    });
    constants.chain(initializers).collect()
}
