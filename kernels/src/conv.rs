//! Convolutions, one- and two-dimensional, as matrix products over staged bands.
use super::dense::Dense;
use super::gemm::{self, Left, Place};
use super::isa::Isa;
use super::lane::{Lane, depth, widens};
use super::pack::{Offsets, Panels, Runs, Weights, WeightsError};
use super::requant::Out;
use super::scratch::{Carver, Scratch, bytes_for};
use super::stage::Bands;
use super::window::Window;

/// A convolution of one NHWC picture.
#[derive(Clone, Debug)]
pub struct Conv {
    window: Window,
    outputs: usize,
    input_zero: i8,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// 1 x 1, stride 1, one group: the picture is the matrix.
    Pointwise(Dense),
    Windowed(Windowed),
}

#[derive(Clone, Debug)]
struct Windowed {
    isa: Isa,
    bands: Bands,
    runs: Runs,
    offsets: Offsets,
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
        window: &Window,
        groups: usize,
        weights: &Weights<'_>,
    ) -> Result<Self, WeightsError> {
        let divides = groups > 0
            && [window.channels, weights.outputs].iter().all(|n| n.is_multiple_of(groups));
        if !window.is_sound() || !divides || weights.outputs == 0 {
            return Err(WeightsError::Window);
        }
        weights.check(window.taps() * window.channels / groups)?;
        let kind = if groups == 1 && window.is_pointwise() {
            Kind::Pointwise(Dense::new(isa, weights)?)
        } else {
            Kind::Windowed(Windowed::new(isa, window, groups, weights))
        };
        let (outputs, input_zero) = (weights.outputs, weights.input_zero);
        Ok(Self { window: window.clone(), outputs, input_zero, kind })
    }

    /// Elements of the NHWC result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.window.positions() * self.outputs
    }

    /// Working memory for a run.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        match &self.kind {
            Kind::Pointwise(dense) => dense.scratch_bytes(self.window.positions()),
            Kind::Windowed(w) => w.scratch_bytes(),
        }
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
    /// As [`Conv::run`].
    #[inline(never)]
    pub fn run_at(&self, zero: i8, input: &[i8], out: Out<'_>, scratch: &mut Scratch) {
        self.convolve(Some(zero), input, out, scratch);
    }

    fn convolve(&self, zero: Option<i8>, input: &[i8], mut out: Out<'_>, scratch: &mut Scratch) {
        assert_eq!(input.len(), self.window.input_len(), "input picture");
        out.check(self.window.positions(), self.outputs);
        match (&self.kind, zero) {
            (Kind::Pointwise(dense), None) => {
                dense.run(self.window.positions(), input, out, scratch)
            }
            (Kind::Pointwise(dense), Some(zero)) => {
                dense.run_at(zero, self.window.positions(), input, out, scratch);
            }
            (Kind::Windowed(w), zero) => {
                let fill = zero.unwrap_or(self.input_zero);
                w.run(fill, zero.is_some(), input, self.outputs, &mut out, &mut scratch.carve());
            }
        }
    }
}

impl Windowed {
    fn new(isa: Isa, window: &Window, groups: usize, weights: &Weights<'_>) -> Self {
        let bands = Bands::new(isa, window);
        let runs = runs(window, groups, &bands);
        let depth = depth(isa);
        let panels =
            (0..groups).map(|g| Panels::new(&weights.group(g, groups), &runs, depth)).collect();
        Self { isa, bands, offsets: runs.offsets(depth), runs, panels }
    }

    fn start_len(&self) -> usize {
        self.panels.first().map_or(0, Panels::start_len)
    }

    fn band_positions(&self) -> usize {
        let Some(band) = self.bands.each().next() else { return 0 };
        self.bands.grid(band).count
    }

    fn scratch_bytes(&self) -> usize {
        self.bands.scratch_bytes(self.isa)
            + bytes_for::<i32>(self.start_len())
            + bytes_for::<i32>(self.band_positions())
    }

    /// All bands and groups; `fold` says that `fill` is not the zero point packed with.
    fn run(
        &self,
        fill: i8,
        fold: bool,
        input: &[i8],
        width: usize,
        out: &mut Out<'_>,
        carver: &mut Carver<'_>,
    ) {
        let start = carver.take(self.start_len());
        let sums = carver.take(self.band_positions());
        if widens(self.isa, depth(self.isa)) {
            let stage = carver.take::<i16>(self.bands.len());
            self.banded(fill, fold, input, stage, [start, sums], width, out);
        } else {
            let stage = carver.take::<i8>(self.bands.len());
            self.banded(fill, fold, input, stage, [start, sums], width, out);
        }
    }

    /// Stages every band and multiplies each of its groups.
    #[expect(clippy::too_many_arguments, reason = "one run's whole state")]
    fn banded<T: Lane>(
        &self,
        fill: i8,
        fold: bool,
        input: &[i8],
        stage: &mut [T],
        [start, sums]: [&mut [i32]; 2],
        width: usize,
        out: &mut Out<'_>,
    ) {
        let channels = self.bands.channels() / self.panels.len();
        for band in self.bands.each() {
            self.isa.run(
                #[inline(always)]
                || self.bands.copy(band, input, fill, stage),
            );
            for (g, panels) in self.panels.iter().enumerate() {
                let mut grid = self.bands.grid(band);
                grid.origin = g * channels;
                if panels.skewed {
                    let Runs { starts, len } = &self.runs;
                    self.isa.run(
                        #[inline(always)]
                        || gemm::sum_rows(self.isa, stage, &grid, starts, *len, sums),
                    );
                }
                let left = Left { stage, grid, offsets: &self.offsets, row_sums: sums };
                let view = if fold { panels.view_at(self.isa, fill, start) } else { panels.view() };
                let row = self.bands.first_row(band);
                let place = Place { row, column: g * panels.columns, width };
                T::gemm(self.isa, &left, &view, place, out);
            }
        }
    }
}

/// Which neighbouring activations meet neighbouring weights: whole kernel rows where the window has
/// no holes, else one tap's channels.
fn runs(window: &Window, groups: usize, bands: &Bands) -> Runs {
    let channels = window.channels / groups;
    let taps: Vec<u32> = bands.taps().map(|t| t as u32).collect();
    if groups == 1 && window.dilation[1] == 1 {
        let starts = taps.into_iter().step_by(window.kernel[1]).collect();
        Runs { len: window.kernel[1] * channels, starts }
    } else {
        Runs { len: channels, starts: taps }
    }
}
