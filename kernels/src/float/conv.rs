//! One- and two-dimensional convolutions, without an im2col matrix.
use super::super::conv_geometry::ConvGeometry;
use super::super::isa::Isa;
use super::super::operands::Grid;
use super::super::pack::WeightsError;
use super::super::scratch::{Scratch, bytes_for};
use super::super::tiles::RowTiles;
use super::activation::Activation;
use super::dispatch::{depthwise, product};
use super::operands::{DepthwiseJob, Left, Output, Run};
use super::pack::{Panels, expect_len};

/// The weights of a convolution, in the order of ONNX.
#[derive(Clone, Copy, Debug)]
pub struct ConvWeights<'a> {
    /// `[output][channel of the group][kernel row][kernel column]`.
    pub values: &'a [f32],
    /// One per output.
    pub bias: Option<&'a [f32]>,
    pub outputs: usize,
    /// Divides outputs and channels; as many groups as channels make a depthwise convolution.
    pub groups: usize,
}

/// A convolution of one NHWC picture, with bias and activation.
#[derive(Clone, Debug)]
pub struct Conv {
    isa: Isa,
    window: ConvGeometry,
    outputs: usize,
    bounds: [f32; 2],
    /// How the picture is copied with its padding, if it has any.
    tiles: Option<RowTiles>,
    filters: Filters,
}

#[derive(Clone, Debug)]
enum Filters {
    /// One filter per channel: weights `[tap][channel]` and bias.
    Depthwise { taps: Vec<u32>, weights: Vec<f32>, start: Vec<f32> },
    /// The activations that meet a group's weights, and the weights of each group.
    Product { runs: Vec<Run>, panels: Vec<Panels> },
}

impl Conv {
    /// Packs the weights.
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
        let k = window.taps() * (window.channels / groups);
        expect_len("weights", outputs.saturating_mul(k), values.len())?;
        expect_len("bias", outputs, bias.map_or(outputs, <[f32]>::len))?;
        let tiles = needs_staging(window).then(|| RowTiles::new(window, size_of::<f32>()));
        let line = tiles.as_ref().map_or(window.input[1] * window.channels, |t| t.line);
        let filters = if groups == window.channels && outputs == groups {
            Filters::depthwise(window, line, weights)
        } else {
            Filters::product(window, line, weights)
        };
        let (window, bounds) = (window.clone(), activation.bounds());
        Ok(Self { isa, window, outputs, bounds, tiles, filters })
    }

    /// Returns the number of elements of the NHWC result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.window.positions() * self.outputs
    }

    /// Returns the working memory for a run, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        self.tiles.as_ref().map_or(0, |t| bytes_for::<f32>(t.len()))
    }

    /// Convolves one picture. The residual, of the result's length, is added before the activation.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(
        &self,
        input: &[f32],
        residual: Option<&[f32]>,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        assert_eq!(input.len(), self.window.input_len(), "input picture");
        assert_eq!(out.len(), self.output_len(), "output picture");
        let bounds = self.bounds;
        let mut output = Output { out, residual, bounds, row: 0, column: 0, width: self.outputs };
        let Some(tiles) = &self.tiles else {
            return self.run_tile(input, self.direct_grid(), 0, &mut output);
        };
        let stage = scratch.arena().allocate::<f32>(tiles.len());
        for tile in tiles.each() {
            self.isa.run(
                #[inline(always)]
                || tiles.copy(tile, input, 0.0, stage),
            );
            self.run_tile(stage, tiles.grid(tile), tiles.first_row(tile), &mut output);
        }
    }

    /// Returns the positions of the windows in a picture without padding.
    fn direct_grid(&self) -> Grid {
        let w = &self.window;
        let line = w.input[1] * w.channels;
        let (step_x, step_y) = (w.stride[1] * w.channels, w.stride[0] * line);
        Grid { origin: 0, count: w.positions(), width: w.output[1], step_x, step_y }
    }

    /// Convolves the windows of `grid`, whose results are the rows from `row` on.
    fn run_tile(&self, stage: &[f32], grid: Grid, row: usize, output: &mut Output<'_>) {
        match &self.filters {
            Filters::Depthwise { taps, weights, start } => {
                let channels = self.window.channels;
                let job = DepthwiseJob { channels, taps, weights, start, stage, grid };
                depthwise(self.isa, &job, &mut output.at(row, 0));
            }
            Filters::Product { runs, panels } => {
                let channels = self.window.channels / panels.len();
                for (g, panels) in panels.iter().enumerate() {
                    let left = Left { stage, grid: Grid { origin: g * channels, ..grid }, runs };
                    let mut output = output.at(row, g * panels.columns);
                    product(self.isa, &left, &panels.view(), &mut output);
                }
            }
        }
    }
}

impl Filters {
    fn depthwise(window: &ConvGeometry, line: usize, weights: &ConvWeights<'_>) -> Self {
        let (taps, n) = (tap_offsets(window, line), window.channels);
        let count = taps.len();
        let at = |tap, channel| weights.values[channel * count + tap];
        let values = (0..count).flat_map(|t| (0..n).map(move |c| at(t, c))).collect();
        let start = weights.bias.map_or_else(|| vec![0.0; n], <[f32]>::to_vec);
        Self::Depthwise { taps, weights: values, start }
    }

    fn product(window: &ConvGeometry, line: usize, weights: &ConvWeights<'_>) -> Self {
        let ConvWeights { values, bias, outputs, groups } = *weights;
        let (channels, columns, taps) = (window.channels / groups, outputs / groups, window.taps());
        let k = channels * taps;
        // From the order of k (tap, channel) to that of ONNX (channel, tap).
        let row = |i: usize| i % channels * taps + i / channels;
        let panels = (0..groups)
            .map(|g| {
                let bias = bias.map(|b| &b[g * columns..(g + 1) * columns]);
                let own = &values[g * columns * k..];
                Panels::new([columns, k], bias, own, |column| column * k, row)
            })
            .collect();
        Self::Product { runs: runs(window, line, groups), panels }
    }
}

/// Whether a window touches padding, so that the picture must be copied.
fn needs_staging(w: &ConvGeometry) -> bool {
    let extent = w.extent();
    (0..2).any(|i| w.pad[i] > 0 || (w.output[i] - 1) * w.stride[i] + extent[i] > w.input[i])
}

/// Returns the position of each tap relative to its window's first element.
fn tap_offsets(w: &ConvGeometry, line: usize) -> Vec<u32> {
    let offset = |t: usize| {
        let (y, x) = (t / w.kernel[1], t % w.kernel[1]);
        y * w.dilation[0] * line + x * w.dilation[1] * w.channels
    };
    (0..w.taps()).map(|t| offset(t) as u32).collect()
}

/// Returns the runs of neighbouring activations: whole kernel rows if the window has no holes, else
/// one tap's channels.
fn runs(window: &ConvGeometry, line: usize, groups: usize) -> Vec<Run> {
    let channels = window.channels / groups;
    let taps = tap_offsets(window, line);
    if groups == 1 && window.dilation[1] == 1 {
        let len = (window.kernel[1] * channels) as u32;
        taps.into_iter().step_by(window.kernel[1]).map(|start| Run { start, len }).collect()
    } else {
        taps.into_iter().map(|start| Run { start, len: channels as u32 }).collect()
    }
}
