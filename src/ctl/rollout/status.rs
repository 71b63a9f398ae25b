//! The state of a rollout that its controller retains for operators without the record file.
//!
//! The message is not signed: it informs operators. Gateways follow the signed deployment
//! alone.

use serde::{Deserialize, Serialize};

use super::machine::{Rollout, RolloutState};
use crate::clock::Timestamp;
use crate::ids::ModelName;
use crate::update::{Deployment, Target};

/// The retained message of `{prefix}/rollout/{group|gateway}/{target}/{model}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RolloutStatus {
    pub(super) v: u8,
    pub(super) deployment: String,
    pub(super) model: ModelName,
    pub(super) target: Target,
    /// Of the release.
    pub(super) version: String,
    #[serde(rename = "course")]
    pub(super) state: RolloutState,
    /// The number of waves that have started.
    pub(super) wave: usize,
    /// Percent of the target, rising.
    pub(super) waves: Vec<f64>,
    /// When the wave started.
    pub(super) since: Timestamp,
}

impl RolloutStatus {
    pub(super) fn of(terms: &Deployment, version: &str, rollout: &Rollout) -> Self {
        Self {
            v: 1,
            deployment: terms.deployment.clone(),
            model: terms.model.clone(),
            target: terms.target.clone(),
            version: version.to_owned(),
            state: rollout.state,
            wave: rollout.wave(),
            waves: rollout.plan().waves.clone(),
            since: rollout.since(),
        }
    }

    /// `None` for anything else, also where a newer tool wrote it.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
