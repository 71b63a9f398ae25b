//! How the daemon is: healthy, degraded or failed, and why.
//!
//! [`Facts`] go in, [`Verdict`] comes out: one place decides, and the health topic, `inferd status`,
//! its exit code and the service manager show the same. Nothing here asks for the time. What is
//! judged is recent (see [`super::Outcomes`]), so a state ends when its cause does.

mod facts;
mod rules;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use facts::{
    Facts, FaultCause, FaultFacts, LinkFacts, ModelFacts, QueueFacts, RefusedFilter, Rejection,
    StoreFacts, StreamFacts, UpdateFacts, WindowFacts,
};

use crate::clock::Timestamp;

/// The state of the daemon, the better one first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthState {
    /// Nothing is known to be wrong.
    #[default]
    Healthy,
    /// It works with less than it should, or waits for something outside that may return by itself.
    Degraded,
    /// A stream gives nothing, results are lost, or the store or a model is not the one that was
    /// chosen: a person has to act.
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

/// Why the daemon is not healthy: names that stay the same between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No connection, and none can be made at present.
    BrokerUnreachable,
    /// The broker is there and does not accept this client.
    BrokerRefused,
    /// The broker does not accept the user, the password or the certificate.
    CredentialsRefused,
    /// A file that the connection needs cannot be used.
    BrokerSetup,
    /// The connection ends again and again.
    ConnectionUnstable,
    /// The broker does not have a feature that something needs.
    BrokerLimited,
    SubscriptionRefused,
    /// The broker refuses the daemon's own reports: status, health, models.
    ReportsRefused,
    /// The broker refuses predictions: they are lost.
    PredictionsRefused,
    /// Results wait though there is a connection, and none is acknowledged.
    DeliveryStalled,
    /// Results were lost because memory or disk was full.
    ResultsLost,
    InputsRejected,
    /// No message since the start.
    NoMessages,
    /// No message for much longer than usual.
    StreamSilent,
    /// Messages come, and no window ever fills.
    NothingPredicted,
    /// The model fails on its inputs.
    ModelFails,
    /// Inputs were dropped because the workers do not keep up.
    Overloaded,
    StoreClosed,
    StoreQuarantined,
    /// The file system is below the store's reserve.
    DiskLow,
    /// Another version of a model than the chosen one is active.
    ModelNotActive,
    /// The last update failed or was rolled back.
    UpdateFailed,
    /// An update makes no progress.
    UpdateStalled,
}

impl Code {
    pub const ALL: [Self; 23] = [
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
        Self::Overloaded,
        Self::StoreClosed,
        Self::StoreQuarantined,
        Self::DiskLow,
        Self::ModelNotActive,
        Self::UpdateFailed,
        Self::UpdateStalled,
    ];
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub code: Code,
    /// How bad it is.
    pub state: HealthState,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is wrong, and what to do.
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

/// The state and all reasons for it, the worst first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub state: HealthState,
    pub reasons: Vec<Reason>,
}

/// A reason before it is known since when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    code: Code,
    state: HealthState,
    stream: Option<String>,
    model: Option<String>,
    message: String,
    /// `None`: since it was found first.
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

/// What a reason is told apart by: its code and what it is about.
type Key = (Code, Option<String>, Option<String>);

/// Judges, and remembers since when each reason holds.
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
