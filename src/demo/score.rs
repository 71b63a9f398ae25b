//! Compares predictions with the labels of the recordings.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Deserialize;

use super::replay::{SamplePosition, Watch};
use crate::clock::Timestamp;

/// A minute, far more than the demo waits.
const MAX_LATENCY_US: u64 = 60_000_000;

/// The part of a prediction that the score needs.
#[derive(Debug, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) device: String,
    time: String,
    pub(crate) label: Option<String>,
    pub(crate) score: Option<f64>,
    #[serde(default)]
    scores: BTreeMap<String, f64>,
    us: Timings,
}

#[derive(Debug, Deserialize)]
struct Timings {
    run: u64,
}

/// A prediction with its place in the replay.
#[derive(Debug)]
pub(crate) struct Scored {
    pub(crate) right: bool,
    /// From the publish of the window's last sample to the arrival of its prediction.
    pub(crate) latency: Duration,
}

/// The counts of a replay.
#[derive(Debug)]
pub(crate) struct Score {
    watches: Vec<Watch>,
    first: Timestamp,
    published: HashMap<(usize, usize, usize), Instant>,
    /// Sums of the probabilities of each class, by watch and recording.
    sums: BTreeMap<(usize, usize), BTreeMap<String, f64>>,
    pub(crate) windows: u64,
    pub(crate) windows_right: u64,
    pub(crate) unplaced: u64,
    latency: Histogram<u64>,
    run: Histogram<u64>,
}

/// The figures of a replay.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Figures {
    pub(crate) recordings: usize,
    pub(crate) recordings_right: usize,
    pub(crate) windows: u64,
    pub(crate) windows_right: u64,
    pub(crate) latency_p50_us: u64,
    pub(crate) latency_p99_us: u64,
    pub(crate) run_p50_us: u64,
    pub(crate) run_p99_us: u64,
}

impl Score {
    /// `first` is the time of the first sample of the replay.
    pub(crate) fn new(watches: Vec<Watch>, first: Timestamp) -> anyhow::Result<Self> {
        Ok(Self {
            watches,
            first,
            published: HashMap::new(),
            sums: BTreeMap::new(),
            windows: 0,
            windows_right: 0,
            unplaced: 0,
            latency: Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)?,
            run: Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)?,
        })
    }

    pub(crate) fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// Records that a sample of `watch` was published.
    pub(crate) fn sent(&mut self, watch: usize, place: SamplePosition) {
        self.published.insert((watch, place.recording, place.step), Instant::now());
    }

    /// Finds the place of a prediction; `None` if it belongs to no recording.
    pub(crate) fn received(&mut self, prediction: &Prediction) -> Option<Scored> {
        let placed = self.place(prediction);
        let Some((watch, place)) = placed else {
            self.unplaced += 1;
            return None;
        };
        let truth = self.watches.get(watch)?.recordings().get(place.recording)?.label.clone();
        let sent = self.published.get(&(watch, place.recording, place.step))?;
        let latency = sent.elapsed();
        let right = prediction.label.as_ref() == Some(&truth);
        self.windows += 1;
        self.windows_right += u64::from(right);
        self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        self.run.saturating_record(prediction.us.run);
        let sums = self.sums.entry((watch, place.recording)).or_default();
        for (label, probability) in &prediction.scores {
            *sums.entry(label.clone()).or_default() += probability;
        }
        Some(Scored { right, latency })
    }

    fn place(&self, prediction: &Prediction) -> Option<(usize, SamplePosition)> {
        let time = Timestamp::parse(&prediction.time)?;
        let watch = self.watches.iter().position(|watch| watch.name == prediction.device)?;
        Some((watch, self.watches.get(watch)?.place(self.first, time)?))
    }

    /// The label of a recording is the one with the highest mean probability over its windows.
    pub(crate) fn figures(&self) -> Figures {
        let right = |(&(watch, recording), sums): (&(usize, usize), &BTreeMap<String, f64>)| {
            let best = sums.iter().max_by(|a, b| a.1.total_cmp(b.1)).map(|(label, _)| label);
            let truth = self.watches.get(watch).and_then(|w| w.recordings().get(recording));
            best == truth.map(|recording| &recording.label)
        };
        Figures {
            recordings: self.watches.iter().map(|watch| watch.recordings().len()).sum(),
            recordings_right: self.sums.iter().filter(|&sums| right(sums)).count(),
            windows: self.windows,
            windows_right: self.windows_right,
            latency_p50_us: self.latency.value_at_quantile(0.5),
            latency_p99_us: self.latency.value_at_quantile(0.99),
            run_p50_us: self.run.value_at_quantile(0.5),
            run_p99_us: self.run.value_at_quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::recordings::Recording;
    use crate::demo::replay::deal;

    fn prediction(device: &str, time: Timestamp, label: &str) -> Prediction {
        let json = serde_json::json!({
            "device": device, "time": time.to_string(), "label": label, "score": 0.9,
            "scores": {"walking": if label == "walking" { 0.9 } else { 0.1 }, "resting": 0.5},
            "us": {"queue": 1, "prepare": 1, "run": 7},
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_prediction_is_held_against_its_recording() {
        let recording = Recording { label: "walking".into(), samples: vec![[0.0; 6]; 100] };
        let first = Timestamp(1_700_000_000_000_000);
        let mut score = Score::new(deal(vec![recording; 2], 1), first).unwrap();
        score.sent(0, SamplePosition { recording: 0, step: 39 });
        score.sent(0, SamplePosition { recording: 1, step: 39 });
        let at = |seconds: f64| first.plus(Duration::from_secs_f64(seconds));
        assert!(score.received(&prediction("watch-1", at(3.9), "walking")).unwrap().right);
        assert!(!score.received(&prediction("watch-1", at(16.9), "resting")).unwrap().right);
        assert!(score.received(&prediction("watch-9", at(3.9), "walking")).is_none());
        let figures = score.figures();
        assert_eq!((figures.windows, figures.windows_right), (2, 1));
        assert_eq!((figures.recordings, figures.recordings_right), (2, 1));
        assert_eq!(figures.run_p50_us, 7);
    }
}
