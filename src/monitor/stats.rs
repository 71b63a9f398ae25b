use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Condition, History, Stages};
use crate::clock::Timestamp;
use crate::drift::DriftReport;
use crate::pipeline::OutputStats;
use crate::truth::LabelStats;

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
    /// Retained messages that were not taken: the stream ignores them, or they came before, or they
    /// are older than what is there.
    pub retained: u64,
    /// Empty messages, with which a retained message is removed from the broker.
    pub cleared: u64,
    /// Samples, or whole messages, that the stream's options pass over: `payload.missing` = skip.
    pub skipped: u64,
    /// Partial windows thrown away because of a gap in time.
    pub gaps: u64,
    /// Devices forgotten to make room for others.
    pub keys_evicted: u64,
    /// Devices forgotten because they were silent for too long.
    pub keys_expired: u64,
    /// How full its windows are; `None` where messages are whole inputs, and before the first sample.
    pub window: Option<WindowStats>,
    /// Values joined to samples; `None` where messages are samples, and before the first message.
    pub join: Option<JoinStats>,
    /// Bad inputs by reason.
    pub rejects: BTreeMap<&'static str, u64>,
    /// When the last message came; `null` before the first.
    pub last_message: Option<Timestamp>,
    /// When the last prediction was made; `null` before the first.
    pub last_prediction: Option<Timestamp>,
    /// From a message's arrival to its prediction's leaving for the outbox.
    pub latency: Latency,
    /// The model alone.
    pub run: Latency,
    /// Predictions by label and by score, and the last one; absent before the first.
    #[serde(skip_serializing_if = "OutputStats::is_empty")]
    pub outputs: OutputStats,
    /// What became of labels, and the accuracy by version; absent if the stream has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelStats>,
    /// Whether its windows and predictions are distributed as in the baseline; absent where that
    /// is not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftReport>,
    /// The version that serves now: how a version on trial is judged.
    #[serde(skip)]
    pub version: VersionStats,
    /// What the stream's state is judged by.
    #[serde(skip)]
    pub condition: Condition,
    /// Where the time goes, for metrics.
    #[serde(skip)]
    pub stages: Stages,
    /// The last hour.
    #[serde(skip)]
    pub history: History,
}

/// Values that arrive in messages of their own, joined to samples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JoinStats {
    /// Values taken.
    pub values: u64,
    /// Messages with a channel that the model does not have.
    pub unused: u64,
    /// By channel: samples that were not made because it had no value.
    pub missing: BTreeMap<String, u64>,
}

impl JoinStats {
    /// Adds what became of one message.
    pub fn add(&mut self, values: u32, unused: u32, missing: &[(String, u32)]) {
        self.values += u64::from(values);
        self.unused += u64::from(unused);
        for (channel, samples) in missing {
            *self.missing.entry(channel.clone()).or_default() += u64::from(*samples);
        }
    }
}

/// The windows of one stream: what to look at where predictions stay away.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WindowStats {
    /// Samples in a window.
    pub length: u64,
    /// Devices with a window.
    pub devices: u64,
    /// The device of the last sample.
    pub device: String,
    /// Samples that this device's next window has already.
    pub filled: u64,
    /// Samples that it still needs.
    pub missing: u64,
    /// The most samples that a window of any device had after a message since the stream's last
    /// prediction.
    pub fullest: u64,
    /// Partial windows given up since the start while their devices went on sending, by reason.
    pub restarted: Restarted,
    /// Devices forgotten before their first prediction, to make room for others.
    pub evicted_unpredicted: u64,
    /// Devices forgotten before their first prediction, because they were silent for too long.
    pub expired_unpredicted: u64,
    /// Partial windows given up for any reason since the stream's last prediction.
    pub lost_since_prediction: u64,
    /// The last of them that was the first of its reason in its message, of any time.
    pub last_lost: Option<LostWindow>,
}

/// Why partial windows were given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Restarted {
    /// Two samples were further apart than the card's `window.max_gap`.
    pub gap: u64,
    /// The device's clock was set back, or forward again.
    pub clock: u64,
    /// The device was silent for longer than `key_ttl`.
    pub silence: u64,
}

/// A partial window that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostWindow {
    /// `gap`, `clock`, `silence`, `evicted` or `expired`.
    pub reason: &'static str,
    pub device: String,
    /// Samples that were thrown away.
    pub samples: u64,
    /// Windows of this device given up since its last complete one.
    pub in_a_row: u32,
    /// What happened and what to do.
    pub message: String,
}

/// What one version of a model has done on one stream since it was taken up.
#[derive(Debug, Clone, Default)]
pub struct VersionStats {
    /// Runs that gave a verdict.
    pub runs: u64,
    pub failed: u64,
    /// Outputs that were no finite number or named no label.
    pub bad_outputs: u64,
    pub run: Latency,
    /// The runs of the version before, where there were any.
    pub before: Option<Latency>,
}

/// Runs from which a median says anything.
const MIN_RUNS: u64 = 10;
/// Below this the clock and the scheduler are what is measured, in microseconds.
const MIN_MEASURABLE_US: u64 = 50;

impl VersionStats {
    /// Another version is taken up.
    pub fn renew(&mut self) {
        let old = std::mem::take(self);
        let ran = old.run.summary().count >= MIN_RUNS;
        self.before = if ran { Some(old.run) } else { old.before };
    }

    /// The median latency over that of the version before; `None` where too little ran.
    #[must_use]
    pub fn slowdown(&self) -> Option<f64> {
        let (now, before) = (self.run.summary(), self.before.as_ref()?.summary());
        if now.count < MIN_RUNS || before.count < MIN_RUNS {
            return None;
        }
        let median = |summary: Summary| {
            let us = summary.p50_us.max(MIN_MEASURABLE_US);
            Some(f64::from(u32::try_from(us).ok()?))
        };
        Some(median(now)? / median(before)?)
    }
}

impl StreamStats {
    /// Counts bad inputs.
    pub fn reject(&mut self, reason: &'static str, count: u64) {
        *self.rejects.entry(reason).or_default() += count;
    }
}

/// A histogram of durations between 1 us and a minute, with two significant digits, and their sum.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Option<Histogram<u32>>,
    sum_us: u64,
}

/// A latency's figures in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub count: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

const MAX_LATENCY_US: u64 = 60_000_000;

impl Default for Latency {
    fn default() -> Self {
        Self { histogram: Histogram::new_with_bounds(1, MAX_LATENCY_US, 2).ok(), sum_us: 0 }
    }
}

impl Latency {
    pub fn record(&mut self, took: Duration) {
        if let Some(histogram) = &mut self.histogram {
            let us = u64::try_from(took.as_micros()).unwrap_or(MAX_LATENCY_US);
            histogram.saturating_record(us.clamp(1, MAX_LATENCY_US));
            self.sum_us = self.sum_us.saturating_add(us);
        }
    }

    /// The sum of all recorded durations in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// For each bound in microseconds, how many durations were at most that long, within the two
    /// digits of the histogram. With the count of [`Latency::summary`] as the last bucket, these are
    /// the cumulative buckets of a Prometheus histogram.
    pub fn buckets(&self, bounds_us: &[u64]) -> impl Iterator<Item = (u64, u64)> {
        bounds_us.iter().map(|&bound| {
            let histogram = self.histogram.as_ref().filter(|histogram| !histogram.is_empty());
            let within = |h: &Histogram<u32>| h.count_between(0, bound.min(MAX_LATENCY_US));
            (bound, histogram.map_or(0, within))
        })
    }

    #[must_use]
    pub fn summary(&self) -> Summary {
        self.histogram.as_ref().map_or_else(Summary::default, |h| Summary {
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
    fn a_latency_has_a_sum_and_cumulative_buckets() {
        let mut latency = Latency::default();
        assert_eq!(latency.buckets(&[100]).collect::<Vec<_>>(), [(100, 0)]);
        [50, 90, 900, 20_000]
            .into_iter()
            .map(Duration::from_micros)
            .for_each(|d| latency.record(d));
        assert_eq!(latency.sum_us(), 21_040);
        let buckets: Vec<_> = latency.buckets(&[10, 100, 1_000, u64::MAX]).collect();
        assert_eq!(buckets, [(10, 0), (100, 2), (1_000, 3), (u64::MAX, 4)]);
    }

    #[test]
    fn a_version_is_measured_against_the_one_before_it() {
        let mut version = VersionStats::default();
        let run = |version: &mut VersionStats, us, count| {
            (0..count).for_each(|_| version.run.record(Duration::from_micros(us)));
        };
        run(&mut version, 100, 20);
        version.renew();
        assert_eq!(version.slowdown(), None, "nothing ran yet");
        run(&mut version, 400, 20);
        assert!((version.slowdown().unwrap() - 4.0).abs() < 0.1, "{:?}", version.slowdown());
        version.renew();
        version.renew();
        run(&mut version, 400, 20);
        assert!(
            (version.slowdown().unwrap() - 1.0).abs() < 0.1,
            "one that never ran is passed over"
        );
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
