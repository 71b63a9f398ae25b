//! How a message becomes tensors, derived once from stream, card and model by
//! [`super::check_compatibility()`]. If a plan exists, they fit.

use std::ops::Range;
use std::sync::Arc;

use super::carried::CarriedPlan;
use super::decode::TensorPayload;
use super::interpret::OutputPlan;
use super::join::JoinPlan;
use super::shape::WindowShape;
use crate::bundle::card::Layout;
use crate::features::FeaturePlan;
use crate::tensor::Quant;

/// How a stream feeds its model.
#[derive(Clone, Debug)]
pub(super) struct StreamPlan {
    /// `None` if every message is a whole input.
    pub(super) shape: Option<WindowShape>,
    /// In the order of the model's inputs.
    pub(super) inputs: Vec<InputPlan>,
    /// Names of the fields, one per channel; may be empty.
    pub(super) fields: Vec<String>,
    /// The number of values in a sample, or in a message for whole inputs.
    pub(super) width: usize,
    pub(super) output: OutputPlan,
    /// Set if messages have values of single channels.
    pub(super) join: Option<JoinPlan>,
    /// Set if outputs of the model are inputs of its next run.
    pub(super) carried: Option<Arc<CarriedPlan>>,
    /// Set if a raw payload is copied into the only input of the model.
    pub(super) tensor_payload: Option<TensorPayload>,
}

/// How one model input is made.
#[derive(Clone, Debug)]
pub(super) struct InputPlan {
    pub(super) name: String,
    /// The number of elements of the tensor.
    pub(super) len: usize,
    /// The number of values that it is made of; `len` without features.
    pub(super) numbers: usize,
    /// Its fields; empty for whole inputs without names.
    pub(super) fields: Range<usize>,
    /// The position of its first value in a sample, or in a flat whole input.
    pub(super) first: usize,
    /// The order of the normalised values. Features take all samples of a channel together.
    pub(super) layout: Layout,
    /// What makes the tensor of the normalised values, if they are not it.
    pub(super) features: Option<Arc<FeaturePlan>>,
    /// One for each channel of the tensor.
    pub(super) scaling: Vec<Scaling>,
    pub(super) cast: Cast,
    /// NaN represents a missing value.
    pub(super) takes_nan: bool,
}

impl InputPlan {
    pub(super) fn channels(&self) -> usize {
        self.scaling.len()
    }

    /// The order of values that come in the tensor's order. Those that features are made of come
    /// sample by sample.
    pub(super) fn payload_layout(&self) -> Layout {
        if self.features.is_some() { Layout::TIME_CHANNEL } else { self.layout }
    }
}

/// `(x - sub) * mul + add`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaling {
    pub(super) sub: f64,
    pub(super) mul: f64,
    pub(super) add: f64,
}

impl Scaling {
    pub(super) const NONE: Self = Self { sub: 0.0, mul: 1.0, add: 0.0 };

    pub(super) fn apply(self, value: f64) -> f64 {
        (value - self.sub) * self.mul + self.add
    }
}

/// How a real number becomes an element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cast {
    /// Rounded to the float type.
    Real,
    /// Quantized with the model's own scale: half to even, saturating.
    Quantize(Quant),
    /// An integer in range; otherwise the input is rejected. If the model has a quantization, it
    /// defines the real number that the integer represents.
    AsIs(Option<Quant>),
}
