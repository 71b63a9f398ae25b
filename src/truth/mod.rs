//! Labels that arrive after a prediction: which prediction each belongs to, and how often the model
//! was right.
//!
//! [`TruthTracker`] remembers the last predictions of a stream in 16 bytes each, finds the one that a
//! label belongs to by its id or by device and time, and keeps the last [`COUNTED_LABELS`] outcomes of
//! each version. Pure: it reads no clock, and its state is saved and restored as bytes.

mod accuracy;
mod memory;
mod saved;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub use accuracy::{LabelStats, VersionAccuracy, wilson};
use accuracy::{Outcome, VersionTally};
use memory::{Found, PredictionMemory};
pub use saved::BadSave;

use crate::clock::Timestamp;

/// The outcomes that the accuracy of a version is computed from.
pub const COUNTED_LABELS: usize = 1000;
/// Versions whose accuracy is kept; the one that was active longest ago is dropped first.
const MAX_VERSIONS: usize = 4;
/// Changes of the version that are told apart among the remembered predictions.
const MAX_SPANS: usize = 64;

/// What the predictions of a version say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// One of these labels, or none of them.
    Labels(Vec<String>),
    /// A number.
    Value,
}

/// One prediction as far as a label is compared with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// The place of the label; `None` if every score was below the threshold.
    Label(Option<u16>),
    Value(f32),
}

/// Which prediction a label is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LabelKey<'a> {
    /// The `id` of the prediction.
    Id(&'a str),
    /// The prediction nearest to this time.
    Time(Timestamp),
}

/// What was true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth<'a> {
    /// The name of a label.
    Name(&'a str),
    /// The place of a label, from 0; or the name of a label that is a number.
    Number(u64),
    Value(f64),
}

/// One label for one prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label<'a> {
    pub key: LabelKey<'a>,
    /// `None`: of any device.
    pub device: Option<&'a str>,
    pub truth: Truth<'a>,
}

/// Why a label was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It is not a label message.
    Malformed,
    /// Its prediction is no longer remembered.
    Late,
    /// No prediction has its id, or none of the device is near its time.
    Unmatched,
    /// Its prediction has a label already.
    Repeated,
    /// The version that made the prediction has no such label.
    UnknownLabel,
    /// A value for a model with labels, or a label for a model with values.
    WrongKind,
}

impl Refusal {
    /// The name that stays the same between versions.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Late => "late",
            Self::Unmatched => "unmatched",
            Self::Repeated => "repeated",
            Self::UnknownLabel => "unknown-label",
            Self::WrongKind => "wrong-kind",
        }
    }
}

/// The predictions since this one, by their number, were made by a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    /// [`VersionTally::key`]
    tally: u32,
}

/// The last predictions of a stream, and the outcomes of those that have a label.
#[derive(Debug)]
pub struct TruthTracker {
    /// What the ids of this gateway start with.
    id_prefix: String,
    tolerance: Duration,
    memory: PredictionMemory,
    /// Rising; the last one is of the version in use.
    spans: VecDeque<Span>,
    tallies: Vec<VersionTally>,
    refused: BTreeMap<&'static str, u64>,
}

impl TruthTracker {
    /// A tracker that remembers up to `capacity` predictions, and joins a label that has only a time
    /// with a prediction no further than `tolerance` from it. `id_prefix`: what the ids of
    /// predictions start with.
    #[must_use]
    pub fn new(capacity: usize, tolerance: Duration, id_prefix: String) -> Self {
        Self {
            id_prefix,
            tolerance,
            memory: PredictionMemory::new(capacity),
            spans: VecDeque::new(),
            tallies: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    /// The following predictions are of this version.
    pub fn activate(&mut self, version: &str, answers: &Answers) {
        let current = self.spans.back().and_then(|span| self.tally(span.tally));
        if current.is_some_and(|tally| tally.is_of(version, answers)) {
            return;
        }
        let known = self.tallies.iter().find(|tally| tally.is_of(version, answers));
        let known = known.map(|tally| tally.key);
        let key = known.unwrap_or_else(|| self.add_tally(version, answers));
        self.spans.push_back(Span { first: self.memory.next_number(), tally: key });
        if self.spans.len() > MAX_SPANS {
            self.spans.pop_front();
        }
    }

    fn add_tally(&mut self, version: &str, answers: &Answers) -> u32 {
        // Rebuilt under the same version, it is another model.
        let former = self.tallies.iter().find(|tally| tally.version == version);
        let former = former.map(|tally| tally.key);
        let last_span = |key| self.spans.iter().rposition(|span| span.tally == key);
        let is_full = self.tallies.len() >= MAX_VERSIONS;
        let oldest = self.tallies.iter().map(|tally| tally.key).min_by_key(|key| last_span(*key));
        if let Some(dropped) = former.or(oldest.filter(|_| is_full)) {
            self.tallies.retain(|tally| tally.key != dropped);
            // Their spans stay, without a tally: labels for these predictions come late.
        }
        let key = self.tallies.iter().map(|tally| tally.key).max().map_or(0, |key| key + 1);
        let key = self.spans.iter().map(|span| span.tally + 1).fold(key, u32::max);
        self.tallies.push(VersionTally::new(key, version, answers.clone()));
        key
    }

    fn tally(&self, key: u32) -> Option<&VersionTally> {
        self.tallies.iter().find(|tally| tally.key == key)
    }

    /// Remembers a prediction. `id`: as published, `None` if it was not.
    pub fn remember(
        &mut self,
        id: Option<&str>,
        device: &str,
        time: Timestamp,
        answer: Answer,
        score: Option<f32>,
    ) {
        self.memory.push(id, device, time, answer, score);
        let oldest = self.memory.first_number();
        while self.spans.get(1).is_some_and(|second| second.first <= oldest) {
            self.spans.pop_front();
        }
    }

    /// Joins a label with its prediction, and counts it. Returns whether the prediction was right;
    /// `None` for a value.
    ///
    /// # Errors
    /// Why it was not counted.
    pub fn join(&mut self, label: &Label<'_>) -> Result<Option<bool>, Refusal> {
        let joined = self.find_and_count(label);
        if let Err(refusal) = joined {
            self.refuse(refusal);
        }
        joined
    }

    fn find_and_count(&mut self, label: &Label<'_>) -> Result<Option<bool>, Refusal> {
        let Some(found) = self.memory.find(label, self.tolerance) else {
            return Err(if self.is_late(label.key) { Refusal::Late } else { Refusal::Unmatched });
        };
        if found.is_joined {
            return Err(Refusal::Repeated);
        }
        let span = self.spans.iter().rfind(|span| span.first <= found.number);
        let key = span.map(|span| span.tally).ok_or(Refusal::Late)?;
        let tally = self.tallies.iter_mut().find(|tally| tally.key == key);
        let tally = tally.ok_or(Refusal::Late)?;
        let Found { number, answer, .. } = found;
        let outcome = tally.outcome(answer, label.truth)?;
        tally.count(outcome);
        self.memory.mark_joined(number);
        Ok(match outcome {
            Outcome::Class { truth, predicted } => Some(truth == predicted),
            Outcome::Error(_) => None,
        })
    }

    /// Whether the prediction may have been remembered and dropped since.
    fn is_late(&self, key: LabelKey<'_>) -> bool {
        self.memory.has_dropped()
            && match key {
                LabelKey::Id(id) => id.starts_with(&self.id_prefix),
                LabelKey::Time(time) => self.memory.is_before_all(time),
            }
    }

    /// Counts a label that could not be read.
    pub fn refuse(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal.code()).or_default() += 1;
    }

    /// The counters and the accuracy of each version, the one in use last.
    #[must_use]
    pub fn stats(&self) -> LabelStats {
        let last_span = |key| self.spans.iter().rposition(|span| span.tally == key);
        let mut tallies: Vec<&VersionTally> = self.tallies.iter().collect();
        tallies.sort_by_key(|tally| last_span(tally.key));
        LabelStats {
            joined: self.tallies.iter().map(|tally| tally.joined).sum(),
            refused: self.refused.clone(),
            remembered: u64::try_from(self.memory.len()).unwrap_or(u64::MAX),
            versions: tallies.into_iter().map(VersionTally::accuracy).collect(),
        }
    }
}
