//! What a pipeline made of a message, step by step, for people.

use serde::Serialize;

use super::step_report::{RejectCount, StepReport};
use super::stream::Pipeline;
use crate::clock::Timestamp;
use crate::tensor::{Data, Tensor};

/// The most samples, and the most numbers of a tensor, that are shown.
const SHOWN: usize = 24;

/// What a pipeline made of the last message.
#[derive(Debug, Serialize)]
pub struct StepTrace {
    /// The device of the last sample.
    pub device: String,
    /// Names of the numbers in a sample, where they have some.
    pub fields: Vec<String>,
    /// The samples as they were decoded, the first of them.
    pub samples: Vec<TracedSample>,
    /// Samples in the message.
    pub sample_count: usize,
    /// Samples, or messages, that were passed over.
    pub skipped: u32,
    /// Samples that the device's next window has, of those it needs.
    pub window: Option<(usize, usize)>,
    pub rejects: Vec<TracedReject>,
    /// Runs of the model.
    pub runs: u32,
    /// The tensors of the last run.
    pub inputs: Vec<TracedTensor>,
    pub outputs: Vec<TracedTensor>,
}

/// A sample as it was decoded.
#[derive(Debug, Serialize)]
pub struct TracedSample {
    /// Its own time.
    pub time: Option<Timestamp>,
    /// `None` for a number that is missing.
    pub values: Vec<Option<f64>>,
}

/// Samples that were refused for one reason.
#[derive(Debug, Serialize)]
pub struct TracedReject {
    pub code: &'static str,
    pub message: String,
    pub count: u32,
}

/// A tensor, with the first of its numbers.
#[derive(Debug, Serialize)]
pub struct TracedTensor {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<usize>,
    /// The numbers after normalisation, before they are cast; empty for outputs. Where features are
    /// made of them, all samples of a channel come before those of the next one.
    pub normalized: Vec<f64>,
    /// What the card's features are, before they are cast; empty without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<f64>,
    pub elements: Vec<f64>,
}

impl Pipeline {
    /// What the last [`Pipeline::step`] did, whose report this is.
    #[must_use]
    pub fn trace(&self, report: &StepReport) -> StepTrace {
        let (samples, sample_count) = self.traced_samples();
        let ran = report.runs > 0;
        StepTrace {
            device: self.device().to_owned(),
            fields: self.runner.plan.fields.clone(),
            samples,
            sample_count,
            skipped: report.skipped,
            window: report.fill.map(|fill| (fill.filled, fill.length)),
            rejects: report.rejects.iter().map(traced_reject).collect(),
            runs: report.runs,
            inputs: if ran { self.traced_inputs() } else { Vec::new() },
            outputs: if ran { self.traced_outputs() } else { Vec::new() },
        }
    }

    fn traced_samples(&self) -> (Vec<TracedSample>, usize) {
        let Some(samples) = self.decoded.samples() else { return (Vec::new(), 0) };
        let count = samples.times.len();
        let width = samples.values.len().checked_div(count).unwrap_or_default().max(1);
        let number = |value: &f64| (!value.is_nan()).then_some(*value);
        let rows = samples.values.chunks(width).zip(&samples.times).take(SHOWN);
        let shown = rows.map(|(row, time)| TracedSample {
            time: *time,
            values: row.iter().take(SHOWN).map(number).collect(),
        });
        (shown.collect(), count)
    }

    fn traced_inputs(&self) -> Vec<TracedTensor> {
        let runner = &self.runner;
        let tensors = runner.inputs().iter().zip(runner.numbers()).zip(&runner.plan.inputs);
        let first = |values: &[f64]| values.iter().take(SHOWN).copied().collect();
        let traced = tensors.map(|((tensor, numbers), plan)| {
            let features = plan.features.as_ref().map_or(&[][..], |_| numbers.reals());
            let (normalized, features) = (first(numbers.normalized(plan)), first(features));
            TracedTensor { normalized, features, ..traced(plan.name.clone(), tensor) }
        });
        traced.collect()
    }

    fn traced_outputs(&self) -> Vec<TracedTensor> {
        let outputs = self.runner.outputs();
        outputs.map(|(name, tensor)| traced(name.to_owned(), tensor)).collect()
    }
}

fn traced_reject(refused: &RejectCount) -> TracedReject {
    let RejectCount { reject, count } = refused;
    TracedReject { code: reject.code(), message: reject.to_string(), count: *count }
}

fn traced(name: String, tensor: &Tensor) -> TracedTensor {
    let (dtype, shape) = (tensor.dtype().to_string(), tensor.shape.clone());
    let (normalized, features) = (Vec::new(), Vec::new());
    TracedTensor { name, dtype, shape, normalized, features, elements: elements(&tensor.data) }
}

fn elements(data: &Data) -> Vec<f64> {
    macro_rules! first {
        ($values:expr) => {
            $values.iter().take(SHOWN).map(|value| f64::from(*value)).collect()
        };
    }
    match data {
        Data::F32(values) => first!(values),
        Data::F64(values) => first!(values),
        Data::I8(values) => first!(values),
        Data::U8(values) => first!(values),
        Data::I16(values) => first!(values),
        Data::U16(values) => first!(values),
        Data::I32(values) => first!(values),
        #[expect(clippy::cast_precision_loss, reason = "shown to people")]
        Data::I64(values) => values.iter().take(SHOWN).map(|value| *value as f64).collect(),
        Data::Bool(values) => {
            values.iter().take(SHOWN).map(|value| f64::from(u8::from(*value))).collect()
        }
    }
}
