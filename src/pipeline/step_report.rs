//! What one step did, as a value: the shell acknowledges by it and the monitor counts by it.

use super::reject::Reject;
use super::window_loss::{WindowFill, WindowLosses};
use crate::message::{Incoming, InputProcessed};

/// What became of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Samples (or whole inputs) decoded and taken.
    pub samples: u32,
    /// Model runs that gave a prediction.
    pub runs: u32,
    /// Messages put out, replies included.
    pub results: u32,
    /// Results whose safety the input's acknowledgement waits for; they carry the input's token.
    pub awaited: u32,
    /// Verdicts that the publish rules held back.
    pub suppressed: u32,
    /// Samples, or whole messages, that the stream's options pass over.
    pub skipped: u32,
    /// Partial windows thrown away because of a gap in time.
    pub gaps: u32,
    /// Partial windows given up, those of gaps among them.
    pub losses: WindowLosses,
    /// How full the window of the last sample's device is; `None` where none was taken, or where
    /// messages are whole inputs.
    pub fill: Option<WindowFill>,
    /// Devices forgotten to make room for new ones.
    pub evicted: u32,
    /// Devices forgotten because they were silent for too long.
    pub expired: u32,
    /// Refused samples, one entry for each reason.
    pub rejects: Vec<RejectCount>,
    pub us: StageMicros,
}

/// Samples refused for one reason, with the first of them as the example.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectCount {
    pub reject: Reject,
    /// Samples refused so; 1 where the message as a whole was.
    pub count: u32,
}

/// Where the time went, in microseconds; `prepare` and `run` are sums over the message's runs.
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
    /// The report that lets the input be acknowledged; `None` where nothing waits for one.
    #[must_use]
    pub fn taken(&self, incoming: &Incoming) -> Option<InputProcessed> {
        incoming.token.map(|input| InputProcessed { input, results: self.awaited })
    }

    pub(super) fn reject(&mut self, reject: Reject) {
        match self.rejects.iter_mut().find(|r| r.reject.index() == reject.index()) {
            Some(same) => same.count = same.count.saturating_add(1),
            None => self.rejects.push(RejectCount { reject, count: 1 }),
        }
    }
}
