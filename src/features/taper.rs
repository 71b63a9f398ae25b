//! Windows on the samples of a frame.

use std::f64::consts::PI;

use super::block::Taper;
use super::numeric::real;

impl Taper {
    /// The factors of a frame's samples: `a - (1 - a) cos(2 pi t / length)` with a = 0.5 (Hann) or
    /// 0.54 (Hamming), periodic, as `scipy.signal.get_window`. Empty for none.
    pub(super) fn factors(self, length: usize) -> Vec<f64> {
        let a = match self {
            Self::None => return Vec::new(),
            Self::Hann => 0.5,
            Self::Hamming => 0.54,
        };
        let factor = |t: usize| a - (1.0 - a) * libm::cos(2.0 * PI * real(t) / real(length));
        (0..length).map(factor).collect()
    }
}

/// Writes the samples of a frame times their factors.
pub(super) fn taper(samples: &[f64], factors: &[f64], out: &mut Vec<f64>) {
    out.clear();
    if factors.is_empty() {
        out.extend_from_slice(samples);
    } else {
        out.extend(samples.iter().zip(factors).map(|(x, factor)| x * factor));
    }
}
