//! The operators of trees.

use super::classifier::{Form, form};
use super::ensemble::{Aggregate, Ensemble};
use super::indexed;
use super::listed::{self, OF_CLASSES, OF_TARGETS, numbers};
use super::walk::Real;
use crate::engine::classical::class_labels::ClassLabels;
use crate::engine::classical::numbers::Numbers;
use crate::engine::classical::rows::Rows;
use crate::engine::classical::scores::PostTransform;
use crate::engine::graph::Node;
use crate::tensor::{Data, Dtype};

/// The most targets of a regressor.
const MAX_TARGETS: i64 = 1 << 16;

/// A tree operator: `TreeEnsembleClassifier`, `TreeEnsembleRegressor` or `TreeEnsemble`.
#[derive(Debug)]
pub(in crate::engine::classical) struct TreeModel {
    trees: Trees,
    outcome: Outcome,
}

/// Trees with thresholds of the input's type.
#[derive(Debug)]
enum Trees {
    Floats(Ensemble<f32>),
    Doubles(Ensemble<f64>),
}

/// What is made of the sums.
#[derive(Debug)]
enum Outcome {
    Targets(PostTransform),
    Classes(Form, ClassLabels),
}

impl TreeModel {
    /// The operator in `node` for an input of `dtype`.
    ///
    /// # Errors
    /// Attributes that are no trees, or have no agreed meaning.
    pub(in crate::engine::classical) fn of(node: &Node, dtype: Dtype) -> Result<Self, String> {
        let doubles = dtype == Dtype::F64;
        let tensors = ["nodes_values_as_tensor", "nodes_splits", "leaf_weights"];
        let tensors = tensors.iter().filter_map(|name| node.tensor(name));
        if let Some(other) = tensors
            .map(|t| t.element)
            .find(|e| e.dtype() != Ok(if doubles { Dtype::F64 } else { Dtype::F32 }))
        {
            return Err(format!(
                "its thresholds are of type {}, its input is of type {dtype}: export it for \
                 inputs of the same type",
                other.name().unwrap_or("unknown")
            ));
        }
        let (trees, outcome) = if doubles {
            let (ensemble, outcome) = read(node)?;
            (Trees::Doubles(ensemble), outcome)
        } else {
            let (ensemble, outcome) = read(node)?;
            (Trees::Floats(ensemble), outcome)
        };
        Ok(Self { trees, outcome })
    }

    /// The least number of features of a row.
    pub(in crate::engine::classical) fn features(&self) -> usize {
        match &self.trees {
            Trees::Floats(trees) => trees.features,
            Trees::Doubles(trees) => trees.features,
        }
    }

    pub(in crate::engine::classical) fn classes(&self) -> Option<usize> {
        match &self.outcome {
            Outcome::Classes(_, labels) => Some(labels.len()),
            Outcome::Targets(_) => None,
        }
    }

    pub(in crate::engine::classical) fn targets(&self) -> usize {
        match &self.trees {
            Trees::Floats(trees) => trees.targets,
            Trees::Doubles(trees) => trees.targets,
        }
    }

    /// Runs the trees on every row of `input`. `outputs` are label and scores, or the targets.
    pub(in crate::engine::classical) fn run(
        &self,
        input: Numbers<'_>,
        rows: Rows,
        outputs: &mut [Data],
    ) {
        match &self.trees {
            Trees::Floats(trees) => {
                self.outcome.run(trees, input.floats().chunks_exact(rows.columns), outputs);
            }
            Trees::Doubles(trees) => {
                self.outcome.run(trees, input.doubles().chunks_exact(rows.columns), outputs);
            }
        }
    }
}

fn read<T: Real>(node: &Node) -> Result<(Ensemble<T>, Outcome), String> {
    match node.op.as_str() {
        "TreeEnsembleClassifier" => classifier(node),
        "TreeEnsembleRegressor" => regressor(node),
        _ => {
            let (ensemble, post) = indexed::read(node)?;
            Ok((ensemble, Outcome::Targets(post)))
        }
    }
}

fn classifier<T: Real>(node: &Node) -> Result<(Ensemble<T>, Outcome), String> {
    let labels = ClassLabels::of(node, "classlabels_int64s")?;
    let classes = labels.len();
    let mut ensemble = Ensemble::new(&listed::read(node, &OF_CLASSES)?, classes)?;
    ensemble.base = numbers(node, "base_values")?;
    let form = form(node, classes, ensemble.base.len())?;
    ensemble.narrow(form.sums(classes))?;
    Ok((ensemble, Outcome::Classes(form, labels)))
}

fn regressor<T: Real>(node: &Node) -> Result<(Ensemble<T>, Outcome), String> {
    let targets = node.int("n_targets").unwrap_or(0);
    let targets = usize::try_from(targets)
        .ok()
        .filter(|_| (1..=MAX_TARGETS).contains(&targets))
        .ok_or_else(|| format!("its n_targets = {targets} is not within 1..={MAX_TARGETS}"))?;
    let mut ensemble = Ensemble::new(&listed::read(node, &OF_TARGETS)?, targets)?;
    ensemble.base = numbers(node, "base_values")?;
    let bases = ensemble.base.len();
    if bases != 0 && bases != targets {
        return Err(format!("it has {bases} base_values for {targets} targets"));
    }
    ensemble.aggregate = match node.text("aggregate_function").unwrap_or("SUM") {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => return Err(format!("its aggregate_function = {other:?} is unknown")),
    };
    let post = PostTransform::of(node)?;
    post.check_single(targets)?;
    Ok((ensemble, Outcome::Targets(post)))
}

impl Outcome {
    fn run<'a, T: Real + 'a>(
        &self,
        trees: &Ensemble<T>,
        rows: impl Iterator<Item = &'a [T]>,
        outputs: &mut [Data],
    ) {
        match (self, outputs) {
            (Self::Classes(form, labels), [Data::I64(label), Data::F32(scores)]) => {
                let mut sums = vec![T::default(); trees.targets];
                let scores = scores.chunks_exact_mut(labels.len());
                for ((row, scores), label) in rows.zip(scores).zip(label) {
                    trees.sums(row, &mut sums);
                    *label = labels.id(form.finish(sums.iter().map(|s| s.real()), scores));
                }
            }
            (Self::Targets(post), [Data::F32(targets)]) => {
                let mut sums = vec![T::default(); trees.targets];
                for (row, targets) in rows.zip(targets.chunks_exact_mut(trees.targets)) {
                    trees.sums(row, &mut sums);
                    #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                    targets.iter_mut().zip(&sums).for_each(|(t, s)| *t = s.real() as f32);
                    post.apply(targets);
                }
            }
            (Self::Targets(_), [Data::F64(targets)]) => {
                let mut sums = vec![T::default(); trees.targets];
                for (row, targets) in rows.zip(targets.chunks_exact_mut(trees.targets)) {
                    trees.sums(row, &mut sums);
                    targets.iter_mut().zip(&sums).for_each(|(t, s)| *t = s.real());
                }
            }
            _ => {}
        }
    }
}
