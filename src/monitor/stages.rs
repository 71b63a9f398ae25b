//! Where the time of a stream's messages goes.

use std::time::Duration;

/// Upper bounds of the buckets, in microseconds; one more bucket holds what is longer.
pub const STAGE_BOUNDS_US: [u64; BOUNDS] =
    [50, 200, 1_000, 5_000, 20_000, 100_000, 500_000, 2_000_000];
const BOUNDS: usize = 8;

/// A histogram of durations with fixed buckets: small, and exact in what it counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    buckets: [u64; BOUNDS],
    longer: u64,
    sum_us: u64,
}

impl StageTimes {
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = STAGE_BOUNDS_US.partition_point(|bound| *bound < us);
        let bucket = self.buckets.get_mut(place).unwrap_or(&mut self.longer);
        *bucket = bucket.saturating_add(1);
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(self.longer, |sum, count| sum.saturating_add(*count))
    }

    /// The sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// The mean; `None` if there is none.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.sum_us.checked_div(self.count()).map(Duration::from_micros)
    }

    /// Each bound with the number of durations up to it: the cumulative buckets of Prometheus.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut sum = 0_u64;
        STAGE_BOUNDS_US.iter().zip(self.buckets).map(move |(bound, count)| {
            sum = sum.saturating_add(count);
            (Duration::from_micros(*bound), sum)
        })
    }
}

/// The stages of a message on its worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages {
    /// From reception to the worker, once a message.
    pub queue: StageTimes,
    /// Decoding, windows and input tensors, the mean of a message's runs.
    pub prepare: StageTimes,
    /// The model, the mean of a message's runs.
    pub run: StageTimes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_up_to_their_bounds() {
        let mut times = StageTimes::default();
        assert_eq!((times.count(), times.mean()), (0, None));
        for us in [0, 50, 51, 5_000, 2_000_001, 7_000_000] {
            times.record(Duration::from_micros(us));
        }
        assert_eq!(times.count(), 6);
        assert_eq!(times.sum(), Duration::from_micros(9_005_102));
        assert_eq!(times.mean(), Some(Duration::from_micros(1_500_850)));
        let counts: Vec<u64> = times.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 3, 4, 4, 4, 4, 4]);
        times.record(Duration::MAX);
        assert_eq!(times.count(), 7);
    }
}
