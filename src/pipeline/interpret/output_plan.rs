//! The meaning of the model's output, checked against the card once.

use crate::bundle::card::{Activation, AnomalyScore, Card, OutputKind, OutputSpec};
use crate::pipeline::problems::Problems;
use crate::tensor::{Dtype, Quant, TensorSpec};

/// The output that is interpreted, and how.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct OutputPlan {
    /// Its index among the outputs of the model.
    pub(in crate::pipeline) index: usize,
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) quant: Option<Quant>,
    pub(super) activation: Activation,
    pub(super) kind: Interpretation,
}

/// [`OutputKind`] with what the shape of the output determines; lists are as long as the output.
#[derive(Clone, Debug)]
pub(super) enum Interpretation {
    /// One score for each label.
    Scores {
        labels: Vec<String>,
        top_k: usize,
        threshold: f32,
    },
    /// One score for the second of two labels.
    Binary {
        labels: Vec<String>,
        top_k: usize,
        threshold: f32,
    },
    /// The label's number, without a score (the first output of scikit-learn's classifiers).
    Index {
        labels: Vec<String>,
        /// The number of each label by its index; empty if they count from 0.
        ids: Vec<i64>,
    },
    MultiLabel {
        labels: Vec<String>,
        thresholds: Vec<f32>,
    },
    /// `units` may be empty.
    Regression {
        names: Vec<String>,
        units: Vec<String>,
        scale: Vec<f32>,
        offset: Vec<f32>,
    },
    /// `input` is the index of the input that a reconstruction is compared with.
    Anomaly {
        score: AnomalyScore,
        threshold: f32,
        input: usize,
    },
    Raw,
}

impl OutputPlan {
    pub(in crate::pipeline) fn new(
        card: &Card,
        input_lengths: &[usize],
        outputs: &[TensorSpec],
        problems: &mut Problems,
    ) -> Option<Self> {
        let wanted = card.output.name.as_ref();
        let Some(index) = wanted.map_or(Some(0), |n| outputs.iter().position(|o| o.name == *n))
        else {
            let names: Vec<_> = outputs.iter().map(|o| o.name.as_str()).collect();
            let problem = format!("{wanted:?} is no output of the model, which has {names:?}");
            problems.add("card: output.name", problem);
            return None;
        };
        let Some(spec) = outputs.get(index) else {
            problems.add("card: output", "the model has no output");
            return None;
        };
        match reading(&card.output, spec, input_lengths) {
            Ok(kind) => Some(Self {
                index,
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                quant: spec.quant,
                activation: card.output.activation,
                kind,
            }),
            Err((key, problem)) => {
                problems.add(key, problem);
                None
            }
        }
    }

    pub(in crate::pipeline) fn has_score(&self) -> bool {
        match self.kind {
            Interpretation::Scores { .. }
            | Interpretation::Binary { .. }
            | Interpretation::MultiLabel { .. }
            | Interpretation::Anomaly { .. } => true,
            Interpretation::Index { .. }
            | Interpretation::Regression { .. }
            | Interpretation::Raw => false,
        }
    }

    pub(in crate::pipeline) fn has_label(&self) -> bool {
        !matches!(self.kind, Interpretation::Regression { .. } | Interpretation::Raw)
    }

    pub(in crate::pipeline) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The real value of a step of a quantized output; 1 if it is not quantized.
    pub(in crate::pipeline) fn unit(&self) -> f64 {
        self.quant.map_or(1.0, |quant| quant.scale.into())
    }

    /// The input that the output is compared with, if any.
    pub(in crate::pipeline) fn compares_with(&self) -> Option<usize> {
        match self.kind {
            Interpretation::Anomaly { score: AnomalyScore::Output, .. } => None,
            Interpretation::Anomaly { input, .. } => Some(input),
            _ => None,
        }
    }
}

type Misfit = (&'static str, String);

fn reading(
    output: &OutputSpec,
    spec: &TensorSpec,
    input_lengths: &[usize],
) -> Result<Interpretation, Misfit> {
    let len = spec.len();
    match &output.kind {
        OutputKind::Classification { labels, top_k, threshold } => {
            match classification(labels, *top_k, *threshold, output.activation, spec)? {
                Interpretation::Index { labels, .. } => {
                    Ok(Interpretation::Index { labels, ids: output.class_ids.clone() })
                }
                scores => Ok(scores),
            }
        }
        OutputKind::MultiLabel { labels, thresholds } => {
            same("card: output.labels", "labels", labels.len(), spec)?;
            let thresholds = spread(thresholds, 0.5, len).ok_or_else(|| {
                count("card: output.thresholds", "thresholds", thresholds.len(), spec)
            })?;
            Ok(Interpretation::MultiLabel { labels: labels.clone(), thresholds })
        }
        OutputKind::Regression { names, units, scale, offset } => {
            same("card: output.names", "names", names.len(), spec)?;
            let bad = |key, what, n| move || count(key, what, n, spec);
            let units =
                if units.is_empty() { Some(Vec::new()) } else { spread(units, String::new(), len) }
                    .ok_or_else(bad("card: output.units", "units", units.len()))?;
            let scale = spread(scale, 1.0, len).ok_or_else(bad(
                "card: output.scale",
                "values",
                scale.len(),
            ))?;
            let offset = spread(offset, 0.0, len).ok_or_else(bad(
                "card: output.offset",
                "values",
                offset.len(),
            ))?;
            Ok(Interpretation::Regression { names: names.clone(), units, scale, offset })
        }
        OutputKind::Anomaly { score, threshold } => {
            anomaly(*score, *threshold, spec, input_lengths)
        }
        OutputKind::Raw => Ok(Interpretation::Raw),
    }
}

fn classification(
    labels: &[String],
    top_k: usize,
    threshold: f32,
    activation: Activation,
    spec: &TensorSpec,
) -> Result<Interpretation, Misfit> {
    let labels = labels.to_vec();
    let whole = matches!(spec.dtype, Dtype::I32 | Dtype::I64) && spec.quant.is_none();
    match (spec.len(), labels.len()) {
        (1, 1..) if whole => Ok(Interpretation::Index { labels, ids: Vec::new() }),
        (1, 2) if activation == Activation::Softmax => {
            Err(("card: output.activation", "softmax over a single score is always 1".to_owned()))
        }
        (1, 2) => Ok(Interpretation::Binary { labels, top_k, threshold }),
        (scores, n) if scores == n && n > 0 => {
            Ok(Interpretation::Scores { labels, top_k, threshold })
        }
        (_, n) => Err(count("card: output.labels", "labels", n, spec)),
    }
}

fn anomaly(
    score: AnomalyScore,
    threshold: f32,
    spec: &TensorSpec,
    input_lengths: &[usize],
) -> Result<Interpretation, Misfit> {
    if score == AnomalyScore::Output {
        same("card: output.score", "score", 1, spec)?;
        return Ok(Interpretation::Anomaly { score, threshold, input: 0 });
    }
    match input_lengths.iter().position(|length| *length == spec.len()) {
        Some(input) => Ok(Interpretation::Anomaly { score, threshold, input }),
        None => Err((
            "card: output.score",
            format!("no input has the {} elements of output {:?}", spec.len(), spec.name),
        )),
    }
}

fn same(key: &'static str, what: &str, n: usize, spec: &TensorSpec) -> Result<(), Misfit> {
    if n == spec.len() { Ok(()) } else { Err(count(key, what, n, spec)) }
}

fn count(key: &'static str, what: &str, n: usize, spec: &TensorSpec) -> Misfit {
    let TensorSpec { name, shape, .. } = spec;
    (key, format!("{n} {what} for the {} elements {shape:?} of output {name:?}", spec.len()))
}

/// None, one or all values, as many as there are elements.
fn spread<T: Clone>(values: &[T], none: T, len: usize) -> Option<Vec<T>> {
    match values {
        [] => Some(vec![none; len]),
        [one] => Some(vec![one.clone(); len]),
        all => (all.len() == len).then(|| all.to_vec()),
    }
}
