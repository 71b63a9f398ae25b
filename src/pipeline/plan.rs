//! Stream, card and model brought together: what each message must hold and how it becomes
//! tensors. Made once by [`super::check_compatibility()`]; a plan that exists fits.

use std::ops::Range;

use super::decode::TensorPayload;
use super::interpret::OutputPlan;
use super::shape::WindowShape;
use crate::bundle::card::Layout;
use crate::tensor::Quant;

/// How a stream feeds its model.
#[derive(Clone, Debug)]
pub(super) struct StreamPlan {
    /// `None`: every message is a whole input.
    pub(super) shape: Option<WindowShape>,
    /// In the order of the model's inputs.
    pub(super) inputs: Vec<InputPlan>,
    /// Names of the fields, one per channel; may be empty.
    pub(super) fields: Vec<String>,
    /// Numbers in a sample, or in the message for whole inputs.
    pub(super) width: usize,
    pub(super) output: OutputPlan,
    /// Set if a raw payload is the model's only input, element by element.
    pub(super) tensor_payload: Option<TensorPayload>,
}

/// How one model input is made.
#[derive(Clone, Debug)]
pub(super) struct InputPlan {
    pub(super) name: String,
    /// Elements of the tensor.
    pub(super) len: usize,
    /// The fields that belong to it; empty for whole inputs without names.
    pub(super) fields: Range<usize>,
    /// Where its numbers begin in a sample, or in a flat whole input.
    pub(super) first: usize,
    pub(super) layout: Layout,
    /// One for each channel of the tensor.
    pub(super) scaling: Vec<Scaling>,
    pub(super) cast: Cast,
    /// NaN stands for a number that is missing.
    pub(super) takes_nan: bool,
}

impl InputPlan {
    pub(super) fn channels(&self) -> usize {
        self.scaling.len()
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
    /// A whole number in range, or the input is refused. The quantization, where the model has
    /// one, says which real number it stands for.
    AsIs(Option<Quant>),
}
