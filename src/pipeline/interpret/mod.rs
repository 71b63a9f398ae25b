//! Interprets the output tensor as a prediction, as the card defines.
//!
//! A classification whose best score is below the threshold of the card has no label (`null` in
//! messages), because a name such as "unknown" may be a label of the model.

mod output_plan;

#[cfg(test)]
mod tests;

use output_plan::Interpretation;
pub(super) use output_plan::OutputPlan;

use super::numbers::round6;
use super::reject::Reject;
use crate::bundle::card::{Activation, AnomalyScore};
use crate::tensor::{Data, Quant, Tensor};

/// The prediction for one input.
#[derive(Debug)]
pub(super) struct Prediction<'a> {
    pub(super) body: Body<'a>,
    pub(super) key: PublishKey,
}

/// The part of a prediction that the publish rules use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PublishKey {
    /// Equal for equal predictions; stable between starts of the daemon.
    pub(super) mark: u64,
    /// What the score belongs to: the number of the label, or 0 if there is only one score.
    pub(super) subject: u64,
    pub(super) score: Option<f32>,
}

impl Prediction<'_> {
    /// How clear the prediction is: the best score less the second best, or for an anomaly the
    /// distance of the score from its threshold. `None` for predictions without scores.
    pub(super) fn margin(&self) -> Option<f32> {
        match &self.body {
            Body::Classification { scores, .. } => scores.margin(),
            Body::Anomaly { score, threshold, .. } => Some((score - threshold).abs()),
            Body::MultiLabel { .. } | Body::Regression { .. } | Body::Raw { .. } => None,
        }
    }
}

/// A prediction by kind.
#[derive(Debug)]
pub(super) enum Body<'a> {
    Classification { label: Option<&'a str>, score: Option<f32>, scores: Scores<'a> },
    MultiLabel { labels: &'a [String], scores: &'a [f32], thresholds: &'a [f32] },
    Regression { names: &'a [String], units: &'a [String], values: &'a [f32] },
    Anomaly { score: f32, threshold: f32, anomaly: bool },
    Raw { name: &'a str, shape: &'a [usize], elements: Elements<'a> },
}

/// The best labels with their scores, best first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores<'a> {
    labels: &'a [String],
    scores: &'a [f32],
    best: &'a [usize],
}

impl<'a> Scores<'a> {
    /// The score of every label; empty where the model gives none.
    pub(super) fn all(self) -> &'a [f32] {
        self.scores
    }

    fn margin(self) -> Option<f32> {
        if self.scores.len() < 2 {
            return None;
        }
        let two = self.scores.iter().fold([f32::MIN; 2], |[first, second], &score| {
            if score > first { [score, first] } else { [first, second.max(score)] }
        });
        let [first, second] = two;
        Some(first - second)
    }

    pub(super) fn iter(self) -> impl ExactSizeIterator<Item = (&'a str, f32)> {
        self.best.iter().map(move |&i| {
            let label = self.labels.get(i).map_or("", String::as_str);
            (label, self.scores.get(i).copied().unwrap_or_default())
        })
    }
}

/// The elements of a raw output.
#[derive(Debug)]
pub(super) enum Elements<'a> {
    /// As the model stores them.
    Stored(&'a Data),
    /// Quantized elements as the real numbers that they represent.
    Reals(&'a [f32]),
}

/// Buffers of the interpretation, reused for every run.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    reals: Vec<f32>,
    order: Vec<usize>,
}

impl OutputPlan {
    /// Interprets the output of the model. `compared` holds the normalised values of the input that a
    /// reconstruction is compared with.
    ///
    /// # Errors
    /// [`Reject::BadOutput`] if the output is not finite or names no label.
    pub(super) fn interpret<'a>(
        &'a self,
        output: &'a Tensor,
        compared: &[f64],
        scratch: &'a mut Scratch,
    ) -> Result<Prediction<'a>, Reject> {
        reals(&output.data, self.quant, &mut scratch.reals);
        if !scratch.reals.iter().all(|v| v.is_finite()) {
            return Err(self.bad("is not finite".to_owned()));
        }
        activate(self.activation, &mut scratch.reals);
        match &self.kind {
            Interpretation::Scores { labels, top_k, threshold } => {
                Ok(classify(labels, *top_k, *threshold, scratch))
            }
            Interpretation::Binary { labels, top_k, threshold } => {
                let second = scratch.reals.first().copied().unwrap_or_default();
                scratch.reals.insert(0, 1.0 - second);
                Ok(classify(labels, *top_k, *threshold, scratch))
            }
            Interpretation::Index { labels, ids } => self.index(labels, ids, &output.data),
            Interpretation::MultiLabel { labels, thresholds } => {
                Ok(multi_label(labels, thresholds, &scratch.reals))
            }
            Interpretation::Regression { names, units, scale, offset } => {
                for ((value, scale), offset) in scratch.reals.iter_mut().zip(scale).zip(offset) {
                    *value = round6(*value * scale + offset);
                }
                // Scaling a finite output may overflow.
                if !scratch.reals.iter().all(|v| v.is_finite()) {
                    return Err(self.bad("is not finite when it is scaled".to_owned()));
                }
                let mark = mark(scratch.reals.iter().map(|v| v.to_bits()));
                let body = Body::Regression { names, units, values: &scratch.reals };
                Ok(Prediction { body, key: PublishKey { mark, subject: 0, score: None } })
            }
            Interpretation::Anomaly { score, threshold, .. } => {
                let score = round6(anomaly_score(*score, &scratch.reals, compared));
                let anomaly = score >= *threshold;
                let key = PublishKey { mark: u64::from(anomaly), subject: 0, score: Some(score) };
                Ok(Prediction {
                    body: Body::Anomaly { score, threshold: *threshold, anomaly },
                    key,
                })
            }
            Interpretation::Raw => {
                let elements = match (self.quant, self.activation) {
                    (Some(_), _) | (_, Activation::Softmax | Activation::Sigmoid) => {
                        Elements::Reals(&scratch.reals)
                    }
                    (None, Activation::None) => Elements::Stored(&output.data),
                };
                let mark = mark(scratch.reals.iter().map(|v| v.to_bits()));
                let body = Body::Raw { name: &self.name, shape: &self.shape, elements };
                Ok(Prediction { body, key: PublishKey { mark, subject: 0, score: None } })
            }
        }
    }

    fn bad(&self, problem: String) -> Reject {
        Reject::BadOutput { output: self.name.clone(), problem }
    }

    fn index<'a>(
        &self,
        labels: &'a [String],
        ids: &[i64],
        data: &Data,
    ) -> Result<Prediction<'a>, Reject> {
        let number = match data {
            Data::I64(v) => v.first().copied(),
            Data::I32(v) => v.first().map(|&n| i64::from(n)),
            _ => None,
        };
        let place = match ids {
            [] => number.and_then(|n| usize::try_from(n).ok()),
            ids => ids.iter().position(|id| Some(*id) == number),
        };
        let Some(label) = place.and_then(|place| labels.get(place)) else {
            return Err(self.bad(format!("is {number:?}, not one of {} labels", labels.len())));
        };
        let subject = place.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        let scores = Scores { labels: &[], scores: &[], best: &[] };
        let body = Body::Classification { label: Some(label), score: None, scores };
        Ok(Prediction {
            body,
            key: PublishKey { mark: subject.saturating_add(1), subject, score: None },
        })
    }
}

fn classify<'a>(
    labels: &'a [String],
    top_k: usize,
    threshold: f32,
    scratch: &'a mut Scratch,
) -> Prediction<'a> {
    let Scratch { reals, order } = scratch;
    rank(reals, top_k.max(1), order);
    let top = order.first().copied().unwrap_or_default();
    let score = round6(reals.get(top).copied().unwrap_or_default());
    let label = labels.get(top).map(String::as_str).filter(|_| score >= threshold);
    let subject = u64::try_from(top).unwrap_or_default();
    let mark = if label.is_some() { subject.saturating_add(1) } else { 0 };
    let best = order.get(..top_k.min(order.len())).unwrap_or_default();
    let scores = Scores { labels, scores: reals, best };
    let body = Body::Classification { label, score: Some(score), scores };
    Prediction { body, key: PublishKey { mark, subject, score: Some(score) } }
}

/// The indices of the `k` best scores, best first; equal scores in the model's order.
fn rank(scores: &[f32], k: usize, order: &mut Vec<usize>) {
    order.clear();
    let score = |i: usize| scores.get(i).copied().unwrap_or(f32::MIN);
    for candidate in 0..scores.len() {
        let place = order.partition_point(|&i| score(i) >= score(candidate));
        if place < k {
            order.truncate(k.saturating_sub(1));
            order.insert(place, candidate);
        }
    }
}

fn multi_label<'a>(
    labels: &'a [String],
    thresholds: &'a [f32],
    scores: &'a [f32],
) -> Prediction<'a> {
    let over = scores.iter().zip(thresholds).map(|(score, threshold)| score >= threshold);
    let mark = mark(over.map(u32::from));
    let best = scores.iter().copied().fold(f32::MIN, f32::max);
    let key = PublishKey { mark, subject: 0, score: Some(round6(best)) };
    Prediction { body: Body::MultiLabel { labels, scores, thresholds }, key }
}

/// The mean squared or absolute difference, or the output itself.
fn anomaly_score(score: AnomalyScore, output: &[f32], input: &[f64]) -> f32 {
    let differences = || output.iter().zip(input).map(|(o, i)| f64::from(*o) - i);
    let total: f64 = match score {
        AnomalyScore::Output => return output.first().copied().unwrap_or_default(),
        AnomalyScore::ReconstructionMse => differences().map(|d| d * d).sum(),
        AnomalyScore::ReconstructionMae => differences().map(f64::abs).sum(),
    };
    #[expect(clippy::cast_precision_loss, reason = "no tensor has 2^53 elements")]
    let mean = total / output.len().max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a score has the precision of the output")]
    let mean = mean as f32;
    mean
}

fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::None => {}
        Activation::Sigmoid => values.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp())),
        Activation::Softmax => {
            // Shifted by the maximum, so that no exponential overflows.
            let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            values.iter_mut().for_each(|v| *v = (*v - top).exp());
            let sum: f32 = values.iter().sum();
            values.iter_mut().for_each(|v| *v /= sum);
        }
    }
}

/// Converts the elements of an output to the numbers that they represent.
fn reals(data: &Data, quant: Option<Quant>, into: &mut Vec<f32>) {
    into.clear();
    match data {
        Data::F32(v) => into.extend_from_slice(v),
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32; too large is inf")]
        Data::F64(v) => into.extend(v.iter().map(|&x| x as f32)),
        Data::I8(v) => dequantize(v.iter().map(|&q| i32::from(q)), quant, into),
        Data::U8(v) => dequantize(v.iter().map(|&q| i32::from(q)), quant, into),
        Data::I16(v) => dequantize(v.iter().map(|&q| i32::from(q)), quant, into),
        Data::U16(v) => dequantize(v.iter().map(|&q| i32::from(q)), quant, into),
        Data::I32(v) => dequantize(v.iter().copied(), quant, into),
        #[expect(clippy::cast_precision_loss, reason = "as a score; raw outputs keep the integer")]
        Data::I64(v) => into.extend(v.iter().map(|&x| x as f32)),
        Data::Bool(v) => into.extend(v.iter().map(|&x| f32::from(u8::from(x)))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "quantized values beyond 2^24 do not matter")]
fn dequantize(values: impl Iterator<Item = i32>, quant: Option<Quant>, into: &mut Vec<f32>) {
    match quant {
        None => into.extend(values.map(|q| q as f32)),
        Some(Quant { scale, zero }) => {
            into.extend(values.map(|q| q.wrapping_sub(zero) as f32 * scale));
        }
    }
}

/// A hash that is equal on every machine and in every version.
fn mark(parts: impl Iterator<Item = u32>) -> u64 {
    let mut crc = crc32fast::Hasher::new();
    parts.for_each(|part| crc.update(&part.to_le_bytes()));
    u64::from(crc.finalize())
}
