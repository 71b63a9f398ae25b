//! Pools over one NHWC picture.
use super::super::conv_geometry::ConvGeometry;
use super::super::isa::Isa;
use super::super::pack::WeightsError;
use super::reduce::largest;
use std::ops::Range;

/// What a pool computes of each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest element inside the picture; a NaN makes the result NaN.
    Max,
    /// The mean of the elements inside the picture.
    Average,
    /// The sum of the elements inside the picture, divided by the number of taps inside the picture
    /// and its padding (`count_include_pad`). `after` is the padding below and right of it; taps
    /// beyond that, which `ceil_mode` can bring, do not count.
    AverageWithPadding { after: [usize; 2] },
}

/// A pool. A global one has a kernel as large as the picture.
#[derive(Clone, Debug)]
pub struct Pool {
    isa: Isa,
    window: ConvGeometry,
    kind: PoolKind,
}

impl Pool {
    /// Prepares a pool.
    ///
    /// # Errors
    /// Sizes of zero or too large, or a window without an element of the picture.
    pub fn new(isa: Isa, window: &ConvGeometry, kind: PoolKind) -> Result<Self, WeightsError> {
        let touches =
            |i: usize| (0..window.output[i]).all(|at| !taps_inside(window, i, at).is_empty());
        if !window.is_valid() || !touches(0) || !touches(1) {
            return Err(WeightsError::Geometry);
        }
        Ok(Self { isa, window: window.clone(), kind })
    }

    /// Returns the number of elements of the NHWC result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.window.positions() * self.window.channels
    }

    /// Runs one picture. Sums are taken in the order of (kernel row, kernel column).
    ///
    /// # Panics
    /// If a buffer has the wrong length.
    #[inline(never)]
    pub fn run(&self, input: &[f32], out: &mut [f32]) {
        assert_eq!(input.len(), self.window.input_len(), "input picture");
        assert_eq!(out.len(), self.output_len(), "output picture");
        self.isa.run(
            #[inline(always)]
            || match self.kind {
                PoolKind::Max => self.fold(input, out, f32::NEG_INFINITY, largest, |_| 1.0),
                PoolKind::Average | PoolKind::AverageWithPadding { .. } => {
                    self.fold(input, out, 0.0, |s, x| s + x, |at| self.count(at) as f32);
                }
            },
        );
    }

    /// Folds the elements of each window, and divides by `count` of its position.
    #[inline(always)]
    fn fold(
        &self,
        input: &[f32],
        out: &mut [f32],
        start: f32,
        f: impl Fn(f32, f32) -> f32,
        count: impl Fn([usize; 2]) -> f32,
    ) {
        let w = &self.window;
        for (position, out) in out.chunks_exact_mut(w.channels).enumerate() {
            let at = [position / w.output[1], position % w.output[1]];
            out.fill(start);
            let columns = taps_inside(w, 1, at[1]);
            for y in taps_inside(w, 0, at[0]) {
                let y = met(w, 0, at[0], y) * w.input[1];
                for x in columns.clone() {
                    let x = met(w, 1, at[1], x);
                    let from = &input[(y + x) * w.channels..][..w.channels];
                    out.iter_mut().zip(from).for_each(|(s, &x)| *s = f(*s, x));
                }
            }
            let count = count(at);
            out.iter_mut().for_each(|y| *y /= count);
        }
    }

    /// Returns the number of taps that count at a position.
    fn count(&self, at: [usize; 2]) -> usize {
        let w = &self.window;
        let along = |i: usize| match self.kind {
            PoolKind::AverageWithPadding { after } => {
                let padded = (w.pad[i] + w.input[i]).saturating_add(after[i]);
                let room = padded.saturating_sub(at[i] * w.stride[i]);
                w.kernel[i].min(room.div_ceil(w.dilation[i]))
            }
            _ => taps_inside(w, i, at[i]).len(),
        };
        along(0) * along(1)
    }
}

/// Returns the taps that meet an element of the picture along axis `i`.
#[inline(always)]
fn taps_inside(w: &ConvGeometry, i: usize, at: usize) -> Range<usize> {
    let start = at * w.stride[i];
    let first = w.pad[i].saturating_sub(start).div_ceil(w.dilation[i]);
    let end = (w.pad[i] + w.input[i]).saturating_sub(start).div_ceil(w.dilation[i]);
    first..end.min(w.kernel[i])
}

/// Returns the element that a tap inside meets along axis `i`.
#[inline(always)]
fn met(w: &ConvGeometry, i: usize, at: usize, tap: usize) -> usize {
    at * w.stride[i] + tap * w.dilation[i] - w.pad[i]
}
