//! Mel filters: triangles on the bins of an FFT.
//!
//! `bins` are those of speechpy, which Edge Impulse's blocks MFE and MFCC (version 4) use; `slaney`
//! and `htk` are those of `librosa.filters.mel` with its two scales, the first with areas of 1.

use super::block::{Mel, MelFilters};
use super::numeric::real;

/// The weights of neighbouring bins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MelFilter {
    first: usize,
    weights: Vec<f64>,
}

impl MelFilter {
    /// The weighted sum of the powers.
    pub(super) fn energy(&self, powers: &[f64]) -> f64 {
        let powers = powers.get(self.first..).unwrap_or_default();
        powers.iter().zip(&self.weights).fold(0.0, |sum, (power, weight)| sum + power * weight)
    }

    fn of(weights: &[f64]) -> Option<Self> {
        let first = weights.iter().position(|weight| *weight > 0.0)?;
        let last = weights.iter().rposition(|weight| *weight > 0.0)?;
        Some(Self { first, weights: weights.get(first..=last)?.to_vec() })
    }
}

/// The filters of a block at `rate` samples a second.
///
/// # Errors
/// Frequencies that are not in order or above half the rate, or filters without a bin.
pub(super) fn filters(mel: &Mel, rate: f64) -> Result<Vec<MelFilter>, String> {
    let (low, nyquist) = (mel.low_frequency, rate / 2.0);
    let high = mel.high_frequency.unwrap_or(nyquist);
    if low >= high || high > nyquist {
        return Err(format!(
            "low_frequency {low} Hz and high_frequency {high} Hz are not in order up to half the \
             rate, {nyquist} Hz"
        ));
    }
    let corners = corners(mel, low, high);
    let bins = mel.frames.fft_length / 2 + 1;
    let filter = |corners: &[f64]| {
        let [left, middle, right] = *corners else { return None };
        let weight = |bin: usize| match mel.filters {
            MelFilters::Bins => on_bins(bin, [left, middle, right], mel.frames.fft_length, rate),
            MelFilters::Slaney => {
                exact(bin_hz(bin, mel, rate), [left, middle, right]) * 2.0 / (right - left)
            }
            MelFilters::Htk => exact(bin_hz(bin, mel, rate), [left, middle, right]),
        };
        MelFilter::of(&(0..bins).map(weight).collect::<Vec<_>>())
    };
    let filters: Option<Vec<MelFilter>> = corners.windows(3).map(filter).collect();
    filters.ok_or_else(|| {
        format!(
            "one of {} mel filters has no bin of an FFT of {}: lower num_filters or raise \
             fft_length",
            mel.num_filters, mel.frames.fft_length
        )
    })
}

/// The frequencies between which filters rise and fall, in Hz: `num_filters + 2`, equally far from
/// one another on the mel scale.
fn corners(mel: &Mel, low: f64, high: f64) -> Vec<f64> {
    let slaney = mel.filters == MelFilters::Slaney;
    let (to, from) = if slaney {
        (to_slaney as fn(f64) -> f64, from_slaney as _)
    } else {
        (to_mel as _, from_mel as fn(f64) -> f64)
    };
    let (first, last) = (to(low), to(high));
    let step = (last - first) / real(mel.num_filters + 1);
    let place = |k: usize| if k == mel.num_filters + 1 { last } else { first + real(k) * step };
    (0..mel.num_filters + 2)
        .map(|k| from(place(k)))
        .enumerate()
        .map(|(k, hz)| {
            // As speechpy's last corner, so that it is never rounded up.
            let is_last = k == mel.num_filters + 1 && mel.filters == MelFilters::Bins;
            if is_last { hz - 0.001 } else { hz }
        })
        .collect()
}

fn bin_hz(bin: usize, mel: &Mel, rate: f64) -> f64 {
    real(bin) * rate / real(mel.frames.fft_length)
}

fn on_bins(bin: usize, corners: [f64; 3], fft_length: usize, rate: f64) -> f64 {
    let [left, middle, right] = corners.map(|hz| (real(fft_length + 1) * hz / rate).floor());
    let bin = real(bin);
    if middle <= bin && bin < right {
        (right - bin) / (right - middle)
    } else if left < bin && bin <= middle && bin < right {
        (bin - left) / (middle - left)
    } else {
        0.0
    }
}

fn exact(hz: f64, [left, middle, right]: [f64; 3]) -> f64 {
    let rising = (hz - left) / (middle - left);
    let falling = (right - hz) / (right - middle);
    let weight = if rising < falling { rising } else { falling };
    if weight > 0.0 { weight } else { 0.0 }
}

fn to_mel(hz: f64) -> f64 {
    1127.0 * libm::log(1.0 + hz / 700.0)
}

fn from_mel(mel: f64) -> f64 {
    700.0 * (libm::exp(mel / 1127.0) - 1.0)
}

/// Where Slaney's scale becomes logarithmic, in Hz and in mels, and its step there.
const SLANEY_HZ: f64 = 1000.0;
const SLANEY_MEL: f64 = 15.0;
const SLANEY_WIDTH: f64 = 200.0 / 3.0;

fn slaney_step() -> f64 {
    libm::log(6.4) / 27.0
}

fn to_slaney(hz: f64) -> f64 {
    if hz >= SLANEY_HZ {
        SLANEY_MEL + libm::log(hz / SLANEY_HZ) / slaney_step()
    } else {
        hz / SLANEY_WIDTH
    }
}

fn from_slaney(mel: f64) -> f64 {
    if mel >= SLANEY_MEL {
        SLANEY_HZ * libm::exp(slaney_step() * (mel - SLANEY_MEL))
    } else {
        mel * SLANEY_WIDTH
    }
}
