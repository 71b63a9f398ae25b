//! `fft-power`: what the segments of a channel have in common.
//!
//! With the largest power of each bin it is the spectral analysis of Edge Impulse (version 4); with
//! the mean it is Welch's method (1967) without a detrend, in the scale of a periodogram of two sides:
//! `|X[k]|^2` over the sum of the squares of the window.

use std::ops::Range;

use super::block::{FftPower, Hold};
use super::frames::{FrameTransform, FrameWork, Framing};
use super::numeric::{real, shape};

/// How the powers of segments become features.
#[derive(Clone, Debug)]
pub(super) struct PowerSummary {
    hold: Hold,
    log: bool,
    statistics: bool,
    bins: Range<usize>,
}

impl PowerSummary {
    /// # Errors
    /// Frequencies without a rate, or no bin between them.
    pub(super) fn new(spec: &FftPower, rate: Option<f64>) -> Result<Self, String> {
        let mut bins = usize::from(spec.drop_dc)..spec.fft_length / 2 + 1;
        let place = |hz: f64| match rate {
            Some(rate) => Ok(hz * real(spec.fft_length) / rate),
            None => Err("a frequency means nothing without `rate` of the input".to_owned()),
        };
        // Half a bin's width belongs to it on either side, as in Edge Impulse's block.
        if let Some(low) = spec.low_frequency {
            bins.start = bins.start.max(whole(place(low)? - 0.5) + 1);
        }
        if let Some(high) = spec.high_frequency {
            bins.end = bins.end.min(whole(place(high)? + 0.5) + 1);
        }
        if bins.is_empty() {
            return Err("no bin is between low_frequency and high_frequency".to_owned());
        }
        Ok(Self { hold: spec.hold, log: spec.log, statistics: spec.statistics, bins })
    }

    /// Features of a channel.
    pub(super) fn width(&self) -> usize {
        self.bins.len() + if self.statistics { 2 } else { 0 }
    }

    /// Appends the features of a channel. `segments` are the powers of its whole segments.
    pub(super) fn apply(
        &self,
        segments: &[f64],
        (transform, framing): (&FrameTransform, &Framing),
        channel: &[f64],
        work: &mut FrameWork,
        out: &mut Vec<f64>,
    ) {
        let width = transform.width().max(1);
        let mut held = vec![0.0; width];
        let mut take = |segment: &[f64]| {
            for (held, power) in held.iter_mut().zip(segment) {
                match self.hold {
                    // Not a number stays so, and the input is refused.
                    Hold::Maximum if *power > *held || power.is_nan() => *held = *power,
                    Hold::Maximum => {}
                    Hold::Mean => *held += *power,
                }
            }
        };
        segments.chunks(width).for_each(&mut take);
        if self.hold == Hold::Maximum {
            // The last segments are filled with zeros.
            let mut place = framing.count;
            let mut powers = Vec::new();
            while place * framing.stride < channel.len() {
                powers.clear();
                transform.apply(framing.frame(place, channel), work, &mut powers);
                take(&powers);
                place += 1;
            }
        } else {
            let count = real(framing.count.max(1));
            held.iter_mut().for_each(|power| *power /= count);
        }
        if self.statistics {
            let (skewness, kurtosis) = shape(&held);
            out.extend([skewness, kurtosis]);
        }
        let logarithm = |power: f64| libm::log10(if power == 0.0 { 1e-10 } else { power });
        let bins = held.get(self.bins.clone()).unwrap_or_default();
        out.extend(bins.iter().map(|power| if self.log { logarithm(*power) } else { *power }));
    }
}

/// The whole part of a place among bins; 0 if it is below.
#[expect(clippy::cast_possible_truncation, reason = "float to integer casts saturate")]
#[expect(clippy::cast_sign_loss, reason = "float to integer casts saturate")]
fn whole(place: f64) -> usize {
    place.min(1e9) as usize
}
