//! From the sums of a `TreeEnsembleClassifier` to label and scores.
//!
//! ONNX leaves open what the scores of two classes are if the leaves have weights for one class
//! only. This follows ONNX Runtime where its label is the class with the highest score; other
//! combinations are refused, or the label follows the scores.

use crate::engine::classical::class_labels::ClassLabels;
use crate::engine::classical::scores::{PostTransform, highest, logistic};
use crate::engine::graph::Node;
use std::collections::{BTreeMap, BTreeSet};

/// How scores are computed from sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine::classical) enum Form {
    /// A sum for each class.
    Each(PostTransform),
    /// One sum `s` for the second of two classes, a probability: scores `[1 - s, s]`.
    Complement,
    /// One sum `s`, a margin: scores `[-s, s]`.
    Opposite,
    /// One sum `s`, a logit: scores `[logistic(-s), logistic(s)]`.
    Logistic,
}

/// The meaning of a classifier's scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Scores {
    Softmax,
    Sigmoid,
    /// Sums that are already probabilities.
    Probabilities,
    Sums,
    /// Probabilities of classes; the label is that with the most votes of pairs.
    Votes,
    /// The label is not the class with the highest score.
    OtherThanLabel,
    Unknown,
}

impl Form {
    /// The number of sums for this number of classes.
    pub(in crate::engine::classical) fn sums(self, classes: usize) -> usize {
        if matches!(self, Self::Each(_)) { classes } else { 1 }
    }

    /// Writes the scores of one row, and returns the index of its class.
    pub(in crate::engine::classical) fn finish(
        self,
        sums: impl Iterator<Item = f64> + Clone,
        scores: &mut [f32],
    ) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
        let single = |x: f64| x as f32;
        if let Self::Each(post) = self {
            let best = highest(sums.clone());
            scores.iter_mut().zip(sums).for_each(|(score, sum)| *score = single(sum));
            post.apply(scores);
            return best;
        }
        let sum = sums.take(1).fold(0.0, |_, s| s);
        let s = single(sum);
        let (pair, limit) = match self {
            Self::Complement => ([1.0 - s, s], 0.5),
            Self::Logistic => ([logistic(-s), logistic(s)], 0.0),
            _ => ([-s, s], 0.0),
        };
        scores.iter_mut().zip(pair).for_each(|(score, x)| *score = x);
        usize::from(sum > limit)
    }
}

/// The form of the scores, from the classes that leaves have weights for.
pub(super) fn form(node: &Node, classes: usize, base: usize) -> Result<Form, String> {
    let post = PostTransform::of(node)?;
    let ids = node.ints("class_ids").unwrap_or_default();
    let weighted: BTreeSet<i64> = ids.iter().copied().collect();
    let positive = weights(node).all(|w| w >= 0.0);
    let refused = |reason: &str| {
        Err(format!(
            "two classes with leaves for {weighted:?}, {base} base_values and post_transform \
             {post:?} have no agreed meaning{reason}: export with zipmap off and raw scores, or \
             for three classes"
        ))
    };
    if classes > 2 {
        return match base {
            0 => Ok(Form::Each(post)),
            base if base == classes => Ok(Form::Each(post)),
            base => Err(format!("it has {base} base_values for {classes} classes")),
        };
    }
    let only_first = weighted.iter().all(|&class| class == 0);
    let both = weighted.len() == 2;
    match (only_first, base, post) {
        (_, _, PostTransform::Probit) if !both => refused(" (one probit of two)"),
        (true, 0 | 1, PostTransform::Logistic) => Ok(Form::Logistic),
        (true, 0 | 1, _) if positive => Ok(Form::Complement),
        (true, 0 | 1, _) => Ok(Form::Opposite),
        (false, 0, post) if both || !positive => match post {
            PostTransform::SoftmaxZero => refused(" (zeros are left out)"),
            post => Ok(Form::Each(post)),
        },
        (false, 0, PostTransform::Logistic | PostTransform::Softmax) => Ok(Form::Each(post)),
        _ => refused(""),
    }
}

/// The weights of leaves, from either attribute.
fn weights(node: &Node) -> impl Iterator<Item = f64> {
    let of_tensor = super::listed::numbers::<f64>(node, "class_weights").unwrap_or_default();
    of_tensor.into_iter()
}

/// The labels and the meaning of the scores.
///
/// # Errors
/// A combination of attributes without an agreed meaning.
pub(in crate::engine::classical) fn describe(node: &Node) -> Result<(ClassLabels, Scores), String> {
    let labels = ClassLabels::of(node, "classlabels_int64s")?;
    let base = super::listed::numbers::<f64>(node, "base_values")?;
    let scores = match form(node, labels.len(), base.len())? {
        Form::Each(PostTransform::Softmax) => Scores::Softmax,
        Form::Each(PostTransform::Logistic) | Form::Logistic => Scores::Sigmoid,
        Form::Each(PostTransform::Probit) => Scores::Unknown,
        Form::Each(PostTransform::SoftmaxZero) => Scores::OtherThanLabel,
        _ if base.is_empty() && is_share(node) => Scores::Probabilities,
        _ => Scores::Sums,
    };
    Ok((labels, scores))
}

/// Whether the sums are between 0 and 1: one leaf of every tree adds up to no more.
fn is_share(node: &Node) -> bool {
    /// Rounding lets sums of probabilities exceed 1 by this much.
    const ROUNDING: f64 = 1e-3;
    let column = |name: &str| node.ints(name).unwrap_or_default();
    let places = column("class_treeids").iter().zip(column("class_nodeids"));
    let mut totals = BTreeMap::<(i64, i64), f64>::new();
    for ((&tree, &id), weight) in places.zip(weights(node)) {
        if weight < 0.0 {
            return false;
        }
        *totals.entry((tree, id)).or_default() += weight;
    }
    let mut largest = BTreeMap::<i64, f64>::new();
    for ((tree, _), total) in totals {
        let most = largest.entry(tree).or_default();
        *most = most.max(total);
    }
    largest.values().sum::<f64>() <= 1.0 + ROUNDING
}
