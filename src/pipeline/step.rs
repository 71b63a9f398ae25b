//! What one step works on.

use super::step_report::StepReport;
use super::stopwatch::Stopwatch;
use crate::clock::Now;
use crate::message::{Incoming, ResultMessage};

/// One message on its way through a pipeline.
pub(super) struct Step<'a, 'c> {
    pub(super) incoming: &'a Incoming,
    pub(super) started: Now,
    pub(super) watch: Stopwatch<'c>,
    /// Receives the results.
    pub(super) out: &'a mut Vec<ResultMessage>,
    pub(super) outcome: StepReport,
}
