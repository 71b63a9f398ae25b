//! Activations that a kernel applies to its result.

/// An activation fused into a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    #[default]
    None,
    /// max(x, 0); NaN stays NaN, and -0 stays -0.
    Relu,
    /// Values below `low` become `low`, values above `high` become `high`; NaN stays NaN. An
    /// infinite bound has no effect. (Relu6 is 0, 6.)
    Clip { low: f32, high: f32 },
}

impl Activation {
    /// Returns the lowest and the highest result.
    pub(super) fn bounds(self) -> [f32; 2] {
        match self {
            Self::None => [f32::NEG_INFINITY, f32::INFINITY],
            Self::Relu => [0.0, f32::INFINITY],
            Self::Clip { low, high } => [low, high],
        }
    }
}

/// Applies bounds: comparisons, because instruction sets differ in minima of NaN and of zeros.
#[inline(always)]
pub(super) fn bound(x: f32, [low, high]: [f32; 2]) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}
