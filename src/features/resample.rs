//! `resample`: polyphase resampling as `scipy.signal.resample_poly` with its defaults: a low pass of
//! `20 max(up, down) + 1` taps under a Kaiser window with beta = 5; zeros before and after the series.

use std::f64::consts::PI;

use super::numeric::real;

const BETA: f64 = 5.0;

/// A change of rate by `up / down`, in lowest terms.
#[derive(Clone, Debug)]
pub(super) struct Resampler {
    pub(super) up: usize,
    pub(super) down: usize,
    /// Taps on both sides of the middle one.
    half: usize,
    taps: Vec<f64>,
}

impl Resampler {
    pub(super) fn new(up: usize, down: usize) -> Self {
        let divisor = common_divisor(up, down).max(1);
        let (up, down) = (up / divisor, down / divisor);
        let widest = up.max(down);
        let half = if widest == 1 { 0 } else { 10 * widest };
        let tap = |place: usize| {
            let from_middle = real(place) - real(half);
            let x = PI * from_middle / real(widest);
            let sinc = if place == half { 1.0 } else { libm::sin(x) / x };
            let edge = from_middle / real(half.max(1));
            sinc * bessel(BETA * (1.0 - edge * edge).max(0.0).sqrt()) / bessel(BETA)
        };
        let mut taps: Vec<f64> = (0..=2 * half).map(tap).collect();
        let sum = taps.iter().fold(0.0, |sum, tap| sum + tap);
        taps.iter_mut().for_each(|tap| *tap = *tap / sum * real(up));
        Self { up, down, half, taps }
    }

    /// Samples that `samples` become.
    pub(super) fn samples(&self, samples: usize) -> usize {
        samples.saturating_mul(self.up).div_ceil(self.down)
    }

    /// Appends the resampled channel: `y[m] = sum of h[m down - k up] x[k]`.
    pub(super) fn apply(&self, channel: &[f64], out: &mut Vec<f64>) {
        for m in 0..self.samples(channel.len()) {
            let at = m * self.down;
            let first = at.saturating_sub(self.half).div_ceil(self.up);
            let end = ((at + self.half) / self.up + 1).min(channel.len());
            // Taps run backwards while samples run forwards.
            let last_tap = (at + self.half).saturating_sub(first * self.up);
            let taps = self.taps.get(..=last_tap).unwrap_or_default().iter().rev().step_by(self.up);
            let samples = channel.get(first..end).unwrap_or_default();
            out.push(samples.iter().zip(taps).fold(0.0, |sum, (x, tap)| sum + x * tap));
        }
    }
}

/// The modified Bessel function of order 0 by its power series.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..64 {
        term = term * quarter / (real(k) * real(k));
        sum += term;
    }
    sum
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}
