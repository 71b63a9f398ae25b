//! What the updates have the desk say.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::daemon::desk::Desk;
use crate::daemon::report;
use crate::ids::ModelName;
use crate::update::ShadowReport;
use crate::update::device::Report;

/// The last word of a model's machine.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) report: Report,
    pub(crate) candidate_version: Option<String>,
    pub(crate) since: Timestamp,
    pub(crate) shadow: Option<ShadowReport>,
}

/// What a model's updates counted since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// The version of the keyset that counts.
    keyset: u64,
    /// Chunks that were asked for and came, right or wrong, and their bytes.
    chunks: u64,
    bytes: u64,
    /// Messages that nobody waited for, of all models.
    dropped: u64,
    /// Documents and chunks that were refused, by reason.
    refused: BTreeMap<String, u64>,
}

impl Counts {
    pub(super) fn chunk(&mut self, bytes: usize) {
        self.chunks += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(super) fn refused(&mut self, reason: &str) {
        *self.refused.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn trusts(&mut self, keyset: u64) {
        self.keyset = keyset;
    }

    pub(super) fn dropped(&mut self, messages: u64) {
        self.dropped = messages;
    }
}

impl Desk {
    /// Says where the model's update is.
    pub(super) fn tell_update(&mut self, model: &ModelName, told: Told) {
        let now = self.shared.clock.now().wall;
        let Some(serving) = self.serving.iter_mut().find(|s| s.name() == model) else { return };
        serving.told = Some(told);
        let topic = report::topic(&self.shared.config.gateway, &format!("model/{model}"));
        self.link.set_retained(topic, report::model(serving, now));
    }

    pub(super) fn count_updates(&mut self, model: &ModelName, counts: Counts) {
        self.update_counts.insert(model.clone(), counts);
    }
}
