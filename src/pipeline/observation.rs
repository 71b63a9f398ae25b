//! A prediction, and the input that was run, as observers see them.

use super::interpret::Prediction;
use crate::clock::{Now, Timestamp};

/// One prediction, seen after it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation<'a> {
    pub(super) prediction: &'a Prediction<'a>,
    /// `None` if it was not published.
    pub(super) id: Option<&'a str>,
    pub(super) device: &'a str,
    pub(super) time: Timestamp,
    /// When its message was received.
    pub(super) now: Now,
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunOutcome {
    Predicted,
    /// A candidate predicted something else.
    Disagreed,
    /// The model failed on it.
    Failed,
}

/// An input after the model, and a candidate if there is one, ran on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RanInput<'a> {
    pub(super) device: &'a str,
    pub(super) time: Timestamp,
    /// When its message was received.
    pub(super) now: Now,
    pub(super) outcome: RunOutcome,
}
