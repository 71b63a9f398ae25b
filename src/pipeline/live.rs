//! What a page shows of a stream while somebody looks: the predictions of a step, and the last input
//! of the model before and after normalization.

use serde::Serialize;

use super::interpret::{Body, Prediction};
use super::observation::Observation;
use super::runner::ModelRunner;
use crate::bundle::card::Layout;
use crate::clock::Timestamp;

/// The most numbers of an input that are copied; a larger one is cut.
const MAX_VALUES: usize = 8192;
/// The most scores of a prediction.
const MAX_SCORES: usize = 12;

/// A prediction as a page shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LivePrediction {
    pub device: String,
    pub time: Timestamp,
    /// The label, or a word for what was said; `None` if every score was below the threshold.
    pub label: Option<String>,
    /// The score of the label, or the value of a regression or an anomaly.
    pub score: Option<f32>,
    /// The best labels with their scores, or the values of a regression.
    pub scores: Vec<(String, f32)>,
}

/// The normalized samples of an input of the model, before features are made of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveInput {
    pub name: String,
    pub channels: usize,
    /// Whether all channels of a sample are together, else all samples of a channel.
    pub by_sample: bool,
    pub values: Vec<f32>,
}

/// The last input of a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LiveWindow {
    pub device: String,
    /// Names of the fields, one for each channel of `raw`; may be empty.
    pub fields: Vec<String>,
    /// Numbers in a sample of `raw`.
    pub width: usize,
    /// The samples as they came, the oldest first; empty if the payload is a tensor.
    pub raw: Vec<f32>,
    pub inputs: Vec<LiveInput>,
}

/// What one step gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveStep {
    pub predictions: Vec<LivePrediction>,
    pub window: Option<LiveWindow>,
}

/// Records steps while a stream is watched.
#[derive(Debug, Default)]
pub(super) struct LiveRecorder {
    /// The devices whose windows are wanted; empty for any.
    devices: Vec<String>,
    step: LiveStep,
}

impl LiveRecorder {
    pub(super) fn want(&mut self, devices: &[String]) {
        if self.devices != devices {
            self.devices = devices.to_vec();
        }
    }

    pub(super) fn note(&mut self, seen: &Observation<'_>) {
        self.step.predictions.push(live_prediction(seen));
    }

    /// Copies the input of the last run, which was of this device. `samples`: the message, where it
    /// is a whole input.
    pub(super) fn note_input(&mut self, device: &str, runner: &ModelRunner, samples: &[f64]) {
        let wanted = self.devices.is_empty() || self.devices.iter().any(|name| name == device);
        if !wanted {
            return;
        }
        let plan = &runner.plan;
        let raw = if plan.shape.is_some() { runner.window.as_slice() } else { samples };
        let inputs = plan.inputs.iter().zip(runner.numbers()).map(|(input, numbers)| LiveInput {
            name: input.name.clone(),
            channels: input.channels(),
            by_sample: input.layout == Layout::TIME_CHANNEL,
            values: short(numbers.normalized(input)),
        });
        self.step.window = Some(LiveWindow {
            device: device.to_owned(),
            fields: plan.fields.clone(),
            width: if plan.fields.is_empty() { plan.width } else { plan.fields.len() },
            raw: short(raw),
            inputs: inputs.collect(),
        });
    }

    pub(super) fn take(&mut self) -> LiveStep {
        std::mem::take(&mut self.step)
    }
}

/// As many numbers as are shown, in the precision that is shown.
fn short(values: &[f64]) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "a chart has fewer points than f32 digits")]
    let values = values.iter().take(MAX_VALUES).map(|value| *value as f32);
    values.collect()
}

fn live_prediction(seen: &Observation<'_>) -> LivePrediction {
    let Prediction { body, key } = seen.prediction;
    let named = |names: &[String], values: &[f32]| -> Vec<(String, f32)> {
        names.iter().cloned().zip(values.iter().copied()).take(MAX_SCORES).collect()
    };
    let (label, scores) = match body {
        Body::Classification { label, scores, .. } => {
            let scores = scores.iter().take(MAX_SCORES);
            let scores = scores.map(|(label, score)| (label.to_owned(), score));
            (label.map(str::to_owned), scores.collect())
        }
        Body::MultiLabel { labels, scores, thresholds } => {
            let over = scores.iter().zip(*thresholds).map(|(score, least)| score >= least);
            let over = labels.iter().zip(over).filter(|(_, over)| *over);
            let over: Vec<&str> = over.map(|(label, _)| label.as_str()).collect();
            let label = (!over.is_empty()).then(|| over.join(" + "));
            (label, named(labels, scores))
        }
        Body::Regression { names, values, .. } => (names.first().cloned(), named(names, values)),
        Body::Anomaly { anomaly, .. } => {
            (Some(if *anomaly { "anomaly" } else { "normal" }.to_owned()), Vec::new())
        }
        Body::Raw { name, .. } => (Some((*name).to_owned()), Vec::new()),
    };
    let score = key.score.or_else(|| scores.first().map(|(_, value)| *value));
    LivePrediction { device: seen.device.to_owned(), time: seen.time, label, score, scores }
}
