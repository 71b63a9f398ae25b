//! The report on `{prefix}/{gateway}/model/{name}`, written by the daemon and read by `inferctl`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine::{Reason, State};
use super::slots::VersionSlot;
use crate::clock::Timestamp;
use crate::engine::NodeCounts;
use crate::ids::Digest;

/// The retained message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    pub v: u32,
    pub state: ModelState,
    /// The active version.
    pub active: VersionReport,
    /// The target of a rollback; `None` is the built-in model.
    #[serde(default)]
    pub previous: Option<VersionReport>,
    /// What the update is or was about.
    #[serde(default)]
    pub candidate: Option<CandidateReport>,
    /// Of the bytes to fetch, 0 to 1.
    #[serde(default)]
    pub progress: f32,
    #[serde(default)]
    pub reason: Option<Reason>,
    /// The rollout it is about.
    #[serde(default)]
    pub deployment: Option<String>,
    /// Of the active model.
    pub nodes: NodeCounts,
    /// When this state began.
    pub since: Timestamp,
    /// How the candidate did beside the model that served, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
}

/// A candidate beside the active model on the same live inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowReport {
    pub runs: u32,
    /// Runs in which both said the same.
    pub agreed: u32,
    /// Of one run on average, in microseconds.
    pub active_us: u64,
    pub candidate_us: u64,
}

impl fmt::Display for ShadowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it agreed with the active model in {} of {} shadow runs and took {} us instead of {}",
            self.agreed, self.runs, self.candidate_us, self.active_us
        )
    }
}

/// Where a gateway is with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelState {
    /// There was no update.
    Idle,
    #[serde(untagged)]
    Update(State),
}

/// A version, named by its signed manifest; the built-in model by its model file, and one that came
/// without a manifest by its bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionReport {
    pub version: String,
    pub digest: Digest,
    /// The release's counter; none for the built-in model and for versions without a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
}

/// A version of which nothing but the name may be known yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateReport {
    #[serde(default)]
    pub version: Option<String>,
    pub digest: Digest,
}

impl From<&VersionSlot> for VersionReport {
    fn from(slot: &VersionSlot) -> Self {
        Self {
            version: slot.version.clone(),
            digest: slot.manifest,
            counter: Some(slot.counter).filter(|&counter| counter > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: ModelState) -> ModelReport {
        let digest = Digest([1; 32]);
        ModelReport {
            v: 1,
            state,
            active: VersionReport { version: "1.0.0".into(), digest, counter: Some(3) },
            previous: None,
            candidate: Some(CandidateReport { version: None, digest }),
            progress: 0.5,
            reason: Some(Reason::Golden),
            deployment: Some("motion-2".into()),
            nodes: NodeCounts { integer: 7, float: 0 },
            since: Timestamp(0),
            shadow: Some(ShadowReport { runs: 9, agreed: 8, active_us: 7, candidate_us: 6 }),
        }
    }

    #[test]
    fn a_report_reads_back_and_its_words_are_stable() {
        for (state, word) in [
            (ModelState::Idle, "idle"),
            (ModelState::Update(State::RolledBack), "rolled-back"),
            (ModelState::Update(State::Fetching), "fetching"),
        ] {
            let report = report(state);
            let json = serde_json::to_value(&report).unwrap();
            assert_eq!(json["state"], word);
            assert_eq!(json["reason"], "golden");
            assert_eq!(serde_json::from_value::<ModelReport>(json).unwrap(), report);
        }
    }

    #[test]
    fn a_report_of_a_gateway_without_updates_is_read_too() {
        let digest = "0".repeat(64);
        let text = format!(
            "{{\"v\":1,\"state\":\"idle\",\"active\":{{\"version\":\"1\",\"digest\":\"{digest}\"}},\
             \"nodes\":{{\"integer\":1,\"float\":0}},\
             \"since\":\"2026-11-22T10:00:00.000Z\",\"new\":1}}"
        );
        assert_eq!(serde_json::from_str::<ModelReport>(&text).unwrap().progress, 0.0);
        assert!(serde_json::from_str::<ModelReport>(&text.replace("idle", "asleep")).is_err());
    }
}
