//! The shares of the labels of a classification.

use super::number::{EFFECT_LEAST, Level, counts, next_state, shares, single, thousandths};
use crate::drift::baseline::LabelBaseline;
use crate::drift::histogram::{PERIOD, PERIODS, RollingCounts, psi};
use crate::drift::quantity::BINS;
use crate::drift::report::{DriftState, QuantityReport, rounded};
use crate::drift::threshold::psi_threshold;

#[derive(Clone, Debug)]
pub(super) struct LabelWatch {
    /// The bin of each label.
    bins: Vec<u8>,
    used: usize,
    expected: [u16; BINS],
    rolling: RollingCounts,
    psi: f32,
    threshold: f32,
    state: DriftState,
}

impl LabelWatch {
    /// `inflation`: as for numbers, where the distances were not measured.
    pub(super) fn new(baseline: &LabelBaseline, inflation: f64, between: f64) -> Self {
        let mut watch = Self {
            bins: baseline.bins.clone(),
            used: baseline.shape.counts.len().min(BINS),
            expected: shares(&baseline.shape.counts),
            rolling: RollingCounts::default(),
            psi: 0.0,
            threshold: f32::INFINITY,
            state: DriftState::Ok,
        };
        watch.set_threshold(baseline, inflation, between);
        watch
    }

    pub(super) fn set_threshold(&mut self, baseline: &LabelBaseline, inflation: f64, between: f64) {
        #[expect(clippy::cast_precision_loss, reason = "1024")]
        let (found, period) = ((PERIOD * PERIODS) as f64, PERIOD as f64);
        let distances = baseline.shape.distances(found, inflation);
        let threshold = psi_threshold(&distances, (period / between).min(0.5));
        self.threshold = single(threshold.max(EFFECT_LEAST));
    }

    /// Returns whether the statistic changed.
    pub(super) fn add(&mut self, label: usize) -> bool {
        let bin = self.bins.get(label).copied().map_or(BINS - 1, usize::from);
        let changed = self.rolling.add(bin) && self.rolling.is_full();
        if changed {
            let (expected, found) = (self.expected.map(f64::from), self.rolling.total());
            let (expected, found) = (expected.get(..self.used), found.get(..self.used));
            self.psi = single(psi(expected.unwrap_or_default(), found.unwrap_or_default()));
        }
        changed
    }

    pub(super) fn judge(&mut self) -> (DriftState, Level) {
        let level = self.level();
        self.state = next_state(self.state, level.share);
        (self.state, level)
    }

    fn level(&self) -> Level {
        let share = f64::from(self.psi / self.threshold);
        Level { statistic: "psi", share, psi: Some(f64::from(self.psi)), ..Level::default() }
    }

    pub(super) fn report(&self) -> QuantityReport {
        QuantityReport {
            name: "labels".to_owned(),
            state: self.state,
            level: rounded(self.level().share),
            psi: self.rolling.is_full().then(|| rounded(f64::from(self.psi))),
            expected: thousandths(&self.expected, self.used),
            found: counts(&self.rolling, self.used),
            ..QuantityReport::default()
        }
    }
}
