use std::time::Duration;

use crate::clock::{Now, Timestamp};
use crate::monitor::Tally;

/// All that the state of the daemon is judged by, as it is at `now`.
#[derive(Debug, Clone)]
pub struct Facts {
    pub now: Now,
    pub started: Now,
    pub link: LinkFacts,
    pub queue: QueueFacts,
    /// `None` until the store has been asked.
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
    /// What the broker does not have, each a sentence that says what does not work.
    pub limits: Vec<String>,
    pub refused_filters: Vec<RefusedFilter>,
    /// Topics of the daemon's own reports that the broker refuses, and why.
    pub refused_reports: Vec<(String, &'static str)>,
    /// Publishes that the broker should have acknowledged long ago: in words, and since when.
    pub unanswered: Option<(String, Timestamp)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultFacts {
    pub cause: FaultCause,
    /// What happened, and what to do.
    pub text: String,
    /// Since when there is no connection.
    pub since: Timestamp,
}

/// Why there is no connection, by who can change that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCause {
    /// The user, the password or the certificate is wrong.
    Credentials,
    /// The broker answers, and does not accept this client.
    Refused,
    /// A file of this machine.
    Local,
    /// Anything that may end by itself.
    Passing,
}

/// A topic filter that the broker does not grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFilter {
    pub filter: String,
    pub reason: String,
    /// The streams that get nothing because of it; empty where it is for updates.
    pub streams: Vec<String>,
}

/// Results on their way to the broker.
#[derive(Debug, Clone, Default)]
pub struct QueueFacts {
    /// In memory and on disk.
    pub waiting: u64,
    /// For how long something waits and nothing was acknowledged; zero where nothing waits.
    pub stalled: Duration,
    /// Lost in the last minutes because memory or disk was full.
    pub lost_recently: u64,
}

#[derive(Debug, Clone, Default)]
pub struct StoreFacts {
    pub dir: String,
    pub is_closed: bool,
    /// Databases moved aside since the start because they were damaged.
    pub quarantined: u64,
    /// Bytes that the file system has left.
    pub free_bytes: Option<u64>,
    /// Bytes that are to stay free.
    pub reserve_bytes: u64,
    /// Bytes beside those that the database needs to take results.
    pub headroom_bytes: u64,
}

/// One stream.
#[derive(Debug, Clone, Default)]
pub struct StreamFacts {
    pub name: String,
    /// What it is subscribed to.
    pub filter: String,
    /// What it publishes on.
    pub publishes: String,
    /// Messages since the start.
    pub messages: u64,
    pub last_message: Option<Now>,
    /// The upper bound of its longest usual pause.
    pub usual_pause: Option<Duration>,
    /// Recent messages; a bad one was rejected.
    pub inputs: Tally,
    pub last_reject: Option<Rejection>,
    /// Recent runs of the model; a bad one failed.
    pub runs: Tally,
    pub last_failure: Option<Rejection>,
    /// Recent results that the broker answered; a bad one was refused.
    pub deliveries: Tally,
    /// The topic of the last refused result, and why it was refused.
    pub last_refusal: Option<(String, &'static str)>,
    /// Inputs dropped in the last minutes because a queue was full.
    pub dropped_recently: u64,
    /// `None` where the model takes no windows.
    pub window: Option<WindowFacts>,
}

/// A rejected input, as an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The stable name, such as `missing-field`.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
    pub topic: String,
    /// How the payload begins.
    pub excerpt: String,
}

/// What became of the windows of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowFacts {
    /// Samples of a full window.
    pub length: u64,
    /// The most samples that a window of any device had since the last run.
    pub fullest: u64,
    /// Runs of the model since the start.
    pub runs: u64,
    /// The rest is since the last run, or since the start.
    pub samples: u64,
    /// Windows started again because of a pause beyond `max_gap`.
    pub gaps: u64,
    /// Windows started again because the time stamps of their device went back.
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
    /// Why another version than the chosen one is active, and which.
    pub trouble: Option<String>,
    pub update: Option<UpdateFacts>,
}

/// The last update of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateFacts {
    pub version: Option<String>,
    pub deployment: String,
    /// Its state by name.
    pub state: String,
    /// Why it ended so, by name.
    pub reason: Option<String>,
    /// It ended without the new version.
    pub has_failed: bool,
    /// It is in a state that it should leave by itself.
    pub is_moving: bool,
    pub since: Timestamp,
    /// For how long neither its state nor its progress changed.
    pub unchanged: Duration,
}
