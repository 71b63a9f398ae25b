//! Distances between the shares of bins.

use super::progress::saved_fields;
use super::quantity::BINS;

/// Windows in one period of a histogram; so many that a count of them fits a byte, but for one.
pub(super) const PERIOD: usize = 256;
/// Periods that are compared with the baseline at once.
pub(super) const PERIODS: usize = 4;

/// The population stability index of two lists of counts: `sum (p - q) ln(p / q)`, the symmetric
/// Kullback-Leibler divergence of their shares. Half an observation is added to each bin, so that
/// an empty one does not make it infinite.
///
/// Source: Lewis, "An Introduction to Credit Scoring" (1994); Jeffreys (1946) for the half.
#[must_use]
pub fn psi(expected: &[f64], found: &[f64]) -> f64 {
    let bins = expected.len().min(found.len());
    let total = |counts: &[f64]| counts.iter().take(bins).map(|count| count + 0.5).sum::<f64>();
    let (of_expected, of_found) = (total(expected), total(found));
    let terms = expected.iter().zip(found).map(|(expected, found)| {
        let (p, q) = ((found + 0.5) / of_found, (expected + 0.5) / of_expected);
        (p - q) * (p / q).ln()
    });
    terms.sum()
}

/// Pearson's chi-squared statistic of counts against expected counts of any total:
/// `sum (found - n q)^2 / (n q)`. Bins that are expected to be empty are left out.
#[must_use]
pub fn chi_squared(expected: &[f64], found: &[f64]) -> f64 {
    let scale = found.iter().sum::<f64>() / expected.iter().sum::<f64>();
    let pairs = expected.iter().zip(found).map(|(e, f)| (e * scale, f));
    pairs.filter(|(e, _)| *e > 0.0).map(|(e, f)| (f - e) * (f - e) / e).sum()
}

/// Counts of the last [`PERIODS`] periods, in [`BINS`] bins. A count of more than 255 in a period
/// stays at 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RollingCounts {
    periods: [[u8; BINS]; PERIODS],
    /// The period that is being filled.
    at: u8,
    /// Periods that were completed, at most [`PERIODS`].
    complete: u8,
    in_period: u16,
}

saved_fields!(RollingCounts { periods, at, complete, in_period });

impl RollingCounts {
    /// Counts one observation. Returns whether it completed a period; the next one then replaces
    /// the oldest.
    pub(super) fn add(&mut self, bin: usize) -> bool {
        if self.in_period == 0
            && let Some(period) = self.periods.get_mut(usize::from(self.at))
        {
            *period = [0; BINS];
        }
        let period = self.periods.get_mut(usize::from(self.at));
        if let Some(count) = period.and_then(|period| period.get_mut(bin)) {
            *count = count.saturating_add(1);
        }
        self.in_period += 1;
        if usize::from(self.in_period) < PERIOD {
            return false;
        }
        self.in_period = 0;
        self.at = if usize::from(self.at) + 1 < PERIODS { self.at + 1 } else { 0 };
        self.complete = self.complete.saturating_add(1).min(4);
        true
    }

    /// Whether all periods are complete.
    pub(super) fn is_full(&self) -> bool {
        usize::from(self.complete) >= PERIODS
    }

    /// The counts of all periods together.
    pub(super) fn total(&self) -> [f64; BINS] {
        let mut sum = [0.0; BINS];
        for period in &self.periods {
            for (sum, count) in sum.iter_mut().zip(period) {
                *sum += f64::from(*count);
            }
        }
        sum
    }
}
