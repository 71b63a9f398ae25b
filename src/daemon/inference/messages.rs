//! The messages between the workers and the rest of the daemon: data only.

use std::sync::mpsc;

use super::drift::{LearnedBaseline, LearningProgress};
use super::queues::QueuedSample;
use super::reports::Report;
use super::shadow_share::ShadowStart;
use crate::bundle::VerifiedModel;
use crate::daemon::labels::SavedLabels;
use crate::daemon::windows::SavedWindows;
use crate::message::ResultMessage;
use crate::pipeline::{CompatibilityError, SwapEffect};

/// A message to a worker. A worker handles its messages one at a time, in their order.
#[derive(Debug)]
pub(crate) enum ToWorker {
    Sample(QueuedSample),
    /// A message with labels for predictions of the stream.
    Labels(QueuedSample),
    /// Run another model from the next sample on.
    Swap(Swap),
    /// Run a candidate beside the active model from the next sample on.
    Shadow(ShadowStart),
    /// Release the candidate of this stream if its shadow run has ended.
    ShadowEnded(usize),
    /// Save all partial windows and end. Messages behind this one stay unacknowledged.
    Stop,
}

/// A model for one stream; the worker takes it up between two steps.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(crate) stream: usize,
    pub(crate) loaded: VerifiedModel,
    pub(crate) answer: mpsc::Sender<SwapOutcome>,
}

/// What the swap kept. If stream, card and model do not fit, all misfits; the former model then
/// stays active.
pub(crate) type SwapOutcome = Result<SwapEffect, Vec<CompatibilityError>>;

/// A message of a worker to the delivery loop.
#[derive(Debug)]
pub(crate) enum FromWorker {
    Result(ResultMessage),
    /// For a topic of the daemon.
    Report(Report),
    /// Partial windows to save; the inputs that wait for them are released once they are durable.
    Windows(SavedWindows),
    /// Remembered predictions and their outcomes to save.
    Labels(SavedLabels),
    /// A baseline to save.
    Baseline(LearnedBaseline),
    /// What a stream has learned of a baseline so far, to save.
    Learning(LearningProgress),
    /// An alarm of this stream, which may roll its model back.
    Drifted(usize),
}
