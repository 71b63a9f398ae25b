//! Events and actions of the outbox, and their types.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::ids::StreamName;
use crate::message::{AckToken, Outgoing, ResultMessage};

/// Names one result from its push until it is gone; the order of the numbers is the order of the
/// results, across restarts too where they wait on disk. Not the prediction's `id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// One result on its way to or from the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub seq: Seq,
    pub stream: StreamName,
    /// The higher, the later it is evicted.
    pub priority: u8,
    pub message: Arc<Outgoing>,
}

/// An event.
#[derive(Debug)]
pub enum Event {
    /// A worker finished a result.
    Push(ResultMessage),
    /// The broker takes publishes; nothing of an earlier connection is in flight any more.
    LinkUp,
    /// The connection is gone, and with it every acknowledgement that had not arrived: no `Sent`
    /// or `Refused` for an earlier `Publish` may follow.
    LinkDown,
    /// The broker acknowledged this result (QoS 0: it was written to the socket).
    Sent(Seq),
    /// The broker, or our own link, will not take this result.
    Refused { seq: Seq, refusal: Refusal },
    /// The store is open, at start or again after it failed.
    Opened(Opened),
    /// The store could not be opened: go on without it until `Opened`.
    StoreUnavailable,
    /// The last `Action::Store` is durable. `evicted` counts the results evicted for it.
    Stored { evicted: Vec<(StreamName, u64)> },
    /// The last `Action::Store` wrote nothing that counts.
    StoreFailed,
    /// The answer to the last `Action::Load`. `through` is where the next one goes on, `end` says
    /// that nothing newer waits.
    Loaded { records: Vec<Record>, through: Option<Seq>, end: bool },
    /// The last `Action::Load` failed.
    LoadFailed,
    /// [`super::Outbox::deadline`] has passed.
    Tick,
    /// Send the backlog without regard to `drain_rate`, until it is gone or the link is.
    DrainNow,
    /// The daemon stops: bring everything to disk. Workers have been drained, no push follows.
    Stop,
}

/// An action, to be executed in order. The store responds in the order of the requests.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Hand the message to the broker. `replayed`: it waited on disk, so its payload must say so.
    Publish { seq: Seq, message: Arc<Outgoing>, replayed: bool },
    /// Write these as one group; answered by `Stored` or `StoreFailed` before the next one.
    Store(Vec<Record>),
    /// The broker has these; they may go from the disk. Not answered.
    Remove(Vec<Seq>),
    /// Read what waits after this place, oldest first; answered by `Loaded` or `LoadFailed`.
    Load { after: Option<Seq>, limit: usize },
    /// One result of this input is safe: the broker has it or it is durable here.
    Release(AckToken),
    /// Results that will never arrive.
    Lost { stream: StreamName, loss: Loss, count: u64 },
}

/// Content of the store when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Above every number on disk.
    pub next: Seq,
    /// Results that wait there.
    pub records: u64,
}

impl Default for Seq {
    fn default() -> Self {
        Self(1)
    }
}

/// Why the broker refused a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    NotAuthorized,
    TopicInvalid,
    PayloadInvalid,
    /// Larger than the broker's maximum packet.
    TooLarge,
    QuotaExceeded,
    /// The broker closes the connection when something is published on this topic.
    ClosesConnection,
    /// The broker gave no reason, or one of its own.
    Unspecified,
}

impl Refusal {
    /// Whether the broker will always refuse this message. Other refusals are retried.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::NotAuthorized
            | Self::TopicInvalid
            | Self::PayloadInvalid
            | Self::TooLarge
            | Self::ClosesConnection => true,
            Self::QuotaExceeded | Self::Unspecified => false,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAuthorized => "not-authorized",
            Self::TopicInvalid => "topic-invalid",
            Self::PayloadInvalid => "payload-invalid",
            Self::TooLarge => "too-large",
            Self::QuotaExceeded => "quota-exceeded",
            Self::ClosesConnection => "closes-connection",
            Self::Unspecified => "unspecified",
        }
    }
}

/// Why a result was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    /// Memory was full and the disk did not take it.
    MemoryFull,
    /// Evicted from disk: the oldest of the lowest priority.
    DiskFull,
    Refused(Refusal),
}

impl Loss {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MemoryFull => "memory-full",
            Self::DiskFull => "disk-full",
            Self::Refused(refusal) => refusal.as_str(),
        }
    }
}

/// State of the connection and the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No broker: results gather and go to disk in groups.
    Offline,
    /// The broker is there, and older results are sent before what is behind them.
    Backlog,
    /// The broker is there and nothing waits: results go straight through.
    Live,
    /// Everything goes to disk.
    Stopping,
}

/// Settings of the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Publishes that may wait for the broker's acknowledgement.
    pub in_flight: usize,
    /// Results in memory, beside those in flight.
    pub memory_records: usize,
    /// Bytes of the same.
    pub memory_bytes: usize,
    /// Results a second by which the backlog shrinks; 0 = as fast as the broker takes them.
    pub drain_rate: u32,
    /// Nothing live passes the backlog, whatever its topic.
    pub in_order: bool,
    pub group_records: usize,
    pub group_delay: Duration,
    /// In the order of the configuration.
    pub streams: Vec<StreamPolicy>,
}

/// Settings of one stream. Its guarantee shows in the results: an at-least-once input
/// waits for its own, and none waits for a best-effort one.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamPolicy {
    pub name: StreamName,
    /// The higher, the later its results are evicted.
    pub priority: u8,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let policy = |stream: &crate::config::Stream| StreamPolicy {
            name: stream.name.clone(),
            priority: stream.priority,
        };
        Self {
            in_flight: usize::from(config.broker.in_flight),
            memory_records: config.outbox.memory_records,
            memory_bytes: memory_bytes(config.outbox.memory_records),
            drain_rate: config.outbox.drain_rate,
            in_order: config.outbox.in_order,
            group_records: config.store.group_records,
            group_delay: config.store.group_delay,
            streams: config.streams.iter().map(policy).collect(),
        }
    }
}

/// One kilobyte for each record, but enough for a few large ones.
fn memory_bytes(records: usize) -> usize {
    const LEAST: usize = 1 << 20;
    records.saturating_mul(1024).max(LEAST)
}
