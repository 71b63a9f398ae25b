//! `detrend`, as `scipy.signal.detrend`.

use super::block::Trend;
use super::numeric::{mean, real};

/// Subtracts the mean, or the line of least squares `a + b t`.
pub(super) fn detrend(trend: Trend, channel: &mut [f64]) {
    let mean = mean(channel);
    let middle = (real(channel.len()) - 1.0) / 2.0;
    let mut slope = 0.0;
    if trend == Trend::Linear && channel.len() > 1 {
        let (mut with, mut of) = (0.0, 0.0);
        for (t, x) in channel.iter().enumerate() {
            let t = real(t) - middle;
            with += t * (x - mean);
            of += t * t;
        }
        slope = with / of;
    }
    for (t, x) in channel.iter_mut().enumerate() {
        *x -= mean;
        if slope != 0.0 {
            *x -= slope * (real(t) - middle);
        }
    }
}
