//! Counts what the model of a stream predicts: labels, scores, and the last prediction.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::interpret::{Body, Prediction};
use super::observation::Observation;
use crate::bundle::card::{Card, OutputKind};
use crate::clock::Timestamp;

/// Steps of the histogram of scores, from 0 to 1.
pub const SCORE_STEPS: usize = 10;
/// The most labels that are listed; the others are counted together.
const MAX_LISTED_LABELS: usize = 32;
/// The labels of a model that reports anomalies.
const ANOMALY_LABELS: [&str; 2] = ["normal", "anomaly"];

/// The predictions of a stream since the start, or since a version with other labels.
#[derive(Debug, Clone, Default)]
pub struct OutputStats {
    labels: Arc<[String]>,
    /// Predictions of each label.
    counts: Vec<u64>,
    /// Predictions without a label, where others have one.
    unlabelled: u64,
    /// Predictions by the score of the best label; `None` for models without such scores.
    scores: Option<[u64; SCORE_STEPS]>,
    /// The sum of these scores.
    score_sum: f64,
    last: LastPrediction,
}

/// The last prediction of a stream.
#[derive(Debug, Clone, Default)]
struct LastPrediction {
    /// `None` before the first.
    time: Option<Timestamp>,
    device: String,
    /// The place of its label.
    label: Option<usize>,
    score: Option<f32>,
    /// The value of a regression with one output.
    value: Option<f32>,
}

impl OutputStats {
    pub(super) fn new(card: &Card) -> Self {
        let mut stats = Self::default();
        stats.activate(card);
        stats
    }

    /// The following predictions are of this version. Counts continue if its labels are the same.
    pub(super) fn activate(&mut self, card: &Card) {
        let kind = &card.output.kind;
        let labels = match kind {
            OutputKind::Classification { labels, .. } | OutputKind::MultiLabel { labels, .. } => {
                labels.clone()
            }
            OutputKind::Anomaly { .. } => ANOMALY_LABELS.map(str::to_owned).to_vec(),
            OutputKind::Regression { .. } | OutputKind::Raw => Vec::new(),
        };
        if *self.labels == *labels && self.last.time.is_some() {
            return;
        }
        let has_scores =
            matches!(kind, OutputKind::Classification { .. } | OutputKind::MultiLabel { .. });
        *self = Self {
            counts: vec![0; labels.len()],
            labels: labels.into(),
            scores: has_scores.then(Default::default),
            ..Self::default()
        };
    }

    /// Counts a prediction. Allocates nothing once the name of the device fits.
    pub(super) fn note(&mut self, seen: &Observation<'_>) {
        let Prediction { body, key } = seen.prediction;
        let mut value = None;
        let label = match body {
            // The mark is the place of the label and one, or 0 without a label.
            Body::Classification { .. } => self.count(place(key.mark)),
            Body::MultiLabel { scores, thresholds, .. } => self.count_all(scores, thresholds),
            Body::Anomaly { anomaly, .. } => self.count(Some(usize::from(*anomaly))),
            Body::Regression { values, .. } => {
                value = values.first().copied().filter(|_| values.len() == 1);
                None
            }
            Body::Raw { .. } => None,
        };
        if let (Some(steps), Some(score)) = (&mut self.scores, key.score)
            && let Some(count) = steps.get_mut(step(score))
        {
            *count = count.saturating_add(1);
            self.score_sum += f64::from(score);
        }
        let last = &mut self.last;
        last.device.clear();
        last.device.push_str(seen.device);
        (last.time, last.label, last.score, last.value) =
            (Some(seen.time), label, key.score, value);
    }

    fn count(&mut self, label: Option<usize>) -> Option<usize> {
        let count = label.and_then(|label| self.counts.get_mut(label));
        let count = count.unwrap_or(&mut self.unlabelled);
        *count = count.saturating_add(1);
        label
    }

    /// Counts each label from its threshold on; returns the best of them.
    fn count_all(&mut self, scores: &[f32], thresholds: &[f32]) -> Option<usize> {
        let mut best: Option<(usize, f32)> = None;
        for (label, (score, threshold)) in scores.iter().zip(thresholds).enumerate() {
            if score >= threshold {
                self.count(Some(label));
                if best.is_none_or(|(_, highest)| *score > highest) {
                    best = Some((label, *score));
                }
            }
        }
        match best {
            Some((label, _)) => Some(label),
            None => self.count(None),
        }
    }

    /// Becomes a copy of `other`, in the memory that is there.
    pub fn copy_from(&mut self, other: &Self) {
        self.labels.clone_from(&other.labels);
        self.counts.clone_from(&other.counts);
        (self.unlabelled, self.scores, self.score_sum) =
            (other.unlabelled, other.scores, other.score_sum);
        let (last, new) = (&mut self.last, &other.last);
        last.device.clone_from(&new.device);
        (last.time, last.label, last.score, last.value) =
            (new.time, new.label, new.score, new.value);
    }

    /// Whether nothing was predicted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.time.is_none()
    }

    /// Labels that were predicted, with their counts, the most frequent first.
    pub fn labels(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut found: Vec<_> =
            self.labels.iter().map(String::as_str).zip(self.counts.clone()).collect();
        found.retain(|(_, count)| *count > 0);
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        found.into_iter()
    }

    /// Predictions by the score of the best label, in steps of a tenth from 0 to 1.
    #[must_use]
    pub fn scores(&self) -> Option<[u64; SCORE_STEPS]> {
        self.scores
    }

    /// The sum of the scores of [`Self::scores`].
    #[must_use]
    pub fn score_sum(&self) -> f64 {
        self.score_sum
    }

    /// Predictions without a label, where others have one.
    #[must_use]
    pub fn unlabelled(&self) -> u64 {
        self.unlabelled
    }
}

fn place(mark: u64) -> Option<usize> {
    usize::try_from(mark.checked_sub(1)?).ok()
}

/// The step of a score: 0.1 is in the second one, 1 and more in the last.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "within the steps; NaN becomes 0"
)]
fn step(score: f32) -> usize {
    let steps = SCORE_STEPS as f32;
    (score * steps).clamp(0.0, steps - 1.0) as usize
}

impl Serialize for OutputStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let listed: BTreeMap<_, _> = self.labels().take(MAX_LISTED_LABELS).collect();
        let others = self.labels().skip(MAX_LISTED_LABELS).map(|(_, count)| count);
        let others = others.fold(0, u64::saturating_add);
        let mut out = serializer.serialize_struct("OutputStats", 5)?;
        if !self.labels.is_empty() {
            out.serialize_field("labels", &listed)?;
            out.serialize_field("unlabelled", &self.unlabelled)?;
        }
        if others > 0 {
            out.serialize_field("other_labels", &others)?;
        }
        if let Some(scores) = &self.scores {
            out.serialize_field("scores", scores)?;
        }
        out.serialize_field("last", &Last { stats: self, of: &self.last })?;
        out.end()
    }
}

/// The last prediction with the name of its label.
struct Last<'a> {
    stats: &'a OutputStats,
    of: &'a LastPrediction,
}

impl Serialize for Last<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LastPrediction { time, device, label, score, value } = self.of;
        let label = label.and_then(|label| self.stats.labels.get(label));
        let mut out = serializer.serialize_struct("LastPrediction", 5)?;
        out.serialize_field("time", time)?;
        out.serialize_field("device", device)?;
        if !self.stats.labels.is_empty() {
            out.serialize_field("label", &label)?;
        }
        if score.is_some() {
            out.serialize_field("score", score)?;
        }
        if value.is_some() {
            out.serialize_field("value", value)?;
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::tests::fixture::{card, two_labels};

    fn of_classes(count: usize) -> OutputStats {
        let mut card = card(None, &[], two_labels());
        let labels = (0..count).map(|n| format!("label-{n:02}")).collect();
        card.output.kind = OutputKind::Classification { labels, top_k: 1, threshold: 0.0 };
        OutputStats::new(&card)
    }

    #[test]
    fn scores_are_in_steps_of_a_tenth() {
        for (score, wanted) in
            [(-1.0, 0), (0.0, 0), (0.09, 0), (0.1, 1), (0.55, 5), (0.99, 9), (1.0, 9), (7.0, 9)]
        {
            assert_eq!(step(score), wanted, "{score}");
        }
        assert_eq!(step(f32::NAN), 0);
    }

    #[test]
    fn the_most_frequent_labels_are_listed_and_the_others_counted() {
        let mut stats = of_classes(40);
        for label in 0..40 {
            for _ in 0..=label {
                stats.count(Some(label));
            }
        }
        stats.count(None);
        let shown = serde_json::to_value(&stats).unwrap();
        assert_eq!(shown["labels"].as_object().unwrap().len(), MAX_LISTED_LABELS);
        assert_eq!((&shown["labels"]["label-39"], &shown["unlabelled"]), (&json!(40), &json!(1)));
        assert_eq!(shown["other_labels"], (1..=8).sum::<u64>());
        let mut copy = OutputStats::default();
        copy.copy_from(&stats);
        assert_eq!(serde_json::to_value(&copy).unwrap(), shown);
    }

    #[test]
    fn labels_of_a_multi_label_model_are_counted_from_their_thresholds() {
        let mut stats = of_classes(3);
        assert_eq!(stats.count_all(&[0.6, 0.7, 0.1], &[0.5, 0.5, 0.5]), Some(1));
        assert_eq!(stats.count_all(&[0.1, 0.2, 0.3], &[0.5, 0.5, 0.5]), None);
        assert_eq!((stats.counts.as_slice(), stats.unlabelled), (&[1, 1, 0][..], 1));
    }

    #[test]
    fn counts_go_on_with_a_version_of_the_same_labels_only() {
        let mut stats = of_classes(2);
        stats.count(Some(1));
        stats.last.time = Some(Timestamp(1));
        let labels = vec!["label-00".to_owned(), "label-01".to_owned()];
        let mut next = card(None, &[], two_labels());
        next.output.kind = OutputKind::Classification { labels, top_k: 1, threshold: 0.0 };
        stats.activate(&next);
        assert_eq!(stats.counts, [0, 1]);
        stats.activate(&card(None, &[], two_labels()));
        assert_eq!((stats.counts.as_slice(), stats.is_empty()), (&[0, 0][..], true));
    }
}
