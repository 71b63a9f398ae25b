//! Depthwise convolutions: one filter per channel.
#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::isa::{Isa, Set};
use super::pack::{Weights, WeightsError, fold};
use super::requant::{Out, SPARE};
use super::scratch::{Scratch, bytes_for};
use super::stage::{Band, Bands};
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
    taps: Vec<u32>,
    filters: Filters,
    #[cfg(target_arch = "x86_64")]
    pairs: avx2::Pairs,
}

/// The packed filters; one start per channel, with [`SPARE`] more behind.
#[derive(Clone, Debug)]
pub(super) struct Filters {
    pub(super) channels: usize,
    /// `[tap][channel]`.
    pub(super) values: Vec<i16>,
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
        let filters = Filters::new(window.taps(), weights);
        Ok(Self {
            isa,
            window: window.clone(),
            bands,
            input_zero: weights.input_zero,
            #[cfg(target_arch = "x86_64")]
            pairs: avx2::Pairs::new(&filters, &taps),
            taps,
            filters,
        })
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
        match self.isa.set() {
            Set::Scalar => {
                let stage = carver.take::<i8>(self.bands.len());
                for band in self.bands.each() {
                    self.bands.copy(band, input, fill, stage);
                    self.scalar(band, stage, start, &mut out);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => {
                let stage = carver.take::<i16>(self.bands.len());
                for band in self.bands.each() {
                    self.isa.run(
                        #[inline(always)]
                        || self.bands.copy(band, input, fill, stage),
                    );
                    let (grid, row) = (self.bands.grid(band), self.bands.first_row(band));
                    let channels = self.window.channels;
                    // SAFETY: this value exists only where AVX2 was detected.
                    unsafe {
                        avx2::depthwise(&self.pairs, channels, stage, &grid, start, row, &mut out)
                    };
                }
            }
        }
    }

    /// The definition: up to 16 channels of one position after the other.
    fn scalar(&self, band: Band, stage: &[i8], start: &[i32], out: &mut Out<'_>) {
        let grid = self.bands.grid(band);
        let channels = self.filters.channels;
        let mut bases = grid.bases();
        for position in 0..grid.count {
            let base = bases.step();
            let row = (self.bands.first_row(band) + position) * channels;
            for c in (0..channels).step_by(SPARE) {
                let n = SPARE.min(channels - c);
                let mut acc = [0; SPARE];
                acc.copy_from_slice(&start[c..c + SPARE]);
                for (&tap, weights) in
                    self.taps.iter().zip(self.filters.values.chunks_exact(channels))
                {
                    let at = base + tap as usize + c;
                    for ((acc, &a), &w) in acc.iter_mut().zip(&stage[at..at + n]).zip(&weights[c..])
                    {
                        *acc = acc.wrapping_add(i32::from(a) * i32::from(w));
                    }
                }
                out.finish(&acc[..n], row + c, c);
            }
        }
    }
}

impl Filters {
    fn new(taps: usize, weights: &Weights<'_>) -> Self {
        let channels = weights.outputs;
        let mut values = vec![0i16; taps * channels];
        let mut sums = vec![0i32; channels + SPARE];
        let mut bias = sums.clone();
        for (c, row) in weights.values.chunks_exact(taps).enumerate() {
            let zero = i16::from(weights.zero(c));
            bias[c] = weights.bias(c);
            for (t, &w) in row.iter().enumerate() {
                values[t * channels + c] = i16::from(w) - zero;
                sums[c] += i32::from(values[t * channels + c]);
            }
        }
        let mut start = bias.clone();
        fold(&bias, &sums, weights.input_zero, &mut start);
        Self { channels, values, bias, sums, start }
    }
}
