//! A prediction as observers see it.

use super::interpret::Prediction;
use crate::clock::Timestamp;

/// One prediction, seen after it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation<'a> {
    pub(super) prediction: &'a Prediction<'a>,
    /// `None` if it was not published.
    pub(super) id: Option<&'a str>,
    pub(super) device: &'a str,
    pub(super) time: Timestamp,
}
