//! Normalisations.
use super::super::isa::Isa;
use super::activation::{Activation, bound};
use super::math::fma;
use super::reduce::{fold_row, sum_row};

/// A normalisation of rows: layer normalisation, or by the root of the mean square.
///
/// `y = (x - mean) * (1 / sqrt(mean((x - mean)^2) + epsilon)) * scale + bias`, the last two in one
/// fused operation.
#[derive(Clone, Debug)]
pub struct Normalize {
    pub epsilon: f32,
    /// Whether the mean is subtracted (`LayerNormalization`); otherwise it counts as zero
    /// (`RMSNormalization`).
    pub center: bool,
    /// One per element of a row; its length is that of a row.
    pub scale: Vec<f32>,
    /// As long as `scale`, or empty for none.
    pub bias: Vec<f32>,
}

impl Normalize {
    /// Normalises rows.
    ///
    /// # Panics
    /// If the lengths differ or do not consist of rows.
    #[inline(never)]
    pub fn run(&self, isa: Isa, input: &[f32], out: &mut [f32]) {
        let len = self.scale.len();
        assert_eq!(input.len(), out.len(), "input and output");
        assert!(len > 0 && input.len().is_multiple_of(len), "rows of {len}");
        assert!(self.bias.is_empty() || self.bias.len() == len, "bias");
        isa.run(
            #[inline(always)]
            || {
                for (x, y) in input.chunks_exact(len).zip(out.chunks_exact_mut(len)) {
                    self.row(x, y);
                }
            },
        );
    }

    #[inline(always)]
    fn row(&self, x: &[f32], y: &mut [f32]) {
        let len = x.len() as f32;
        let mean = if self.center { sum_row(x) / len } else { 0.0 };
        let square = |x: f32| (x - mean) * (x - mean);
        let variance = fold_row(x, 0.0, square, |s, x| s + x) / len;
        let factor = 1.0 / (variance + self.epsilon).sqrt();
        let scaled = x.iter().zip(&self.scale).map(|(&x, &scale)| ((x - mean) * factor, scale));
        if self.bias.is_empty() {
            y.iter_mut().zip(scaled).for_each(|(y, (x, scale))| *y = x * scale);
        } else {
            let scaled = scaled.zip(&self.bias);
            y.iter_mut().zip(scaled).for_each(|(y, ((x, scale), &bias))| *y = fma(x, scale, bias));
        }
    }
}

/// Computes `x * scale[c] + shift[c]`, rounded once and activated, for rows of `scale.len()`
/// channels.
///
/// # Panics
/// If the lengths differ or do not consist of rows.
#[inline(never)]
pub fn affine(
    isa: Isa,
    [scale, shift]: [&[f32]; 2],
    activation: Activation,
    input: &[f32],
    out: &mut [f32],
) {
    let len = scale.len();
    assert_eq!(input.len(), out.len(), "input and output");
    assert_eq!(len, shift.len(), "one shift per channel");
    assert!(len > 0 && input.len().is_multiple_of(len), "rows of {len}");
    let bounds = activation.bounds();
    isa.run(
        #[inline(always)]
        || {
            for (x, y) in input.chunks_exact(len).zip(out.chunks_exact_mut(len)) {
                for (((y, &x), &scale), &shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                    *y = bound(fma(x, scale, shift), bounds);
                }
            }
        },
    );
}
