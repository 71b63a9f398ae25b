//! Results of a quantization.

use super::context::{LowerResult, run_in_float};
use super::quant_params::QuantParams;
use super::value::QuantizedTensor;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::tensor::{Dtype, Quant};
use inferd_kernels::OutputQuant;

/// Result of a QuantizeLinear: eight-bit integers with one scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub scale: f32,
    pub fit: OutputQuant,
    pub unsigned: bool,
}

impl Target {
    pub(super) fn new(scale: f32, zero: i32, unsigned: bool) -> LowerResult<Self> {
        match QuantizedTensor::shift(unsigned, zero) {
            Some(zero) => Ok(Self { scale, fit: OutputQuant::full(zero), unsigned }),
            None => run_in_float("its zero point is out of range"),
        }
    }

    pub(super) fn quant(&self) -> Quant {
        let shift = if self.unsigned { 128 } else { 0 };
        Quant { scale: self.scale, zero: i32::from(self.fit.zero) + shift }
    }

    /// The stored value for a real number: one rounding, half to even, then saturation.
    #[expect(clippy::cast_possible_truncation, reason = "kept within the range of a byte before")]
    pub(super) fn store(&self, x: f64) -> i8 {
        let q = (x / f64::from(self.scale)).round_ties_even() + f64::from(self.fit.zero);
        // NaN becomes the lowest value, as in the kernels.
        if q.is_nan() {
            self.fit.low
        } else {
            q.clamp(self.fit.low.into(), self.fit.high.into()) as i8
        }
    }

    /// The target with its bounds narrowed to `clamp`. Rounding keeps the order of numbers, so that
    /// clamping before and after it is the same.
    pub(super) fn narrowed(self, clamp: (f64, f64)) -> Self {
        let fit = OutputQuant { low: self.store(clamp.0), high: self.store(clamp.1), ..self.fit };
        Self { fit: OutputQuant { high: fit.high.max(fit.low), ..fit }, ..self }
    }
}

/// Whether the node quantizes to u8 rather than i8. An `output_dtype` of 0 is the type of the zero
/// point, or u8 without one.
pub(super) fn is_unsigned(node: &ExpandedNode, params: &QuantParams) -> LowerResult<bool> {
    match (params.dtype, node.int("output_dtype").unwrap_or(0)) {
        (Some(Dtype::U8), 0 | 2) | (None, 0 | 2) => Ok(true),
        (Some(Dtype::I8), 0 | 3) | (None, 3) => Ok(false),
        (Some(dtype), _) => run_in_float(format!("it quantizes to {dtype}")),
        (None, _) => run_in_float("it quantizes to another type than i8 and u8"),
    }
}
