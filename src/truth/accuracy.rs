//! The outcomes of one version: accuracy, confusion matrix, mean absolute error.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::memory::PackedAnswer;
use super::{Answers, COUNTED_LABELS, Refusal, Truth};

/// Pairs of labels in a confusion matrix; the most frequent ones are shown.
const MAX_PAIRS: usize = 256;
/// The 97.5 % quantile of the normal distribution: an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;
/// In a confusion matrix, a prediction without a label.
const NO_LABEL: &str = "(none)";

/// What became of the labels of one stream, and the accuracy of its model by version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LabelStats {
    /// Labels that were joined with a prediction, of all versions.
    pub joined: u64,
    /// Labels that were not counted, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Predictions that a label can still be joined with.
    pub remembered: u64,
    /// The version in use last.
    pub versions: Vec<VersionAccuracy>,
}

/// The accuracy of one version over its last [`COUNTED_LABELS`] labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VersionAccuracy {
    pub version: String,
    /// Labels that were joined with predictions of this version.
    pub joined: u64,
    /// The last of these, from which the following fields are computed.
    pub labels: u64,
    /// Of them, those that the prediction agreed with; `None` for a model with values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<u64>,
    /// `correct / labels`; `None` without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Both ends of the Wilson score interval of the accuracy, at 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// By true label, then by predicted label (`(none)`: below the threshold): the most frequent 256
    /// pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub confusion: BTreeMap<String, BTreeMap<String, u32>>,
    /// The mean absolute error, for a model with values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
}

/// Both ends of the Wilson score interval at 95 % for `correct` of `all`. Source: E. B. Wilson,
/// "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn wilson(correct: u64, all: u64) -> Option<[f64; 2]> {
    if all == 0 {
        return None;
    }
    let (n, share) = (all as f64, correct as f64 / all as f64);
    let z2 = Z * Z;
    let scale = 1.0 / (1.0 + z2 / n);
    let center = scale * (share + z2 / (2.0 * n));
    let half = scale * Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    Some([(center - half).max(0.0), (center + half).min(1.0)])
}

/// A label beside the prediction it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Places of labels; `predicted` may be [`u16::MAX`], no label.
    Class { truth: u16, predicted: u16 },
    /// The absolute error.
    Error(f32),
}

/// The outcomes of one version.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VersionTally {
    /// Unique in its tracker.
    pub(super) key: u32,
    pub(super) version: String,
    pub(super) answers: Answers,
    /// Labels that were ever joined.
    pub(super) joined: u64,
    /// The last outcomes, packed, oldest first.
    pub(super) last: VecDeque<u32>,
}

impl VersionTally {
    pub(super) fn new(key: u32, version: &str, answers: Answers) -> Self {
        Self { key, version: version.to_owned(), answers, joined: 0, last: VecDeque::new() }
    }

    pub(super) fn is_of(&self, version: &str, answers: &Answers) -> bool {
        self.version == version && self.answers == *answers
    }

    /// Compares a prediction of this version with what was true.
    pub(super) fn outcome(
        &self,
        answer: PackedAnswer,
        truth: Truth<'_>,
    ) -> Result<Outcome, Refusal> {
        match (&self.answers, truth) {
            (Answers::Value, Truth::Value(value)) => {
                let error = (f64::from(answer.value()) - value).abs();
                #[expect(clippy::cast_possible_truncation, reason = "predictions are f32")]
                Ok(Outcome::Error(error as f32))
            }
            (Answers::Value, _) | (Answers::Labels(_), Truth::Value(_)) => Err(Refusal::WrongKind),
            (Answers::Labels(labels), Truth::Name(name)) => class(place(labels, name), answer),
            (Answers::Labels(labels), Truth::Number(number)) => {
                let named = place(labels, &number.to_string());
                let counted = || usize::try_from(number).ok().filter(|&at| at < labels.len());
                class(named.or_else(counted), answer)
            }
        }
    }

    pub(super) fn count(&mut self, outcome: Outcome) {
        self.joined = self.joined.saturating_add(1);
        if self.last.len() >= COUNTED_LABELS {
            self.last.pop_front();
        }
        self.last.push_back(match outcome {
            Outcome::Class { truth, predicted } => u32::from(truth) << 16 | u32::from(predicted),
            Outcome::Error(error) => error.to_bits(),
        });
    }

    pub(super) fn accuracy(&self) -> VersionAccuracy {
        let labels = u64::try_from(self.last.len()).unwrap_or(u64::MAX);
        let all = VersionAccuracy {
            version: self.version.clone(),
            joined: self.joined,
            labels,
            ..VersionAccuracy::default()
        };
        match &self.answers {
            Answers::Value => VersionAccuracy { mae: mean_error(&self.last), ..all },
            Answers::Labels(names) => {
                let right = self.last.iter().filter(|packed| truth_of(**packed) == said(**packed));
                let correct = u64::try_from(right.count()).unwrap_or(u64::MAX);
                #[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
                let accuracy = (labels > 0).then(|| correct as f64 / labels as f64);
                VersionAccuracy {
                    correct: Some(correct),
                    accuracy,
                    interval: wilson(correct, labels),
                    confusion: confusion(names, &self.last),
                    ..all
                }
            }
        }
    }
}

fn place(labels: &[String], name: &str) -> Option<usize> {
    labels.iter().position(|label| label == name)
}

fn class(truth: Option<usize>, answer: PackedAnswer) -> Result<Outcome, Refusal> {
    let truth = truth.and_then(|at| u16::try_from(at).ok()).ok_or(Refusal::UnknownLabel)?;
    Ok(Outcome::Class { truth, predicted: answer.label() })
}

fn truth_of(packed: u32) -> u16 {
    let [_, _, low, high] = packed.to_le_bytes();
    u16::from_le_bytes([low, high])
}

fn said(packed: u32) -> u16 {
    let [low, high, ..] = packed.to_le_bytes();
    u16::from_le_bytes([low, high])
}

fn mean_error(last: &VecDeque<u32>) -> Option<f64> {
    let sum: f64 = last.iter().map(|bits| f64::from(f32::from_bits(*bits))).sum();
    #[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
    (!last.is_empty()).then(|| sum / last.len() as f64)
}

fn confusion(names: &[String], last: &VecDeque<u32>) -> BTreeMap<String, BTreeMap<String, u32>> {
    let mut pairs: BTreeMap<u32, u32> = BTreeMap::new();
    for packed in last {
        *pairs.entry(*packed).or_default() += 1;
    }
    let mut pairs: Vec<(u32, u32)> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    pairs.truncate(MAX_PAIRS);
    let name = |at: u16| {
        let name = names.get(usize::from(at)).map(String::as_str);
        name.unwrap_or(NO_LABEL).to_owned()
    };
    let mut matrix: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    for (packed, count) in pairs {
        let row = matrix.entry(name(truth_of(packed))).or_default();
        row.insert(name(said(packed)), count);
    }
    matrix
}
