//! State and counters of the updates of a model, as data.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::update::ShadowReport;
use crate::update::machine::Report;

/// The latest report of a model's update.
#[derive(Clone, Debug)]
pub(crate) struct UpdateStatus {
    pub(crate) report: Report,
    /// The version that the update would install, if known.
    pub(crate) candidate_version: Option<String>,
    /// When the update entered its state.
    pub(crate) since: Timestamp,
    /// How the candidate compared with the active model in its shadow run.
    pub(crate) shadow: Option<ShadowReport>,
}

/// What the updates of a model counted since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UpdateCounters {
    /// Version of the keyset in use.
    pub keyset: u64,
    /// Requested chunks that were received, valid or not, and their bytes.
    pub chunks: u64,
    pub bytes: u64,
    /// Messages that no update had requested, of all models.
    pub dropped: u64,
    /// Rejected documents and chunks, by reason.
    pub refused: BTreeMap<String, u64>,
}

impl UpdateCounters {
    pub(crate) fn add_chunk(&mut self, bytes: usize) {
        self.chunks += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(crate) fn add_refused(&mut self, reason: &str) {
        *self.refused.entry(reason.to_owned()).or_default() += 1;
    }

    pub(crate) fn set_keyset(&mut self, keyset: u64) {
        self.keyset = keyset;
    }

    pub(crate) fn set_dropped(&mut self, messages: u64) {
        self.dropped = messages;
    }
}
