use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What happened on one stream since the daemon's start.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamStats {
    /// Messages handed to the worker.
    pub messages: u64,
    /// Samples decoded from them.
    pub samples: u64,
    /// Windows, or whole inputs, that went through the model.
    pub windows: u64,
    /// Predictions handed to the outbox.
    pub predictions: u64,
    /// Results the stream's publish policy held back.
    pub suppressed: u64,
    /// Samples of best-effort streams lost to a full queue: the one place where that can happen.
    pub dropped: u64,
    /// Partial windows thrown away because of a gap in time.
    pub gaps: u64,
    /// Devices forgotten to make room for others.
    pub keys_evicted: u64,
    /// Devices forgotten because they were silent for too long.
    pub keys_expired: u64,
    /// Bad inputs by reason.
    pub rejects: BTreeMap<&'static str, u64>,
    /// From a message's arrival to its prediction's leaving for the outbox.
    pub latency: Latency,
    /// The model alone.
    pub run: Latency,
}

impl StreamStats {
    /// Counts bad inputs.
    pub fn reject(&mut self, reason: &'static str, count: u64) {
        *self.rejects.entry(reason).or_default() += count;
    }
}

/// A histogram of durations between 1 us and a minute, two significant digits.
#[derive(Debug, Clone)]
pub struct Latency(Option<Histogram<u32>>);

/// A latency's figures in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub count: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

const LONGEST_US: u64 = 60_000_000;

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, 2).ok())
    }
}

impl Latency {
    pub fn record(&mut self, took: Duration) {
        if let Some(histogram) = &mut self.0 {
            let us = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US);
            histogram.saturating_record(us.clamp(1, LONGEST_US));
        }
    }

    #[must_use]
    pub fn summary(&self) -> Summary {
        self.0.as_ref().map_or_else(Summary::default, |h| Summary {
            count: h.len(),
            p50_us: h.value_at_quantile(0.5),
            p99_us: h.value_at_quantile(0.99),
            max_us: if h.is_empty() { 0 } else { h.max() },
        })
    }
}

impl Serialize for Latency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.summary().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_summary_is_within_its_two_digits() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|ms| latency.record(Duration::from_millis(ms)));
        let summary = latency.summary();
        assert_eq!(summary.count, 1000);
        assert!(summary.p50_us.abs_diff(500_000) <= 5_000, "{summary:?}");
        assert!(summary.p99_us.abs_diff(990_000) <= 9_900, "{summary:?}");
    }

    #[test]
    fn the_extremes_are_kept_within_the_histogram() {
        let mut latency = Latency::default();
        latency.record(Duration::ZERO);
        latency.record(Duration::from_secs(3600));
        assert_eq!(latency.summary().count, 2);
    }

    #[test]
    fn stats_serialize_with_rejects_by_reason() {
        let mut stats = StreamStats::default();
        stats.reject("stale", 1);
        stats.reject("stale", 1);
        let json = serde_json::to_value(&stats).unwrap();
        assert_eq!(json["rejects"]["stale"], 2);
        assert_eq!(json["latency"]["count"], 0);
    }
}
