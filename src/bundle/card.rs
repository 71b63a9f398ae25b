//! The model card: everything a stream needs to know of its model, typed and checked.

use std::time::Duration;

use crate::ids::ModelName;

/// `card.toml`
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    pub name: ModelName,
    pub version: String,
    /// The model's file, within the bundle.
    pub file: String,
    pub description: String,
    pub licence: String,
    /// Who trained it, how and on what.
    pub source: String,
    /// `None`: every message is one whole input.
    pub window: Option<Window>,
    /// In the order of the model's inputs.
    pub inputs: Vec<Input>,
    pub output: Output,
    pub golden: Option<Golden>,
    /// Values for the graph's symbolic dimensions.
    pub dims: std::collections::BTreeMap<String, usize>,
}

/// `[window]`
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Samples in a window.
    pub length: usize,
    /// Samples from one window's start to the next one's.
    pub hop: usize,
    /// A longer silence starts the window anew.
    pub max_gap: Option<Duration>,
}

/// `[[input]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The model input's name.
    pub name: String,
    /// Names of the channels in the model's order; the stream's fields match them by place.
    /// Empty: the elements are taken in the order they come in.
    pub channels: Vec<String>,
    pub layout: Layout,
    pub normalize: Normalize,
    /// Quantize real values with the model input's own scale, rather than take integers as they
    /// are.
    pub quantize: bool,
}

/// Which axis runs faster in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    TimeChannel,
    ChannelTime,
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
pub struct Output {
    /// The model output that is interpreted. Where it is not named: the first, or the scores where
    /// the first is a class and the model gives scores too.
    pub name: Option<String>,
    pub kind: Kind,
    pub activation: Activation,
    /// Where the output is a class alone: the id of each label, unless they count from 0. Found in
    /// the model when it is loaded; the card does not have it.
    pub class_ids: Vec<i64>,
}

/// What the output means.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Classification { labels: Vec<String>, top_k: usize, threshold: f32 },
    MultiLabel { labels: Vec<String>, thresholds: Vec<f32> },
    Regression { names: Vec<String>, units: Vec<String>, scale: Vec<f32>, offset: Vec<f32> },
    Anomaly { score: AnomalyScore, threshold: f32 },
    Raw,
}

/// Where an anomaly score comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnomalyScore {
    /// The output is the score.
    Output,
    /// The mean squared difference between the output and the (normalised) input.
    ReconstructionMse,
    /// The mean absolute difference between them.
    ReconstructionMae,
}

/// What stands between the output and a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    None,
    Softmax,
    Sigmoid,
}

/// `[golden]`: what the bundle is proved by when it is loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// Arrays that begin at the model's inputs and end at its outputs.
    pub file: String,
    /// Whether the bundle must have `file`: not where the card names golden samples only.
    pub required: bool,
    /// Largest difference allowed, in the output's stored units.
    pub tolerance: f64,
    /// Recordings that begin at raw samples and end at predictions.
    pub samples: Option<String>,
    /// Largest difference allowed, in the units of the prediction's scores and values.
    pub samples_tolerance: f64,
}
