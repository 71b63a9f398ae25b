//! Counts the syncs of the disk in the last hour: each of them wears a flash card.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Mono;

const HOUR: Duration = Duration::from_secs(3600);
/// Counts closer together are not kept apart.
const RESOLUTION: Duration = Duration::from_secs(60);

/// How much a counter rose in the last hour.
#[derive(Debug, Default)]
pub(crate) struct SyncRate {
    /// Counts of the last hour, a minute apart.
    counts: VecDeque<(Mono, u64)>,
    per_hour: u64,
}

impl SyncRate {
    /// The rise in the last hour, or since the start if that is less long ago.
    pub(crate) fn per_hour(&self) -> u64 {
        self.per_hour
    }

    /// Records the value of a counter that rises from 0.
    pub(crate) fn update(&mut self, now: Mono, count: u64) {
        let is_old = |at: &(Mono, u64), age| now.since(at.0) >= age;
        if self.counts.back().is_none_or(|last| is_old(last, RESOLUTION)) {
            self.counts.push_back((now, count));
        }
        while self.counts.get(1).is_some_and(|next| is_old(next, HOUR)) {
            self.counts.pop_front();
        }
        let then = self.counts.front().filter(|first| is_old(first, HOUR));
        self.per_hour = count.saturating_sub(then.map_or(0, |(_, count)| *count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour_counts_and_what_was_before_it_does_not() {
        let mut rate = SyncRate::default();
        let mut at = |seconds: u64, count| {
            rate.update(Mono(0).plus(Duration::from_secs(seconds)), count);
            rate.per_hour()
        };
        assert_eq!(at(0, 7), 7, "all of it was since the start");
        assert_eq!(at(1800, 107), 107);
        assert_eq!(at(3600, 207), 200);
        assert_eq!(at(5400, 207), 100);
        assert_eq!(at(7200, 207), 0);
        let all = (0..100_000).map(|second| at(7200 + second, 207));
        assert_eq!(all.max(), Some(0));
        assert!(rate.counts.len() <= 62, "{}", rate.counts.len());
    }
}
