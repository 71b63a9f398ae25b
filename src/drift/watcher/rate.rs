//! Events that rarely happen while all is well: the share of windows or inputs with one.

use super::number::{CAP, Level, next_state, single, time_of};
use crate::drift::cusum::RateCusum;
use crate::drift::report::{DriftState, QuantityReport, rounded};
use crate::drift::threshold::rate_threshold;

/// A share from this on is too usual for a rise to mean anything.
const USUAL_MOST: f64 = 0.4;
const RAISED_MOST: f64 = 0.9;

#[derive(Clone, Copy, Debug)]
pub(super) struct RateWatch {
    cusum: RateCusum,
    threshold: f32,
    /// When the sum left zero, in seconds since 1970.
    from: u32,
    state: DriftState,
}

impl RateWatch {
    /// A watch of events that usually have the share `usual`, for one at least `raised`. `None`
    /// where they are too usual.
    pub(super) fn new(usual: f64, raised: f64, between: f64) -> Option<Self> {
        if usual > USUAL_MOST {
            return None;
        }
        let raised = raised.max(4.0 * usual).min(RAISED_MOST);
        Some(Self {
            cusum: RateCusum::new(usual, raised),
            threshold: single(rate_threshold(between)),
            from: 0,
            state: DriftState::Ok,
        })
    }

    pub(super) fn set_threshold(&mut self, between: f64) {
        self.threshold = single(rate_threshold(between));
    }

    /// Returns whether the state may have changed.
    pub(super) fn add(&mut self, is_event: bool, now: u32) -> bool {
        if !is_event && self.cusum.sum() <= 0.0 {
            return false;
        }
        if self.cusum.sum() <= 0.0 {
            self.from = now;
        }
        self.cusum.add(is_event);
        self.cusum.cap(f64::from(self.threshold) * CAP);
        true
    }

    /// So many trials passed without an event.
    pub(super) fn add_uneventful(&mut self, count: f64) {
        self.cusum.add_uneventful(count);
    }

    pub(super) fn judge(&mut self) -> (DriftState, Level) {
        let level = self.level();
        self.state = next_state(self.state, level.share);
        (self.state, level)
    }

    fn level(&self) -> Level {
        let share = self.cusum.sum() / f64::from(self.threshold);
        let from = (share > 0.0).then(|| time_of(self.from));
        Level { statistic: "rate", share, from, ..Level::default() }
    }

    pub(super) fn report(&self, name: String) -> QuantityReport {
        let level = rounded(self.level().share);
        QuantityReport { name, state: self.state, level, ..QuantityReport::default() }
    }
}
