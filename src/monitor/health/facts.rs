use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::monitor::Tally;

/// The facts from which the state of the daemon is derived, at `now`.
#[derive(Debug, Clone)]
pub struct Facts {
    pub now: Now,
    pub started: Now,
    pub link: LinkFacts,
    pub queue: QueueFacts,
    /// `None` until the store has answered for the first time.
    pub store: Option<StoreFacts>,
    pub streams: Vec<StreamFacts>,
    pub models: Vec<ModelFacts>,
}

/// The connection to the broker.
#[derive(Debug, Clone, Default)]
pub struct LinkFacts {
    pub connected_since: Option<Now>,
    /// Why there is no connection, or why the last one ended.
    pub fault: Option<FaultFacts>,
    /// Connections made in the last ten minutes.
    pub recent_connects: usize,
    /// Features that the broker lacks, each as a sentence that names what does not work.
    pub limits: Vec<String>,
    pub refused_filters: Vec<RefusedFilter>,
    /// Topics of the daemon's own reports that the broker refuses, and why.
    pub refused_reports: Vec<(String, &'static str)>,
    /// Publishes whose acknowledgement is overdue: a description, and since when.
    pub unanswered: Option<(String, Timestamp)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultFacts {
    pub cause: FaultCause,
    /// The cause and the remedy.
    pub text: String,
    /// When the connection was lost.
    pub since: Timestamp,
}

/// Causes of a missing connection, by who can remedy them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCause {
    /// The user, the password or the certificate is wrong.
    Credentials,
    /// The broker answers but does not accept this client.
    Refused,
    /// A file on this machine.
    Local,
    /// A condition that may be temporary.
    Passing,
}

/// A topic filter that the broker does not grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFilter {
    pub filter: String,
    pub reason: String,
    /// The affected streams; empty for a filter of the update topics.
    pub streams: Vec<String>,
}

/// Results that are queued or in flight.
#[derive(Debug, Clone, Default)]
pub struct QueueFacts {
    /// In memory and on disk.
    pub waiting: u64,
    /// How long results have been queued without any acknowledgement; zero if none are queued.
    pub stalled: Duration,
    /// Results lost in the last minutes because memory or disk was full.
    pub lost_recently: u64,
}

#[derive(Debug, Clone, Default)]
pub struct StoreFacts {
    pub dir: String,
    pub is_closed: bool,
    /// Damaged databases that were quarantined since the start.
    pub quarantined: u64,
    /// Free bytes of the file system.
    pub free_bytes: Option<u64>,
    /// Bytes that must stay free.
    pub reserve_bytes: u64,
    /// Additional bytes that the database needs to store results.
    pub headroom_bytes: u64,
}

/// One stream.
#[derive(Debug, Clone, Default)]
pub struct StreamFacts {
    pub name: String,
    /// The filter it is subscribed to.
    pub filter: String,
    /// The topic it publishes on.
    pub publishes: String,
    /// Messages since the start.
    pub messages: u64,
    pub last_message: Option<Now>,
    /// The upper bound of its longest usual pause.
    pub usual_pause: Option<Duration>,
    /// Recent messages; the bad ones were rejected.
    pub inputs: Tally,
    pub last_reject: Option<Rejection>,
    /// Recent runs of the model; the bad ones failed.
    pub runs: Tally,
    pub last_failure: Option<Rejection>,
    /// Recent results that the broker answered; the bad ones were refused.
    pub deliveries: Tally,
    /// The topic of the last refused result, and why it was refused.
    pub last_refusal: Option<(String, &'static str)>,
    /// Inputs dropped in the last minutes because a queue was full.
    pub dropped_recently: u64,
    /// The alarm of a drift that lasts, and since when.
    pub drift: Option<(String, Timestamp)>,
    /// `None` if the model takes whole inputs.
    pub window: Option<WindowFacts>,
    /// Nothing if messages are samples.
    pub join: JoinFacts,
}

/// The values that were joined since the last sample that they gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JoinFacts {
    /// There was a sample before.
    pub was_made: bool,
    pub values: u64,
    /// By channel: samples that were not made because it had no value.
    pub missing: BTreeMap<String, u64>,
}

/// A rejected input, as an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The stable name, such as `missing-field`.
    pub reason: &'static str,
    /// The problem and the remedy.
    pub message: String,
    pub topic: String,
    /// The beginning of the payload.
    pub excerpt: String,
}

/// The windows of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowFacts {
    /// Samples of a full window.
    pub length: u64,
    /// The highest number of samples in a window of any device since the last run.
    pub fullest: u64,
    /// Runs of the model since the start.
    pub runs: u64,
    /// The counters below count since the last run, or since the start.
    pub samples: u64,
    /// Windows reset because of a pause longer than `max_gap`.
    pub gaps: u64,
    /// Windows reset because the clock of the device stepped back.
    pub clock_steps: u64,
    /// Devices evicted to make room for others (`max_keys`).
    pub evicted: u64,
    /// Devices that expired (`key_ttl`).
    pub expired: u64,
}

/// A model.
#[derive(Debug, Clone, Default)]
pub struct ModelFacts {
    pub name: String,
    /// Why the selected version is not active, and which version is.
    pub trouble: Option<String>,
    pub update: Option<UpdateFacts>,
}

/// The last update of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateFacts {
    pub version: Option<String>,
    pub deployment: String,
    /// The name of its state.
    pub state: String,
    /// The name of the reason for its end.
    pub reason: Option<String>,
    /// It ended without the new version.
    pub has_failed: bool,
    /// It is in a state that ends without an operator.
    pub is_moving: bool,
    pub since: Timestamp,
    /// How long its state and progress have been unchanged.
    pub unchanged: Duration,
}
