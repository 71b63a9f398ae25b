//! The state of the daemon: healthy, degraded or failed, with reasons.
//!
//! The state is derived from [`Facts`] in one place, so the health topic, `inferd status`, its exit
//! code and the service manager agree. Time is a parameter. Only recent outcomes count (see
//! [`super::Outcomes`]), so a state ends when its cause does.

mod facts;
mod rules;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use facts::{
    Facts, FaultCause, FaultFacts, JoinFacts, LinkFacts, ModelFacts, QueueFacts, RefusedFilter,
    Rejection, StoreFacts, StreamFacts, UpdateFacts, WindowFacts,
};

use crate::clock::Timestamp;

/// The state of the daemon, the better one first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// No problem is known.
    #[default]
    Healthy,
    /// The daemon works with restrictions, or waits for something that may recover on its own.
    Degraded,
    /// An operator has to act: a stream produces nothing, results are lost, or the store or a model is
    /// not the configured one.
    Failed,
}

impl HealthState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// Codes of reasons. Their names are stable between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// There is no connection, for a cause that may be temporary.
    BrokerUnreachable,
    /// The broker answers but does not accept this client.
    BrokerRefused,
    /// The broker does not accept the user, the password or the certificate.
    CredentialsRefused,
    /// A file that the connection needs cannot be used.
    BrokerSetup,
    /// The connection ends repeatedly.
    ConnectionUnstable,
    /// The broker lacks a feature.
    BrokerLimited,
    SubscriptionRefused,
    /// The broker refuses the daemon's own reports: status, health, models.
    ReportsRefused,
    /// The broker refuses predictions, which are lost.
    PredictionsRefused,
    /// Results are queued, and the broker acknowledges none although it is connected.
    DeliveryStalled,
    /// Results were lost because memory or disk was full.
    ResultsLost,
    InputsRejected,
    /// No message since the start.
    NoMessages,
    /// No message for much longer than usual.
    StreamSilent,
    /// Samples arrive, but windows never fill.
    NothingPredicted,
    /// The model fails on its inputs.
    ModelFails,
    /// Windows or predictions are not distributed as in the baseline.
    Drift,
    /// Inputs were dropped because the workers cannot keep up.
    Overloaded,
    StoreClosed,
    StoreQuarantined,
    /// The file system has less free space than the store's reserve.
    DiskLow,
    /// The selected version of a model is not active.
    ModelNotActive,
    /// The last update failed or was rolled back.
    UpdateFailed,
    /// An update makes no progress.
    UpdateStalled,
}

impl Code {
    pub const ALL: [Self; 24] = [
        Self::BrokerUnreachable,
        Self::BrokerRefused,
        Self::CredentialsRefused,
        Self::BrokerSetup,
        Self::ConnectionUnstable,
        Self::BrokerLimited,
        Self::SubscriptionRefused,
        Self::ReportsRefused,
        Self::PredictionsRefused,
        Self::DeliveryStalled,
        Self::ResultsLost,
        Self::InputsRejected,
        Self::NoMessages,
        Self::StreamSilent,
        Self::NothingPredicted,
        Self::ModelFails,
        Self::Drift,
        Self::Overloaded,
        Self::StoreClosed,
        Self::StoreQuarantined,
        Self::DiskLow,
        Self::ModelNotActive,
        Self::UpdateFailed,
        Self::UpdateStalled,
    ];
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub code: Code,
    /// Its severity.
    pub state: HealthState,
    /// The stream or model it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The problem and the remedy.
    pub message: String,
    pub since: Timestamp,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stream) = &self.stream {
            write!(f, "stream {stream}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The state and all reasons for it, the most severe first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub state: HealthState,
    pub reasons: Vec<Reason>,
}

/// A reason whose beginning is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    code: Code,
    state: HealthState,
    stream: Option<String>,
    model: Option<String>,
    message: String,
    /// `None`: since it was first found.
    since: Option<Timestamp>,
}

impl Finding {
    fn new(code: Code, state: HealthState, message: String) -> Self {
        Self { code, state, stream: None, model: None, message, since: None }
    }

    fn since(self, since: Timestamp) -> Self {
        Self { since: Some(since), ..self }
    }

    fn of_stream(self, stream: &str) -> Self {
        Self { stream: Some(stream.to_owned()), ..self }
    }

    fn of_model(self, model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..self }
    }
}

/// The identity of a reason: its code and what it is about.
type Key = (Code, Option<String>, Option<String>);

/// Derives the state, and remembers since when each reason holds.
#[derive(Debug, Default)]
pub struct Judge {
    since: BTreeMap<Key, Timestamp>,
}

impl Judge {
    pub fn judge(&mut self, facts: &Facts) -> Verdict {
        let before = std::mem::take(&mut self.since);
        let mut reasons: Vec<Reason> = rules::findings(facts)
            .into_iter()
            .map(|finding| {
                let key = (finding.code, finding.stream.clone(), finding.model.clone());
                let found = before.get(&key).copied().unwrap_or(facts.now.wall);
                let since = finding.since.unwrap_or(found);
                self.since.insert(key, found);
                let Finding { code, state, stream, model, message, .. } = finding;
                Reason { code, state, stream, model, message, since }
            })
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.state));
        let state = reasons.first().map_or(HealthState::Healthy, |reason| reason.state);
        Verdict { state, reasons }
    }
}
