//! How often the disk was made to write for good in the last hour: what wears a flash card out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Mono;

const HOUR: Duration = Duration::from_secs(3600);
/// Counts closer together are not told apart.
const STEP: Duration = Duration::from_secs(60);

/// Counts of the last hour, a minute apart.
#[derive(Debug, Default)]
pub(crate) struct LastHour {
    counts: VecDeque<(Mono, u64)>,
}

impl LastHour {
    /// Takes a counter that rises from 0, and says by how much it rose in the last hour, or since
    /// the start where that is not so long ago.
    pub(crate) fn rise(&mut self, now: Mono, count: u64) -> u64 {
        let is_old = |at: &(Mono, u64), age| now.since(at.0) >= age;
        if self.counts.back().is_none_or(|last| is_old(last, STEP)) {
            self.counts.push_back((now, count));
        }
        while self.counts.get(1).is_some_and(|next| is_old(next, HOUR)) {
            self.counts.pop_front();
        }
        let then = self.counts.front().filter(|first| is_old(first, HOUR));
        count.saturating_sub(then.map_or(0, |(_, count)| *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hour_counts_and_what_was_before_it_does_not() {
        let mut hour = LastHour::default();
        let at = |seconds: u64| Mono(0).plus(Duration::from_secs(seconds));
        assert_eq!(hour.rise(at(0), 7), 7, "all of it was since the start");
        assert_eq!(hour.rise(at(1800), 107), 107);
        assert_eq!(hour.rise(at(3600), 207), 200);
        assert_eq!(hour.rise(at(5400), 207), 100);
        assert_eq!(hour.rise(at(7200), 207), 0);
        let all = (0..100_000).map(|second| hour.rise(at(7200 + second), 207));
        assert_eq!(all.max(), Some(0));
        assert!(hour.counts.len() <= 62, "{}", hour.counts.len());
    }
}
