//! The result of one step, from which the caller acknowledges and counts.

use super::reject::Reject;
use super::window_loss::{WindowFill, WindowLosses};
use crate::message::{Incoming, InputProcessed};

/// The result of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Samples (or whole inputs) that were decoded and accepted.
    pub samples: u32,
    /// Model runs that gave a prediction.
    pub runs: u32,
    /// Messages to be published, replies included.
    pub results: u32,
    /// Results that must be safe before the input is acknowledged; they carry its token.
    pub awaited: u32,
    /// Predictions that the publish rules held back.
    pub suppressed: u32,
    /// Samples, or whole messages, that the stream's options pass over.
    pub skipped: u32,
    /// Partial windows discarded because of a gap in time.
    pub gaps: u32,
    /// Partial windows discarded for any reason.
    pub losses: WindowLosses,
    /// The fill level of the window of the last sample's device; `None` if no sample was accepted, or for
    /// whole inputs.
    pub fill: Option<WindowFill>,
    /// What a join did; `None` where messages are samples.
    pub join: Option<JoinReport>,
    /// Devices evicted to make room for new ones.
    pub evicted: u32,
    /// Devices that expired because they were silent for too long.
    pub expired: u32,
    /// Rejected samples, one entry for each reason.
    pub rejects: Vec<RejectCount>,
    pub us: StageMicros,
}

/// What became of the values of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinReport {
    /// Values taken.
    pub values: u32,
    /// Messages with a channel that the model does not have.
    pub unused: u32,
    /// By channel: samples that were not made because it had no value.
    pub missing: Vec<(String, u32)>,
}

/// Samples rejected for one reason, with the first of them as an example.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectCount {
    pub reject: Reject,
    /// The number of samples; 1 if the whole message was rejected.
    pub count: u32,
}

/// The time of each stage in microseconds; `prepare` and `run` are sums over the runs of the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StageMicros {
    /// From reception to the step.
    pub queue: u64,
    /// Decoding, windows and input tensors.
    pub prepare: u64,
    /// The model.
    pub run: u64,
}

impl StageMicros {
    pub(super) fn add(&mut self, (prepare, run): (u64, u64)) {
        self.prepare = self.prepare.saturating_add(prepare);
        self.run = self.run.saturating_add(run);
    }
}

impl StepReport {
    /// The report that allows the acknowledgement of the input; `None` if it needs none.
    #[must_use]
    pub fn taken(&self, incoming: &Incoming) -> Option<InputProcessed> {
        incoming.token.map(|input| InputProcessed { input, results: self.awaited })
    }

    /// Values taken, each with a sample of its own unless they are joined.
    #[must_use]
    pub fn values(&self) -> u32 {
        self.join.as_ref().map_or(self.samples, |join| join.values)
    }

    pub(super) fn reject(&mut self, reject: Reject) {
        match self.rejects.iter_mut().find(|r| r.reject.index() == reject.index()) {
            Some(same) => same.count = same.count.saturating_add(1),
            None => self.rejects.push(RejectCount { reject, count: 1 }),
        }
    }
}
