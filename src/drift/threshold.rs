//! Thresholds from an allowed rate of false alarms.

use std::time::Duration;

use super::distribution::chi_squared_upper_quantile;

/// How often a stream may alarm without a reason: `count` times in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FalseAlarms {
    pub count: u32,
    pub per: Duration,
}

impl Default for FalseAlarms {
    fn default() -> Self {
        Self { count: 1, per: Duration::from_secs(30 * 86_400) }
    }
}

/// The approximations below hold for known distributions; the baseline only estimates them. The
/// thresholds are set for a rate this many times lower.
const MARGIN: f64 = 6.0;

impl FalseAlarms {
    /// Windows between two false alarms of one of `statistics`, which share the rate equally.
    #[must_use]
    pub fn windows_between(&self, statistics: usize, windows_per_second: f64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a stream has a few dozen statistics")]
        let statistics = statistics.max(1) as f64;
        let windows = self.per.as_secs_f64() * windows_per_second / f64::from(self.count.max(1));
        windows.max(1.0) * statistics * MARGIN
    }
}

/// Siegmund's continuity correction for sums of normal variables.
const OVERSHOOT: f64 = 1.166;

/// The threshold of a one-sided CUSUM of independent standard normal values whose average run
/// length without a shift is `run_length` values.
///
/// Source: Siegmund, "Sequential Analysis" (1985), section 2.6:
/// `run_length = (exp(2kb) - 2kb - 1) / 2k^2` with `b = h + 1.166`.
#[must_use]
pub fn cusum_threshold(allowance: f64, run_length: f64) -> f64 {
    let wanted = 2.0 * allowance * allowance * run_length.max(1.0);
    // exp(y) - y - 1 = wanted, by a fixed point that converges for every positive number.
    let mut y = (wanted + 1.0).ln();
    for _ in 0..60 {
        let next = (wanted + 1.0 + y).ln();
        let moved = (next - y).abs();
        y = next;
        if moved < 1e-12 {
            break;
        }
    }
    (y / (2.0 * allowance) - OVERSHOOT).max(1.0)
}

/// The threshold of a sum of log likelihood ratios with this average run length: Lorden's bound.
#[must_use]
pub fn rate_threshold(run_length: f64) -> f64 {
    run_length.max(std::f64::consts::E).ln()
}

/// How the distances of a histogram from its baseline are distributed without a shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distances {
    /// Bins that can be filled.
    pub bins: f64,
    /// Observations that are compared, and those of the baseline.
    pub found: f64,
    pub baseline: f64,
    /// How many dependent observations say as much as one independent one.
    pub inflation: f64,
    /// Mean and standard deviation of the distances of parts of the baseline from the whole, and
    /// the number of them; none where the baseline is too short.
    pub measured: Option<(f64, f64, f64)>,
}

/// Distances overlap by all periods but one.
const OVERLAP: f64 = 4.0;
/// Distances from which their distribution alone is believed.
const DISTANCES_ENOUGH: f64 = 240.0;
/// Standard errors by which the variance of distances may be off.
const ERRORS: f64 = 2.5;

/// The population stability index that a histogram exceeds with probability `alpha`.
///
/// For independent observations `chi2(bins - 1) (1/n + 1/m)`. Where windows depend on each other,
/// the distances that were measured within the baseline decide. Where too few were measured, all of
/// the excess is taken to be in one direction, which is the worst case.
#[must_use]
pub fn psi_threshold(of: &Distances, alpha: f64) -> f64 {
    let freedom = (of.bins - 1.0).max(1.0);
    let scale = 1.0 / of.found.max(1.0) + 1.0 / of.baseline.max(1.0);
    let independent = chi_squared_upper_quantile(freedom, alpha);
    let in_one = chi_squared_upper_quantile(1.0, alpha);
    let fitted = of.measured.map_or(0.0, |measured| upper_bound(measured, in_one));
    if of.measured.is_some_and(|(_, _, count)| count >= DISTANCES_ENOUGH) {
        return fitted.max(scale * independent);
    }
    let excess = (of.inflation - 1.0).max(0.0) * freedom;
    let worst = scale * (independent + excess * in_one);
    worst.max(fitted)
}

/// A bound of the quantile of a distance with this mean and standard deviation.
///
/// A distance is a weighted sum of chi-squared variables of one degree of freedom. Its far tail is
/// that of the largest weight, which is at most `sd / sqrt(2)`; `quantile` is that of one variable.
fn upper_bound((mean, sd, count): (f64, f64, f64), quantile: f64) -> f64 {
    if mean <= 0.0 || sd <= 0.0 {
        return 0.0;
    }
    // The variance of a few distances, which overlap, may be larger than it came out. Its standard
    // error follows from the kurtosis of a chi-squared variable of this mean and variance.
    let kurtosis = 6.0 * sd * sd / (mean * mean);
    let error = ((2.0 + kurtosis) * OVERLAP / count.max(OVERLAP)).sqrt();
    let variance = sd * sd * (1.0 + ERRORS * error);
    mean + (variance / 2.0).sqrt() * (quantile - 1.0)
}
