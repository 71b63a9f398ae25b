//! Frames of a series, and what becomes of each: powers, mel energies or cepstral coefficients.

use super::block::{Mel, Mfcc, PowerScale, Spectrogram, Taper};
use super::cepstrum::cosines;
use super::fft::{Complex, Fft};
use super::mel::{MelFilter, filters};
use super::numeric::real;
use super::taper::taper;

/// What a logarithm takes for a power of 0.
const NO_POWER: f64 = 1e-10;

/// How a series is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    /// Samples in a frame.
    pub(super) length: usize,
    /// Samples from one frame's start to the next one's.
    pub(super) stride: usize,
    /// Whole frames in the series.
    pub(super) count: usize,
}

impl Framing {
    pub(super) fn new(samples: usize, length: usize, stride: usize) -> Self {
        let rest = samples.checked_sub(length);
        let count = rest.map_or(0, |rest| rest / stride.max(1) + 1);
        Self { length, stride, count }
    }

    /// Of lengths in seconds, rounded up to samples unless they are less than 0.001 above a whole
    /// one, as Edge Impulse does.
    ///
    /// # Errors
    /// Frames without a sample, or longer than the series.
    pub(super) fn in_seconds(
        spec: &Spectrogram,
        samples: usize,
        rate: f64,
    ) -> Result<Self, String> {
        let whole = |seconds: f64| {
            let exact = rate * seconds;
            let floor = exact.floor();
            let rounded = if exact - floor < 0.001 { floor } else { exact.ceil() };
            // At most the samples of a window.
            #[expect(clippy::cast_possible_truncation, reason = "bounded")]
            #[expect(clippy::cast_sign_loss, reason = "bounded")]
            let whole = rounded.clamp(0.0, 1e9) as usize;
            whole
        };
        let (length, stride) = (whole(spec.frame_length), whole(spec.frame_stride));
        if length == 0 || stride == 0 {
            let problem = "frame_length and frame_stride are at least one sample";
            return Err(format!("{problem}, 1 / {rate} s"));
        }
        let framing = Self::new(samples, length, stride);
        if framing.count == 0 {
            return Err(format!(
                "a frame of {length} samples is longer than the {samples} samples"
            ));
        }
        Ok(framing)
    }

    /// The samples of a frame, as far as there are.
    pub(super) fn frame<'a>(&self, place: usize, channel: &'a [f64]) -> &'a [f64] {
        let begin = (place * self.stride).min(channel.len());
        let end = (begin + self.length).min(channel.len());
        channel.get(begin..end).unwrap_or_default()
    }
}

/// Buffers for a frame.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameWork {
    tapered: Vec<f64>,
    complex: Vec<Complex>,
    powers: Vec<f64>,
    energies: Vec<f64>,
}

/// What becomes of one frame, which depends on nothing but its samples.
#[derive(Clone, Debug)]
pub(super) struct FrameTransform {
    fft: Fft,
    factors: Vec<f64>,
    /// Powers are divided by this.
    divisor: f64,
    kind: TransformKind,
}

#[derive(Clone, Debug)]
enum TransformKind {
    Powers { scale: PowerScale, bins: usize },
    Mel { filters: Vec<MelFilter>, scale: PowerScale },
    Cepstrum { filters: Vec<MelFilter>, scale: PowerScale, rows: Vec<Vec<f64>>, energy: bool },
}

impl FrameTransform {
    /// The periodogram: powers over the sum of the squares of the window.
    pub(super) fn periodogram(fft_length: usize, taper: Taper) -> Self {
        let factors = taper.factors(fft_length);
        let divisor = match factors.as_slice() {
            [] => real(fft_length),
            factors => factors.iter().fold(0.0, |sum, factor| sum + factor * factor),
        };
        let kind = TransformKind::Powers { scale: PowerScale::Power, bins: fft_length / 2 + 1 };
        Self { fft: Fft::new(fft_length), factors, divisor, kind }
    }

    pub(super) fn spectrogram(spec: &Spectrogram, framing: Framing) -> Self {
        let bins = spec.fft_length / 2 + 1;
        Self::of(spec, framing, TransformKind::Powers { scale: spec.scale, bins })
    }

    /// # Errors
    /// As [`filters`].
    pub(super) fn mel(spec: &Mel, framing: Framing, rate: f64) -> Result<Self, String> {
        let (filters, scale) = (filters(spec, rate)?, spec.frames.scale);
        Ok(Self::of(&spec.frames, framing, TransformKind::Mel { filters, scale }))
    }

    /// # Errors
    /// As [`filters`], or more coefficients than filters.
    pub(super) fn mfcc(spec: &Mfcc, framing: Framing, rate: f64) -> Result<Self, String> {
        let (outputs, inputs) = (spec.num_cepstral, spec.mel.num_filters);
        if outputs > inputs {
            return Err(format!("num_cepstral {outputs} is more than num_filters {inputs}"));
        }
        let (filters, scale) = (filters(&spec.mel, rate)?, spec.mel.frames.scale);
        let (rows, energy) = (cosines(inputs, outputs), spec.energy);
        let kind = TransformKind::Cepstrum { filters, scale, rows, energy };
        Ok(Self::of(&spec.mel.frames, framing, kind))
    }

    fn of(spec: &Spectrogram, framing: Framing, kind: TransformKind) -> Self {
        let divisor = if spec.divide { real(spec.fft_length) } else { 1.0 };
        let factors = spec.taper.factors(framing.length);
        Self { fft: Fft::new(spec.fft_length), factors, divisor, kind }
    }

    /// Numbers that a frame becomes.
    pub(super) fn width(&self) -> usize {
        match &self.kind {
            TransformKind::Powers { bins, .. } => *bins,
            TransformKind::Mel { filters, .. } => filters.len(),
            TransformKind::Cepstrum { rows, .. } => rows.len(),
        }
    }

    /// Appends what a frame becomes.
    pub(super) fn apply(&self, frame: &[f64], work: &mut FrameWork, out: &mut Vec<f64>) {
        let FrameWork { tapered, complex, powers, energies } = work;
        taper(frame, &self.factors, tapered);
        powers.clear();
        self.fft.powers(tapered, complex, powers);
        powers.iter_mut().for_each(|power| *power /= self.divisor);
        match &self.kind {
            TransformKind::Powers { scale, .. } => {
                out.extend(powers.iter().map(|power| scale.of(*power)));
            }
            TransformKind::Mel { filters, scale } => {
                let energies = filters.iter().map(|filter| filter.energy(powers));
                out.extend(energies.map(|energy| scale.stepped(scale.of(energy))));
            }
            TransformKind::Cepstrum { filters, scale, rows, energy } => {
                energies.clear();
                energies.extend(filters.iter().map(|filter| scale.of(filter.energy(powers))));
                let of = |row: &Vec<f64>| {
                    row.iter().zip(&*energies).fold(0.0, |sum, (cosine, x)| sum + cosine * x)
                };
                let begin = out.len();
                out.extend(rows.iter().map(of));
                if let Some(first) = out.get_mut(begin).filter(|_| *energy) {
                    *first = logarithm(powers.iter().fold(0.0, |sum, power| sum + power));
                }
            }
        }
    }
}

impl PowerScale {
    fn of(self, power: f64) -> f64 {
        let decibel = |least: f64| 10.0 * libm::log10(if power < least { least } else { power });
        match self {
            Self::Power => power,
            Self::Log => logarithm(power),
            Self::Decibel => decibel(NO_POWER),
            Self::NoiseFloor(floor) => {
                let share = (decibel(1e-30) - floor) / (12.0 - floor);
                if share < 0.0 { 0.0 } else { share }
            }
        }
    }

    /// Edge Impulse's MFE has 8 bits: steps of 1 / 256 from 0 to 255 / 256, halves to even.
    fn stepped(self, share: f64) -> f64 {
        match self {
            Self::NoiseFloor(_) => {
                let steps = (share * 256.0).round_ties_even();
                (if steps > 255.0 { 255.0 } else { steps }) / 256.0
            }
            _ => share,
        }
    }
}

fn logarithm(power: f64) -> f64 {
    libm::log(if power == 0.0 { NO_POWER } else { power })
}
