//! Transposed convolutions.
use super::super::conv_geometry::ConvGeometry;
use super::super::isa::Isa;
use super::super::operands::Grid;
use super::super::pack::WeightsError;
use super::super::scratch::{Scratch, bytes_for};
use super::activation::{Activation, bound};
use super::conv::ConvWeights;
use super::dispatch::product;
use super::operands::{Left, Output, Run};
use super::pack::{Panels, expect_len};

/// A transposed convolution of one NHWC picture, with bias and activation.
///
/// Each element of the input is multiplied by the weights of all taps, and the products of a tap
/// are added to the output at `input * stride + tap * dilation - pad`. An output starts at its bias
/// and takes the sums over channels, each rounded, in the order of (input row, input column,
/// kernel row, kernel column).
#[derive(Clone, Debug)]
pub struct ConvTranspose {
    isa: Isa,
    window: ConvGeometry,
    outputs: usize,
    bias: Vec<f32>,
    bounds: [f32; 2],
    /// One per group; columns are (kernel row, kernel column, output of the group).
    panels: Vec<Panels>,
}

impl ConvTranspose {
    /// Packs the weights, `[channel][output of the group][kernel row][kernel column]` as in ONNX.
    /// `window.output` is the size of the result; what would fall outside is dropped.
    ///
    /// # Errors
    /// Lengths that do not agree, sizes of zero or too large.
    pub fn new(
        isa: Isa,
        window: &ConvGeometry,
        weights: &ConvWeights<'_>,
        activation: Activation,
    ) -> Result<Self, WeightsError> {
        let ConvWeights { values, bias, outputs, groups } = *weights;
        let divides =
            groups > 0 && [window.channels, outputs].iter().all(|n| n.is_multiple_of(groups));
        if !window.is_valid() || !divides || outputs == 0 || outputs >= 1 << 31 {
            return Err(WeightsError::Geometry);
        }
        let (channels, columns, taps) = (window.channels / groups, outputs / groups, window.taps());
        let expected = window.channels.saturating_mul(columns).saturating_mul(taps);
        expect_len("weights", expected, values.len())?;
        expect_len("bias", outputs, bias.map_or(outputs, <[f32]>::len))?;
        let panels = (0..groups)
            .map(|g| {
                let own = &values[g * channels * columns * taps..];
                let column = |c: usize| c % columns * taps + c / columns;
                let row = |channel: usize| channel * columns * taps;
                Panels::new([taps * columns, channels], None, own, column, row)
            })
            .collect();
        let bias = bias.map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
        let (window, bounds) = (window.clone(), activation.bounds());
        Ok(Self { isa, window, outputs, bias, bounds, panels })
    }

    /// Returns the number of elements of the NHWC result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.window.positions() * self.outputs
    }

    /// Returns the working memory for a run, in bytes: the products of one row of the input.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        bytes_for::<f32>(self.row_len())
    }

    /// The number of products of one row of the input and one group.
    fn row_len(&self) -> usize {
        self.window.input[1] * self.panels.first().map_or(0, |p| p.columns)
    }

    /// Runs one picture.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(&self, input: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        assert_eq!(input.len(), self.window.input_len(), "input picture");
        assert_eq!(out.len(), self.output_len(), "output picture");
        let w = &self.window;
        let products = scratch.arena().allocate::<f32>(self.row_len());
        out.chunks_exact_mut(self.outputs).for_each(|y| y.copy_from_slice(&self.bias));
        for (y, row) in input.chunks_exact(w.input[1] * w.channels).enumerate() {
            for (g, panels) in self.panels.iter().enumerate() {
                self.multiply(row, g, panels, products);
                self.isa.run(
                    #[inline(always)]
                    || self.scatter(y, g, products, out),
                );
            }
        }
        self.isa.run(
            #[inline(always)]
            || out.iter_mut().for_each(|y| *y = bound(*y, self.bounds)),
        );
    }

    /// Multiplies a row of the input by the weights of a group.
    fn multiply(&self, row: &[f32], g: usize, panels: &Panels, out: &mut [f32]) {
        let runs = [Run { start: 0, len: panels.k as u32 }];
        let rows = Grid::rows(self.window.input[1], self.window.channels);
        let grid = Grid { origin: g * panels.k, ..rows };
        let left = Left { stage: row, grid, runs: &runs };
        let (bounds, width) = (Activation::None.bounds(), panels.columns);
        let mut output = Output { out, residual: None, bounds, row: 0, column: 0, width };
        product(self.isa, &left, &panels.view(), &mut output);
    }

    /// Adds the products of row `y` to the output.
    #[inline(always)]
    fn scatter(&self, y: usize, g: usize, products: &[f32], out: &mut [f32]) {
        let w = &self.window;
        let columns = self.outputs / self.panels.len();
        let all = products.chunks_exact(columns);
        let at = |i: usize, from: usize, tap: usize| {
            (from * w.stride[i] + tap * w.dilation[i])
                .checked_sub(w.pad[i])
                .filter(|&to| to < w.output[i])
        };
        for (i, sums) in all.enumerate() {
            let (x, tap) = (i / w.taps(), i % w.taps());
            let row = at(0, y, tap / w.kernel[1]);
            let column = at(1, x, tap % w.kernel[1]);
            let (Some(row), Some(column)) = (row, column) else { continue };
            let first = (row * w.output[1] + column) * self.outputs + g * columns;
            let to = &mut out[first..first + columns];
            to.iter_mut().zip(sums).for_each(|(y, &sum)| *y += sum);
        }
    }
}
