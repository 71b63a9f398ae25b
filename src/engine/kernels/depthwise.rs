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
/// The few weights of such a layer are kept in 16 bits with their zero points taken off, which
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
    /// Weights less their zero point: `[tap][channel]` and [`SPARE`] more, or as
    /// [`Filters::interleave`] has them.
    pub(super) values: Vec<i16>,
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
        self.bands.scratch_bytes(self.isa) + bytes_for::<i32>(self.filters.start.len())
    }

    /// Runs one picture whose zero point is the one the weights were packed with.
    ///
    /// # Panics
    /// When a buffer has the wrong length or the scratch memory is too small.
    pub fn run(&self, input: &[i8], out: Out<'_>, scratch: &mut Scratch) {
        self.convolve(None, input, out, scratch);
    }

    /// Runs one picture of another zero point: dynamic quantization.
    ///
    /// # Panics
    /// As [`Depthwise::run`].
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
                fold(&self.filters.bias, &self.filters.sums, zero, own);
                &*own
            }
        };
        if widens(self.isa, depth(self.isa)) {
            let stage = carver.take::<i16>(self.bands.len());
            self.banded(fill, input, stage, start, &mut out);
        } else {
            let stage = carver.take::<i8>(self.bands.len());
            self.banded(fill, input, stage, start, &mut out);
        }
    }

    fn banded<T: Lane>(
        &self,
        fill: i8,
        input: &[i8],
        stage: &mut [T],
        start: &[i32],
        out: &mut Out<'_>,
    ) {
        for band in self.bands.each() {
            self.isa.run(
                #[inline(always)]
                || self.bands.copy(band, input, fill, stage),
            );
            let (grid, row) = (self.bands.grid(band), self.bands.first_row(band));
            let sweep = Sweep { filters: &self.filters, stage: &*stage, grid, start, row };
            T::depthwise(self.isa, &sweep, out);
        }
    }
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
            for (&tap, weights) in filters.taps.iter().zip(filters.values.chunks(channels)) {
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
        let mut values = vec![0i16; taps.len() * channels + SPARE];
        let mut sums = vec![0i32; channels + SPARE];
        let mut bias = sums.clone();
        for (c, row) in weights.values.chunks_exact(taps.len()).enumerate() {
            let zero = i16::from(weights.zero(c));
            bias[c] = weights.bias(c);
            for (t, &w) in row.iter().enumerate() {
                values[t * channels + c] = i16::from(w) - zero;
                sums[c] += i32::from(values[t * channels + c]);
            }
        }
        let mut start = bias.clone();
        fold(&bias, &sums, weights.input_zero, &mut start);
        Self { channels, values, taps, bias, sums, start }
    }

    /// Brings the weights into the order of a kernel that takes two taps at once, the last one with
    /// a zero weight where their number is odd: `[channel / 16][pair of taps][channel % 16][2]`, the
    /// channels in the order in which interleaving two vectors of 16 yields them.
    fn interleave(&mut self) {
        const ORDER: [usize; SPARE] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];
        let taps = self.taps.len();
        let weight = |tap: usize, c: usize| {
            if tap < taps && c < self.channels { self.values[tap * self.channels + c] } else { 0 }
        };
        let mut values = Vec::new();
        for block in (0..self.channels).step_by(SPARE) {
            for tap in (0..taps).step_by(2) {
                let pair = |c| [weight(tap, block + c), weight(tap + 1, block + c)];
                values.extend(ORDER.into_iter().flat_map(pair));
            }
        }
        self.values = values;
        if !taps.is_multiple_of(2) {
            self.taps.push(self.taps[0]);
        }
    }
}
