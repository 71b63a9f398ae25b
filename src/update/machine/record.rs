//! The persistent state: one record per model, replaced by one durable write.

use serde::{Deserialize, Serialize};

use super::super::keyset::Keyset;
use super::super::slots::{VersionSlot, VersionSlots};
use super::types::{Reason, State};
use crate::clock::Timestamp;
use crate::ids::Digest;

/// Refused versions that are remembered; the oldest go first.
const MAX_REFUSED: usize = 64;

/// The persistent state of the machine. Stored by [`Record::to_stored`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The versions in use; stored beside the rest.
    #[serde(skip)]
    pub slots: VersionSlots,
    /// No release below this counter is taken. Rises when a version is committed, not before, so
    /// that rolling back works.
    #[serde(rename = "floor")]
    pub min_counter: u64,
    /// The highest deployment number seen.
    pub seq: u64,
    /// The latest signed time seen: the clock of a gateway that has none.
    pub time: Timestamp,
    /// Versions that failed here.
    pub refused: Vec<Digest>,
    /// The newest keyset's envelope, where it is not the provisioned one.
    pub keyset: Option<String>,
    pub job: Option<Job>,
    /// How the last update ended: said again after a start.
    #[serde(default)]
    pub last: Option<Outcome>,
    /// When the trial of the active version ended; `None` if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<Timestamp>,
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub deployment: String,
    pub state: State,
    pub reason: Option<Reason>,
    pub candidate: Option<Digest>,
}

/// An update under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The envelope of the deployment, or of the manifest where somebody brought the release to
    /// the gateway; it is verified again after every start.
    pub order: String,
    pub stage: State,
    /// Starts and probes that have ended badly or not at all.
    pub tries: u32,
    /// The gateway was stopped in order since.
    #[serde(default)]
    pub paused: bool,
}

impl Job {
    /// Whether the candidate runs on this gateway, and may take it down.
    pub(super) fn runs_candidate(&self) -> bool {
        matches!(self.stage, State::Probing | State::Shadow | State::Trial)
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            slots: VersionSlots::default(),
            min_counter: 0,
            seq: 0,
            time: Timestamp(0),
            refused: Vec::new(),
            keyset: None,
            job: None,
            last: None,
            committed: None,
        }
    }
}

impl Record {
    /// Who loses a key may have lost it to someone who signed the highest numbers there are: with
    /// new keys the numbers start again (fast-forward recovery, TUF 5.3.11).
    pub(super) fn change_keys(&mut self, old: &Keyset, new: &Keyset) {
        if old.deploy.keys != new.deploy.keys {
            self.seq = 0;
            self.time = Timestamp(0);
        }
        if old.release.keys != new.release.keys {
            self.min_counter = 0;
        }
    }

    /// Whether the active version is on trial.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.stage == State::Trial)
    }

    /// Activates a version at the request of an operator, without a trial; an update in progress
    /// ends.
    pub fn select(&mut self, slot: Option<VersionSlot>) {
        self.slots.activate(slot);
        self.job = None;
        self.committed = None;
    }

    pub(super) fn refuse(&mut self, manifest: Digest) {
        if !self.refused.contains(&manifest) {
            self.refused.push(manifest);
        }
        let surplus = self.refused.len().saturating_sub(MAX_REFUSED);
        self.refused.drain(..surplus);
    }
}
