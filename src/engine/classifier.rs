//! Classifiers of `ai.onnx.ml`, spelled out in operators whose results are beyond doubt.
//!
//! The float runtime takes the label of a binary classifier before it has made the second score, so
//! that the label is always the first class. Here the label is the class with the highest score, by
//! construction: both come from the same sums. What has no agreed meaning (ONNX Runtime itself gives
//! labels that contradict its scores there) is refused.

mod linear;
mod rewrite;
mod tree;

use super::error::LoadError;
use super::proto::{Attributes, refuse};
use tract_onnx::pb::{GraphProto, NodeProto};

pub(super) use rewrite::spell_out;

/// The sums of a classifier, and how they become scores.
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

/// What a classifier's scores are, for whoever reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scores {
    Softmax,
    Sigmoid,
    /// Sums that are probabilities already.
    Probabilities,
    Sums,
}

/// A classifier of the kinds that are spelled out here.
struct Classifier {
    form: Form,
    /// The class ids, in the order of the scores.
    ids: Vec<i64>,
    sums: Sums,
}

/// Where the sums come from.
enum Sums {
    Trees {
        /// Added to the sums; empty or one for each.
        base: Vec<f32>,
        /// Every sum is a mean of probabilities.
        probabilities: bool,
    },
    Linear {
        coefficients: Vec<f32>,
        intercepts: Vec<f32>,
    },
}

impl Classifier {
    /// The classifier that a node is; none where it is another operator.
    fn of(node: &NodeProto) -> Option<Result<Self, String>> {
        match node.op_type.as_str() {
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

/// Refuses a classifier whose label or scores would not be sure.
pub(super) fn check(node: &NodeProto) -> Result<(), LoadError> {
    match Classifier::of(node) {
        Some(Err(reason)) => Err(refuse(node, reason)),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Class ids and the kind of the scores, where the node is a classifier.
pub(super) fn describe(node: &NodeProto) -> Option<(Vec<i64>, Scores)> {
    let classifier = Classifier::of(node)?.ok()?;
    let scores = classifier.scores();
    Some((classifier.ids, scores))
}

/// The class ids in attribute `name`.
fn ids(node: &NodeProto, name: &str) -> Result<Vec<i64>, String> {
    if node.attribute("classlabels_strings").is_some_and(|a| !a.strings.is_empty()) {
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

fn transform(node: &NodeProto) -> Result<Transform, String> {
    match node.text("post_transform").unwrap_or("NONE") {
        "NONE" => Ok(Transform::None),
        "LOGISTIC" => Ok(Transform::Sigmoid),
        "SOFTMAX" => Ok(Transform::Softmax),
        other => Err(format!("post_transform {other:?} is not supported")),
    }
}

fn floats(node: &NodeProto, name: &str) -> Vec<f32> {
    node.attribute(name).map_or_else(Vec::new, |a| a.floats.clone())
}

/// Whether the graph has something for [`spell_out`].
fn is_spelled_out(node: &NodeProto) -> bool {
    matches!(
        node.op_type.as_str(),
        "TreeEnsembleClassifier" | "LinearClassifier" | "ArrayFeatureExtractor"
    )
}

/// The number of axes of a constant, as far as the graph shows it.
fn constant_rank(graph: &GraphProto, name: &str) -> Option<usize> {
    let tensor = graph.initializer.iter().find(|t| t.name == name);
    let rank = tensor.map(|t| t.dims.len());
    rank.or_else(|| {
        let makes = |n: &&NodeProto| n.op_type == "Constant" && n.output.iter().any(|o| o == name);
        let value = graph.node.iter().find(makes)?.attribute("value")?;
        value.t.as_ref().map(|t| t.dims.len())
    })
}
