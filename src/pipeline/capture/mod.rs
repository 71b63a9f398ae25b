//! Which inputs of a stream are captured for labelling, and what is kept of each.

mod choice;
#[cfg(test)]
mod tests;

use choice::{CaptureChoice, Signs};

use super::interpret::{Body, Prediction};
use super::observation::{Observation, RanInput};
use super::runner::ModelRunner;
use crate::clock::Timestamp;
use crate::config::{Capture, Stream};
use crate::ids::Digest;
use crate::tensor::{Tensor, TensorSpec};

/// Captured inputs that wait to be taken; a message with more completed windows loses the rest.
const MAX_WAITING: usize = 64;
/// Hex digits of a hashed device name.
const HASH_DIGITS: usize = 16;

/// Why an input was captured. Of several, the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// An operator asked for it.
    Command,
    /// The model failed on it.
    Reject,
    /// A candidate in a shadow run predicts something else.
    Disagree,
    /// A value is outside of the range of the baseline.
    Outside,
    /// The two best scores are close.
    Margin,
    /// The stream is in drift, or an alarm asked for the next inputs.
    Drift,
    /// Chosen at random.
    Random,
}

impl Trigger {
    pub const ALL: [Self; 7] = [
        Self::Command,
        Self::Reject,
        Self::Disagree,
        Self::Outside,
        Self::Margin,
        Self::Drift,
        Self::Random,
    ];

    /// The name in files and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Reject => "reject",
            Self::Disagree => "disagree",
            Self::Outside => "outside",
            Self::Drift => "drift",
            Self::Margin => "margin",
            Self::Random => "random",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == text)
    }
}

/// An input as the model saw it, with what was predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedInput {
    pub trigger: Trigger,
    /// The time of its last sample.
    pub time: Timestamp,
    /// `None` if the prediction was not published.
    pub id: Option<String>,
    /// The device, or the start of its SHA-256 digest.
    pub device: String,
    pub label: Option<String>,
    pub score: Option<f32>,
    pub model: String,
    pub version: String,
    /// The inputs of the model.
    pub inputs: Vec<(TensorSpec, Tensor)>,
}

/// The capture of one stream.
#[derive(Debug)]
pub(super) struct CaptureTap {
    hash_device: bool,
    choice: CaptureChoice,
    /// What the prediction at hand says; filled if it may be captured.
    seen: Seen,
    waiting: Vec<CapturedInput>,
    /// Captured inputs that were dropped because too many waited.
    dropped: u64,
}

#[derive(Debug, Default)]
struct Seen {
    id: Option<String>,
    label: Option<String>,
    score: Option<f32>,
    signs: Signs,
}

impl CaptureTap {
    /// `None` if the stream captures nothing.
    pub(super) fn new(stream: &Stream) -> Option<Self> {
        let capture: &Capture = stream.capture.as_ref()?;
        Some(Self {
            hash_device: capture.hash_device,
            choice: CaptureChoice::new(capture),
            seen: Seen::default(),
            waiting: Vec::new(),
            dropped: 0,
        })
    }

    /// Captures the next `count` inputs.
    pub(super) fn request(&mut self, count: u32) {
        self.choice.request(count);
    }

    /// Captures the next `count` inputs because of an alarm, within the budget of the day.
    pub(super) fn request_after_alarm(&mut self, count: u32) {
        self.choice.request_after_alarm(count);
    }

    /// Looks at a prediction. Its strings are copied only if it may be captured.
    pub(super) fn note(&mut self, seen: &Observation<'_>, has_shadow: bool, is_drifting: bool) {
        let margin = seen.prediction.margin();
        let signs = Signs { margin, is_drifting, is_outside: false };
        self.seen = Seen { signs, ..Seen::default() };
        if !self.choice.may_capture(signs, has_shadow, seen.now) {
            return;
        }
        self.seen.id = seen.id.map(str::to_owned);
        self.seen.score = seen.prediction.key.score;
        self.seen.label = label_of(seen.prediction);
    }

    /// Decides on the input that was run last. `is_outside`: of the range of the baseline.
    pub(super) fn finish(&mut self, ran: &RanInput<'_>, is_outside: bool, runner: &ModelRunner) {
        let seen = std::mem::take(&mut self.seen);
        let signs = Signs { is_outside, ..seen.signs };
        let Some(trigger) = self.choice.choose(ran.outcome, signs, ran.now) else { return };
        if self.waiting.len() >= MAX_WAITING {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.waiting.push(CapturedInput {
            trigger,
            time: ran.time,
            id: seen.id,
            device: self.device(ran.device),
            label: seen.label,
            score: seen.score,
            model: runner.card.name.to_string(),
            version: runner.card.version.clone(),
            inputs: runner.named_inputs(),
        });
    }

    fn device(&self, name: &str) -> String {
        if !self.hash_device {
            return name.to_owned();
        }
        Digest::of(name.as_bytes()).to_string().chars().take(HASH_DIGITS).collect()
    }

    /// The captured inputs since this was called last.
    pub(super) fn take(&mut self) -> Vec<CapturedInput> {
        std::mem::take(&mut self.waiting)
    }

    /// How many were dropped since this was called last.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

fn label_of(prediction: &Prediction<'_>) -> Option<String> {
    match &prediction.body {
        Body::Classification { label, .. } => label.map(str::to_owned),
        Body::Anomaly { anomaly, .. } => {
            Some(if *anomaly { "anomaly" } else { "normal" }.to_owned())
        }
        Body::MultiLabel { .. } | Body::Regression { .. } | Body::Raw { .. } => None,
    }
}
