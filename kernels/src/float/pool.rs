//! Pools over one NHWC picture.
use super::super::conv_geometry::ConvGeometry;
use super::super::isa::Isa;
use super::super::pack::WeightsError;
use super::reduce::largest;

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
        let touches = |i: usize| {
            (0..window.output[i])
                .all(|at| (0..window.kernel[i]).any(|tap| inside(window, i, at, tap).is_some()))
        };
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
            for y in (0..w.kernel[0]).filter_map(|tap| inside(w, 0, at[0], tap)) {
                for x in (0..w.kernel[1]).filter_map(|tap| inside(w, 1, at[1], tap)) {
                    let from = &input[(y * w.input[1] + x) * w.channels..][..w.channels];
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
            PoolKind::AverageWithPadding { after } => (0..w.kernel[i])
                .filter(|tap| {
                    let padded = w.pad[i] + w.input[i] + after[i];
                    at[i] * w.stride[i] + tap * w.dilation[i] < padded
                })
                .count(),
            _ => (0..w.kernel[i]).filter(|&tap| inside(w, i, at[i], tap).is_some()).count(),
        };
        along(0) * along(1)
    }
}

/// Returns the element that a tap meets along axis `i`, unless that is padding.
#[inline(always)]
fn inside(w: &ConvGeometry, i: usize, at: usize, tap: usize) -> Option<usize> {
    (at * w.stride[i] + tap * w.dilation[i]).checked_sub(w.pad[i]).filter(|&x| x < w.input[i])
}
