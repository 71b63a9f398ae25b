//! Decides whether two models can be compared, and whether two predictions agree.
//!
//! | kind | agrees when |
//! |---|---|
//! | classification | the label is the same (none below the threshold) |
//! | multi-label | the labels above their thresholds are the same |
//! | anomaly | both scores are on the same side of their thresholds |
//! | regression, raw | each number is within the golden tolerance of the candidate's card, relative to numbers above 1 |

use std::mem::discriminant;

use super::interpret::{Body, Elements, Prediction};
use super::runner::ModelRunner;
use crate::bundle::batched_arrays::reals;
use crate::bundle::card::OutputKind;

/// The part of a prediction that is compared.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Label(Option<String>),
    Labels(Vec<String>),
    Anomaly(bool),
    Numbers(Vec<f64>),
}

/// Whether both models have the same inputs and the same kind of output.
pub(super) fn check_comparable(
    active: &ModelRunner,
    candidate: &ModelRunner,
) -> Result<(), String> {
    let windows = |r: &ModelRunner| r.plan.shape.map(|s| (s.length, s.channels, s.wide));
    if windows(active) != windows(candidate) {
        return Err("it takes windows of another shape".to_owned());
    }
    let sample = |r: &ModelRunner| (r.plan.width, r.plan.tensor_payload.is_some());
    let channels = |r: &ModelRunner| -> Vec<String> {
        r.card.inputs.iter().flat_map(|input| input.channels.clone()).collect()
    };
    let inputs = sample(active) == sample(candidate)
        && active.plan.fields == candidate.plan.fields
        && channels(active) == channels(candidate);
    if !inputs {
        return Err("it takes other channels".to_owned());
    }
    let (was, is) = (&active.card.output.kind, &candidate.card.output.kind);
    let same = match (was, is) {
        (OutputKind::Regression { names: was, .. }, OutputKind::Regression { names: is, .. }) => {
            was == is
        }
        (OutputKind::Raw, OutputKind::Raw) => {
            active.plan.output.shape() == candidate.plan.output.shape()
        }
        _ => discriminant(was) == discriminant(is),
    };
    if same { Ok(()) } else { Err("its output means something else".to_owned()) }
}

pub(super) fn answer_of(prediction: &Prediction<'_>) -> Answer {
    match &prediction.body {
        Body::Classification { label, .. } => Answer::Label(label.map(str::to_owned)),
        Body::MultiLabel { labels, scores, thresholds } => {
            let all = labels.iter().zip(*scores).zip(*thresholds);
            let over = all.filter(|((_, score), threshold)| score >= threshold);
            let mut over: Vec<String> = over.map(|((label, _), _)| label.clone()).collect();
            // The order may differ between models.
            over.sort_unstable();
            Answer::Labels(over)
        }
        Body::Anomaly { anomaly, .. } => Answer::Anomaly(*anomaly),
        Body::Regression { values, .. } => Answer::Numbers(widened(values)),
        Body::Raw { elements: Elements::Reals(values), .. } => Answer::Numbers(widened(values)),
        Body::Raw { elements: Elements::Stored(values), .. } => Answer::Numbers(reals(values)),
    }
}

fn widened(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

pub(super) fn agree(active: &Answer, candidate: &Answer, tolerance: f64) -> bool {
    let (Answer::Numbers(active), Answer::Numbers(candidate)) = (active, candidate) else {
        return active == candidate;
    };
    let near = |(a, c): (&f64, &f64)| (a - c).abs() <= tolerance * a.abs().max(1.0);
    active.len() == candidate.len() && active.iter().zip(candidate).all(near)
}
