//! One- and two-dimensional convolutions, as matrix products over staged tiles.
use super::conv_geometry::ConvGeometry;
use super::dense::Dense;
use super::dispatch::{
    Kernels, group_size, needs_widening, staged_bytes, staged_element_bytes, sum_rows,
};
use super::isa::Isa;
use super::operands::{GroupOffsets, Left, OutputOffset};
use super::pack::{PackRuns, Panels, Weights, WeightsError};
use super::requant::OutputBuffer;
use super::scratch::{Scratch, ScratchArena, bytes_for};
use super::tiles::RowTiles;

/// A convolution of one NHWC picture.
#[derive(Clone, Debug)]
pub struct Conv {
    window: ConvGeometry,
    outputs: usize,
    input_zero: i8,
    algorithm: Algorithm,
}

#[derive(Clone, Debug)]
enum Algorithm {
    /// 1 x 1, stride 1, one group: the picture is the matrix.
    Pointwise(Dense),
    Windowed(Windowed),
}

#[derive(Clone, Debug)]
struct Windowed {
    isa: Isa,
    tiles: RowTiles,
    runs: PackRuns,
    offsets: GroupOffsets,
    /// One per group.
    panels: Vec<Panels>,
}

impl Conv {
    /// Packs the weights: one row per output, (kernel row, kernel column, channel of the group).
    ///
    /// # Errors
    /// Lengths that do not agree, or an accumulator that could overflow.
    pub fn new(
        isa: Isa,
        window: &ConvGeometry,
        groups: usize,
        weights: &Weights<'_>,
    ) -> Result<Self, WeightsError> {
        let divides = groups > 0
            && [window.channels, weights.outputs].iter().all(|n| n.is_multiple_of(groups));
        if !window.is_valid() || !divides || weights.outputs == 0 {
            return Err(WeightsError::Geometry);
        }
        weights.check(window.taps() * window.channels / groups)?;
        let algorithm = if groups == 1 && window.is_pointwise() {
            Algorithm::Pointwise(Dense::new(isa, weights)?)
        } else {
            Algorithm::Windowed(Windowed::new(isa, window, groups, weights))
        };
        let (outputs, input_zero) = (weights.outputs, weights.input_zero);
        Ok(Self { window: window.clone(), outputs, input_zero, algorithm })
    }

    /// Returns the number of elements of the NHWC result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.window.positions() * self.outputs
    }

    /// Returns the working memory for a run, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        match &self.algorithm {
            Algorithm::Pointwise(dense) => dense.scratch_bytes(self.window.positions()),
            Algorithm::Windowed(w) => w.scratch_bytes(),
        }
    }

    /// Convolves one picture. `zero` is its zero point if that was measured at run time (dynamic
    /// quantization); without it, the zero point the weights were packed with applies.
    ///
    /// # Panics
    /// If a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(
        &self,
        zero: Option<i8>,
        input: &[i8],
        mut out: OutputBuffer<'_>,
        scratch: &mut Scratch,
    ) {
        assert_eq!(input.len(), self.window.input_len(), "input picture");
        out.check(self.window.positions(), self.outputs);
        match &self.algorithm {
            Algorithm::Pointwise(dense) => {
                dense.run(zero, self.window.positions(), input, out, scratch);
            }
            Algorithm::Windowed(w) => {
                let fill = zero.unwrap_or(self.input_zero);
                w.run(fill, zero.is_some(), input, self.outputs, &mut out, &mut scratch.arena());
            }
        }
    }
}

impl Windowed {
    fn new(isa: Isa, window: &ConvGeometry, groups: usize, weights: &Weights<'_>) -> Self {
        let tiles = RowTiles::new(window, staged_element_bytes(isa));
        let runs = runs(window, groups, &tiles);
        let group_size = group_size(isa);
        let panels = (0..groups)
            .map(|g| Panels::new(&weights.group(g, groups), &runs, group_size))
            .collect();
        Self { isa, tiles, offsets: runs.offsets(group_size), runs, panels }
    }

    fn start_len(&self) -> usize {
        self.panels.first().map_or(0, Panels::start_len)
    }

    fn band_positions(&self) -> usize {
        let Some(tile) = self.tiles.each().next() else { return 0 };
        self.tiles.grid(tile).count
    }

    fn scratch_bytes(&self) -> usize {
        staged_bytes(self.isa, group_size(self.isa), self.tiles.len())
            + bytes_for::<i32>(self.start_len())
            + bytes_for::<i32>(self.band_positions())
    }

    /// Runs all tiles and groups. `fold` is set if `fill` is not the zero point packed with.
    fn run(
        &self,
        fill: i8,
        fold: bool,
        input: &[i8],
        width: usize,
        out: &mut OutputBuffer<'_>,
        arena: &mut ScratchArena<'_>,
    ) {
        let start = arena.allocate(self.start_len());
        let sums = arena.allocate(self.band_positions());
        if needs_widening(self.isa, group_size(self.isa)) {
            let stage = arena.allocate::<i16>(self.tiles.len());
            self.run_tiles(fill, fold, input, stage, [start, sums], width, out);
        } else {
            let stage = arena.allocate::<i8>(self.tiles.len());
            self.run_tiles(fill, fold, input, stage, [start, sums], width, out);
        }
    }

    /// Stages every tile and multiplies each of its groups.
    #[expect(clippy::too_many_arguments, reason = "one run's whole state")]
    fn run_tiles<T: Kernels>(
        &self,
        fill: i8,
        fold: bool,
        input: &[i8],
        stage: &mut [T],
        [start, sums]: [&mut [i32]; 2],
        width: usize,
        out: &mut OutputBuffer<'_>,
    ) {
        let channels = self.tiles.channels() / self.panels.len();
        for tile in self.tiles.each() {
            self.isa.run(
                #[inline(always)]
                || self.tiles.copy(tile, input, fill, stage),
            );
            for (g, panels) in self.panels.iter().enumerate() {
                let mut grid = self.tiles.grid(tile);
                grid.origin = g * channels;
                if panels.asymmetric {
                    let PackRuns { starts, len } = &self.runs;
                    self.isa.run(
                        #[inline(always)]
                        || sum_rows(self.isa, stage, &grid, starts, *len, sums),
                    );
                }
                let left = Left { stage, grid, offsets: &self.offsets, row_sums: sums };
                let view = if fold { panels.view_at(self.isa, fill, start) } else { panels.view() };
                let row = self.tiles.first_row(tile);
                let output = OutputOffset { row, column: g * panels.columns, width };
                T::gemm(self.isa, &left, &view, output, out);
            }
        }
    }
}

/// Returns the runs of neighbouring activations that meet neighbouring weights: whole kernel rows
/// if the window has no holes, else one tap's channels.
fn runs(window: &ConvGeometry, groups: usize, tiles: &RowTiles) -> PackRuns {
    let channels = window.channels / groups;
    let taps: Vec<u32> = tiles.taps().map(|t| t as u32).collect();
    if groups == 1 && window.dilation[1] == 1 {
        let starts = taps.into_iter().step_by(window.kernel[1]).collect();
        PackRuns { len: window.kernel[1] * channels, starts }
    } else {
        PackRuns { len: channels, starts: taps }
    }
}
