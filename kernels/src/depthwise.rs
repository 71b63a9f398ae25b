//! Depthwise convolutions: one filter per channel.
use super::conv_geometry::ConvGeometry;
use super::dispatch::{Kernels, group_size, needs_widening, staged_bytes, staged_element_bytes};
use super::isa::Isa;
use super::operands::DepthwiseJob;
use super::pack::{Weights, WeightsError, fold};
use super::requant::{OVERREAD, OutputBuffer};
use super::scratch::{Scratch, bytes_for};
use super::tiles::RowTiles;

/// A depthwise convolution of one NHWC picture (as many outputs as channels).
///
/// A run first widens the few weights of such a layer to 16 bits and subtracts their zero points,
/// so it does not need the correction of [`super::Conv`].
#[derive(Clone, Debug)]
pub struct Depthwise {
    isa: Isa,
    window: ConvGeometry,
    tiles: RowTiles,
    input_zero: i8,
    filters: Filters,
}

/// The packed filters, with one start per channel, padded by [`OVERREAD`].
#[derive(Clone, Debug)]
struct Filters {
    channels: usize,
    /// `[tap][channel]` padded by [`OVERREAD`], or the blocks of rows of [`Filters::interleave`].
    values: Vec<i8>,
    /// The zero points of each block, one per element of a row.
    zeros: Vec<i8>,
    /// Elements of a row.
    row: usize,
    /// Rows in a block.
    rows: usize,
    /// Position of each tap relative to the window's first element.
    taps: Vec<u32>,
    bias: Vec<i32>,
    sums: Vec<i32>,
    start: Vec<i32>,
}

impl Depthwise {
    /// Packs the weights: one row of (kernel row, kernel column) per channel.
    ///
    /// # Errors
    /// Lengths that do not agree, or an accumulator that could overflow.
    pub fn new(
        isa: Isa,
        window: &ConvGeometry,
        weights: &Weights<'_>,
    ) -> Result<Self, WeightsError> {
        if !window.is_valid() {
            return Err(WeightsError::Geometry);
        }
        let (expected, found) = (window.channels, weights.outputs);
        if expected != found {
            return Err(WeightsError::Shape { what: "depthwise filters", expected, found });
        }
        weights.check(window.taps())?;
        let tiles = RowTiles::new(window, staged_element_bytes(isa));
        let taps: Vec<_> = tiles.taps().map(|t| t as u32).collect();
        let mut filters = Filters::new(taps, weights);
        if needs_widening(isa, group_size(isa)) {
            filters.interleave();
        }
        Ok(Self { isa, window: window.clone(), tiles, input_zero: weights.input_zero, filters })
    }

    /// Returns the number of elements of the NHWC result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.window.positions() * self.window.channels
    }

    /// Returns the working memory for a run, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        staged_bytes(self.isa, group_size(self.isa), self.tiles.len())
            + bytes_for::<i32>(self.filters.start.len())
            + bytes_for::<i16>(self.filters.values.len())
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
        out.check(self.window.positions(), self.window.channels);
        let fill = zero.unwrap_or(self.input_zero);
        let mut arena = scratch.arena();
        let own = arena.allocate::<i32>(self.filters.start.len());
        let start = match zero {
            None => &self.filters.start,
            Some(zero) => {
                let Filters { bias, sums, .. } = &self.filters;
                fold(self.isa, [bias, sums], zero, own);
                &*own
            }
        };
        let weights = arena.allocate::<i16>(self.filters.values.len());
        self.isa.run(
            #[inline(always)]
            || self.filters.widen(weights),
        );
        let prepared = Prepared { weights, start };
        if needs_widening(self.isa, group_size(self.isa)) {
            let stage = arena.allocate::<i16>(self.tiles.len());
            self.run_tiles(fill, input, stage, prepared, &mut out);
        } else {
            let stage = arena.allocate::<i8>(self.tiles.len());
            self.run_tiles(fill, input, stage, prepared, &mut out);
        }
    }

    fn run_tiles<T: Kernels>(
        &self,
        fill: i8,
        input: &[i8],
        stage: &mut [T],
        prepared: Prepared<'_>,
        out: &mut OutputBuffer<'_>,
    ) {
        for tile in self.tiles.each() {
            self.isa.run(
                #[inline(always)]
                || self.tiles.copy(tile, input, fill, stage),
            );
            let (grid, row) = (self.tiles.grid(tile), self.tiles.first_row(tile));
            let Prepared { weights, start } = prepared;
            let (channels, taps) = (self.filters.channels, &*self.filters.taps);
            let stage = &*stage;
            let job = DepthwiseJob { channels, taps, weights, stage, grid, start, row };
            T::depthwise(self.isa, &job, out);
        }
    }
}

/// The data that a run prepares once for all tiles: widened weights and initial accumulators.
#[derive(Clone, Copy)]
struct Prepared<'a> {
    weights: &'a [i16],
    start: &'a [i32],
}

impl Filters {
    fn new(taps: Vec<u32>, weights: &Weights<'_>) -> Self {
        let channels = weights.outputs;
        let mut values = vec![0i8; taps.len() * channels + OVERREAD];
        let mut sums = vec![0i32; channels + OVERREAD];
        let mut bias = sums.clone();
        for (c, row) in weights.values.chunks_exact(taps.len()).enumerate() {
            let zero = i32::from(weights.zero(c));
            bias[c] = weights.bias(c);
            for (t, &w) in row.iter().enumerate() {
                values[t * channels + c] = w;
                sums[c] += i32::from(w) - zero;
            }
        }
        let mut start = bias.clone();
        fold(Isa::SCALAR, [&bias, &sums], weights.input_zero, &mut start);
        let zeros = (0..channels).map(|c| weights.zero(c)).collect();
        let (row, rows) = (channels, taps.len());
        Self { channels, values, zeros, row, rows, taps, bias, sums, start }
    }

    /// Writes the weights minus their zero points, in the order of `values`, without the padding.
    #[inline(always)]
    fn widen(&self, to: &mut [i16]) {
        let block = self.row * self.rows;
        let blocks = self.values.chunks_exact(block).zip(to.chunks_exact_mut(block));
        for ((values, to), zeros) in blocks.zip(self.zeros.chunks_exact(self.row)) {
            for (values, to) in values.chunks_exact(self.row).zip(to.chunks_exact_mut(self.row)) {
                for ((to, &w), &zero) in to.iter_mut().zip(values).zip(zeros) {
                    *to = i16::from(w) - i16::from(zero);
                }
            }
        }
    }

    /// Reorders the weights for a kernel that takes two taps at once:
    /// `[channel / 16][pair of taps][channel % 16][2]`.
    ///
    /// The channels are in the order that interleaving two vectors of 16 yields. If the number of
    /// taps is odd, the last one is paired with a zero weight.
    fn interleave(&mut self) {
        const ORDER: [usize; OVERREAD] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];
        let taps = self.taps.len();
        let zero = |c: usize| self.zeros.get(c).copied().unwrap_or(0);
        let weight = |tap: usize, c: usize| match tap < taps && c < self.channels {
            true => self.values[tap * self.channels + c],
            false => zero(c),
        };
        let (mut values, mut zeros) = (Vec::new(), Vec::new());
        for block in (0..self.channels).step_by(OVERREAD) {
            for tap in (0..taps).step_by(2) {
                let pair = |c| [weight(tap, block + c), weight(tap + 1, block + c)];
                values.extend(ORDER.into_iter().flat_map(pair));
            }
            zeros.extend(ORDER.into_iter().flat_map(|c| [zero(block + c); 2]));
        }
        (self.values, self.zeros) = (values, zeros);
        (self.row, self.rows) = (2 * OVERREAD, taps.div_ceil(2));
        if !taps.is_multiple_of(2) {
            self.taps.push(self.taps[0]);
        }
    }
}
