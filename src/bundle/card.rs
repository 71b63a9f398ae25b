//! The model card: everything that a stream needs to know about its model, typed and validated.

use std::collections::BTreeMap;
use std::time::Duration;

pub use super::feature_spec::FeatureSpec;
pub use super::layout::{Layout, SeriesLayout};
use crate::ids::ModelName;
use crate::tensor::TensorSpec;

/// `card.toml`
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    pub name: ModelName,
    pub version: String,
    /// The model's file, within the bundle.
    pub file: String,
    pub description: String,
    pub licence: String,
    /// Free text on its origin: who trained it, how and with which data.
    pub source: String,
    /// `None`: every message is one whole input.
    pub window: Option<WindowSpec>,
    /// In the order of the model's inputs, without those of constant values.
    pub inputs: Vec<InputSpec>,
    /// Outputs that become inputs of the next run. These inputs are not in `inputs`.
    pub states: Vec<StateSpec>,
    pub output: OutputSpec,
    pub golden: Option<GoldenSpec>,
    /// Sizes of the dimensions that the model's inputs leave open, by name or position.
    pub dims: BTreeMap<String, usize>,
    /// The values of inputs that are always the same, by name. They are not in `inputs`.
    pub constants: BTreeMap<String, Vec<f64>>,
}

impl Card {
    /// The inputs that samples are made into: those of the model without states.
    #[must_use]
    pub fn fed(&self, inputs: &[TensorSpec]) -> Vec<TensorSpec> {
        let is_state = |spec: &&TensorSpec| self.states.iter().any(|it| it.input == spec.name);
        inputs.iter().filter(|spec| !is_state(spec)).cloned().collect()
    }
}

/// `[[state]]`: an output of the model that is an input of the next run of the same device.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpec {
    /// The name of the model's input.
    pub input: String,
    /// The name of the model's output, of the same type and shape.
    pub output: String,
    /// What the first run takes: one number for all elements, or one for each.
    pub value: Vec<f64>,
    /// A longer time between two samples starts the state over. The same for all states of a card.
    pub max_gap: Option<Duration>,
}

/// `[window]`
#[derive(Clone, Debug, PartialEq)]
pub struct WindowSpec {
    /// Samples in a window.
    pub length: usize,
    /// Samples from the start of one window to the start of the next.
    pub hop: usize,
    /// A longer silence restarts the window.
    pub max_gap: Option<Duration>,
    /// Samples of zeros that a window starts with when there are none before.
    pub lead: usize,
}

/// `[[input]]`
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// The model input's name.
    pub name: String,
    /// Names of the channels in the model's order; the fields of a stream match them by position.
    /// If empty, elements are used in the order of the payload.
    pub channels: Vec<String>,
    pub layout: Layout,
    pub normalize: Normalize,
    /// What is made of the normalised samples.
    pub features: FeatureSpec,
    /// Whether real values are quantized with the scale of the model input. Otherwise integers are
    /// used unchanged.
    pub quantize: bool,
}

/// Per channel, or one value for all.
#[derive(Clone, Debug, PartialEq)]
pub enum Normalize {
    None,
    /// `(x - mean) / std`
    MeanStd {
        mean: Vec<f32>,
        std: Vec<f32>,
    },
    /// `(x - min) / (max - min)`
    MinMax {
        min: Vec<f32>,
        max: Vec<f32>,
    },
    /// `x * scale + offset`
    ScaleOffset {
        scale: Vec<f32>,
        offset: Vec<f32>,
    },
}

/// `[output]`
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSpec {
    /// The model output that is interpreted. By default the first, or the scores if the first is a
    /// class and the model has scores too.
    pub name: Option<String>,
    pub kind: OutputKind,
    pub activation: Activation,
    /// The id of each label of an output that is a class only, unless ids count from 0. Read from
    /// the model at load; the card does not contain it.
    pub class_ids: Vec<i64>,
}

impl OutputSpec {
    /// The labels of a classification or a multi-label output; empty for others.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        match &self.kind {
            OutputKind::Classification { labels, .. } | OutputKind::MultiLabel { labels, .. } => {
                labels
            }
            _ => &[],
        }
    }
}

/// The meaning of the output.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputKind {
    Classification { labels: Vec<String>, top_k: usize, threshold: f32 },
    MultiLabel { labels: Vec<String>, thresholds: Vec<f32> },
    Regression { names: Vec<String>, units: Vec<String>, scale: Vec<f32>, offset: Vec<f32> },
    Anomaly { score: AnomalyScore, threshold: f32 },
    Raw,
}

/// The source of an anomaly score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnomalyScore {
    /// The output is the score.
    Output,
    /// The mean squared difference between the output and the (normalised) input.
    ReconstructionMse,
    /// The mean absolute difference between them.
    ReconstructionMae,
}

/// The function that makes scores of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    None,
    Softmax,
    Sigmoid,
}

/// `[golden]`: the data that verifies the bundle at load.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenSpec {
    /// The file of golden vectors: inputs and outputs of the model.
    pub file: String,
    /// Whether the bundle must contain `file`; not if the card names golden samples only.
    pub required: bool,
    /// Largest difference allowed, in the output's stored units.
    pub tolerance: f64,
    /// The file of golden samples: raw samples and predictions.
    pub samples: Option<String>,
    /// Largest difference allowed, in the units of the prediction's scores and values.
    pub samples_tolerance: f64,
}
