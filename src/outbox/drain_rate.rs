//! Limits the rate at which the backlog is sent.

use std::time::Duration;

use crate::clock::Mono;

/// A spacer: each result taken moves the next one's time on by an interval. Up to [`BURST_TOLERANCE`] of
/// results may go at once, so that a timer of that resolution keeps the rate.
#[derive(Debug)]
pub(super) struct DrainRate {
    /// Zero where there is no limit.
    interval: Duration,
    next: Mono,
}

const BURST_TOLERANCE: Duration = Duration::from_millis(50);

impl DrainRate {
    pub(super) fn per_second(rate: u32) -> Self {
        Self { interval: interval(rate), next: Mono(0) }
    }

    /// Goes on at this rate.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.interval = interval(rate);
    }

    /// When the next result may go.
    pub(super) fn ready_at(&self) -> Mono {
        let slack = u64::try_from(BURST_TOLERANCE.as_micros()).unwrap_or(0);
        Mono(self.next.0.saturating_sub(slack))
    }

    pub(super) fn taken(&mut self, now: Mono) {
        self.next = self.next.max(now).plus(self.interval);
    }

    /// One more came to wait, so one more may go: the rate is what the backlog shrinks by, and
    /// new results cannot make it grow without limit.
    pub(super) fn credit(&mut self) {
        let interval = u64::try_from(self.interval.as_micros()).unwrap_or(0);
        self.next = Mono(self.next.0.saturating_sub(interval));
    }
}

fn interval(rate: u32) -> Duration {
    Duration::from_secs(1).checked_div(rate).unwrap_or(Duration::ZERO)
}
