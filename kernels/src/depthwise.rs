//! Depthwise convolutions: one filter per channel.
use super::isa::Isa;
use super::lane::{Lane, Sweep, depth, widens};
use super::pack::{Weights, WeightsError, fold};
use super::requant::{Out, SPARE};
use super::scratch::{Scratch, bytes_for};
use super::stage::Bands;
use super::window::Window;

/// A depthwise convolution of one NHWC picture (as many outputs as channels).
///
/// A run first widens the few weights of such a layer to 16 bits, their zero points taken off, which
/// saves the correction that [`super::Conv`] needs.
#[derive(Clone, Debug)]
pub struct Depthwise {
    isa: Isa,
    window: Window,
    bands: Bands,
    input_zero: i8,
    filters: Filters,
}

/// The packed filters; one start per channel, with [`SPARE`] more behind.
#[derive(Clone, Debug)]
pub(super) struct Filters {
    pub(super) channels: usize,
    /// `[tap][channel]` and [`SPARE`] more, or as [`Filters::interleave`] has them: blocks of rows.
    values: Vec<i8>,
    /// The zero points of the rows of each block, rows of `row`.
    zeros: Vec<i8>,
    row: usize,
    /// Rows in a block.
    rows: usize,
    /// Where each tap stands relative to the window's first element.
    pub(super) taps: Vec<u32>,
    pub(super) bias: Vec<i32>,
    pub(super) sums: Vec<i32>,
    pub(super) start: Vec<i32>,
}

impl Depthwise {
    /// Packs the weights: one row of (kernel row, kernel column) per channel.
    ///
    /// # Errors
    /// Lengths that do not agree, or an accumulator that could overflow.
    pub fn new(isa: Isa, window: &Window, weights: &Weights<'_>) -> Result<Self, WeightsError> {
        if !window.is_sound() {
            return Err(WeightsError::Window);
        }
        let (expected, found) = (window.channels, weights.outputs);
        if expected != found {
            return Err(WeightsError::Shape { what: "depthwise filters", expected, found });
        }
        weights.check(window.taps())?;
        let bands = Bands::new(isa, window);
        let taps: Vec<_> = bands.taps().map(|t| t as u32).collect();
        let mut filters = Filters::new(taps, weights);
        if widens(isa, depth(isa)) {
            filters.interleave();
        }
        Ok(Self { isa, window: window.clone(), bands, input_zero: weights.input_zero, filters })
    }

    /// Elements of the NHWC result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.window.positions() * self.window.channels
    }

    /// Working memory for a run.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        self.bands.scratch_bytes(self.isa)
            + bytes_for::<i32>(self.filters.start.len())
            + bytes_for::<i16>(self.filters.values.len())
    }

    /// Runs one picture whose zero point is the one the weights were packed with.
    ///
    /// # Panics
    /// When a buffer has the wrong length or the scratch memory is too small.
    #[inline(never)]
    pub fn run(&self, input: &[i8], out: Out<'_>, scratch: &mut Scratch) {
        self.convolve(None, input, out, scratch);
    }

    /// Runs one picture of another zero point: dynamic quantization.
    ///
    /// # Panics
    /// As [`Depthwise::run`].
    #[inline(never)]
    pub fn run_at(&self, zero: i8, input: &[i8], out: Out<'_>, scratch: &mut Scratch) {
        self.convolve(Some(zero), input, out, scratch);
    }

    fn convolve(&self, zero: Option<i8>, input: &[i8], mut out: Out<'_>, scratch: &mut Scratch) {
        assert_eq!(input.len(), self.window.input_len(), "input picture");
        out.check(self.window.positions(), self.window.channels);
        let fill = zero.unwrap_or(self.input_zero);
        let mut carver = scratch.carve();
        let own = carver.take::<i32>(self.filters.start.len());
        let start = match zero {
            None => &self.filters.start,
            Some(zero) => {
                let Filters { bias, sums, .. } = &self.filters;
                fold(self.isa, [bias, sums], zero, own);
                &*own
            }
        };
        let weights = carver.take::<i16>(self.filters.values.len());
        self.isa.run(
            #[inline(always)]
            || self.filters.widen(weights),
        );
        let begin = Begin { weights, start };
        if widens(self.isa, depth(self.isa)) {
            let stage = carver.take::<i16>(self.bands.len());
            self.banded(fill, input, stage, begin, &mut out);
        } else {
            let stage = carver.take::<i8>(self.bands.len());
            self.banded(fill, input, stage, begin, &mut out);
        }
    }

    fn banded<T: Lane>(
        &self,
        fill: i8,
        input: &[i8],
        stage: &mut [T],
        begin: Begin<'_>,
        out: &mut Out<'_>,
    ) {
        for band in self.bands.each() {
            self.isa.run(
                #[inline(always)]
                || self.bands.copy(band, input, fill, stage),
            );
            let (grid, row) = (self.bands.grid(band), self.bands.first_row(band));
            let Begin { weights, start } = begin;
            let sweep = Sweep { filters: &self.filters, weights, stage: &*stage, grid, start, row };
            T::depthwise(self.isa, &sweep, out);
        }
    }
}

/// What a run prepares once for all bands: widened weights, and what accumulation starts from.
#[derive(Clone, Copy)]
struct Begin<'a> {
    weights: &'a [i16],
    start: &'a [i32],
}

/// The definition: up to 16 channels of one position after the other.
pub(super) fn scalar(sweep: &Sweep<'_, i8>, out: &mut Out<'_>) {
    let filters = sweep.filters;
    let channels = filters.channels;
    let mut bases = sweep.grid.bases();
    for position in 0..sweep.grid.count {
        let base = bases.step();
        let row = (sweep.row + position) * channels;
        for c in (0..channels).step_by(SPARE) {
            let n = SPARE.min(channels - c);
            let mut acc = [0; SPARE];
            acc.copy_from_slice(&sweep.start[c..c + SPARE]);
            for (&tap, weights) in filters.taps.iter().zip(sweep.weights.chunks(channels)) {
                let at = base + tap as usize + c;
                for ((acc, &a), &w) in
                    acc.iter_mut().zip(&sweep.stage[at..at + n]).zip(&weights[c..])
                {
                    *acc = acc.wrapping_add(i32::from(a) * i32::from(w));
                }
            }
            out.finish(&acc[..n], row + c, c);
        }
    }
}

impl Filters {
    fn new(taps: Vec<u32>, weights: &Weights<'_>) -> Self {
        let channels = weights.outputs;
        let mut values = vec![0i8; taps.len() * channels + SPARE];
        let mut sums = vec![0i32; channels + SPARE];
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

    /// Weights less their zero points, in the order of `values`; the spare ones stay what they are.
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

    /// Brings the weights into the order of a kernel that takes two taps at once, the last one with
    /// a zero weight where their number is odd: `[channel / 16][pair of taps][channel % 16][2]`, the
    /// channels in the order in which interleaving two vectors of 16 yields them.
    fn interleave(&mut self) {
        const ORDER: [usize; SPARE] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];
        let taps = self.taps.len();
        let zero = |c: usize| self.zeros.get(c).copied().unwrap_or(0);
        let weight = |tap: usize, c: usize| match tap < taps && c < self.channels {
            true => self.values[tap * self.channels + c],
            false => zero(c),
        };
        let (mut values, mut zeros) = (Vec::new(), Vec::new());
        for block in (0..self.channels).step_by(SPARE) {
            for tap in (0..taps).step_by(2) {
                let pair = |c| [weight(tap, block + c), weight(tap + 1, block + c)];
                values.extend(ORDER.into_iter().flat_map(pair));
            }
            zeros.extend(ORDER.into_iter().flat_map(|c| [zero(block + c); 2]));
        }
        (self.values, self.zeros) = (values, zeros);
        (self.row, self.rows) = (2 * SPARE, taps.div_ceil(2));
        if !taps.is_multiple_of(2) {
            self.taps.push(self.taps[0]);
        }
    }
}
