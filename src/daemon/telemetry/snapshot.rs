//! The state of the daemon at one moment, as plain data.
//!
//! The health message, `inferd status` and `inferd queue stat` are renderings of it.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use serde::Serialize;

use super::lost_results::LostResults;
use crate::VERSION;
use crate::capture::{CaptureHandle, CaptureStats};
use crate::clock::{Now, Timestamp};
use crate::daemon::context::DaemonContext;
use crate::daemon::models::update_status::UpdateCounters;
use crate::ids::{ModelName, StreamName};
use crate::link::Counters;
use crate::monitor::StreamStats;
use crate::monitor::health::{LinkFacts, Verdict};
use crate::procfs;
use crate::store::Usage;

/// The state of the daemon at one moment. Serializes to the health message.
#[derive(Clone, Debug, Serialize)]
pub struct HealthSnapshot {
    /// Version of the message format.
    pub v: u8,
    pub time: Timestamp,
    /// Version of the daemon.
    pub version: &'static str,
    #[serde(flatten)]
    pub verdict: Verdict,
    pub uptime_s: u64,
    /// Resident memory; `None` if the system does not report it.
    pub rss_bytes: Option<u64>,
    pub link: LinkReport,
    pub queue: QueueReport,
    pub streams: BTreeMap<StreamName, StreamStats>,
    /// By model; empty if updates are off.
    pub updates: BTreeMap<ModelName, UpdateCounters>,
    /// Captured inputs; absent if no stream captures any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureStats>,
}

/// The results that wait, in memory and on disk.
#[derive(Clone, Debug, Serialize)]
pub struct QueueReport {
    /// `offline`, `backlog`, `live` or `stopping`.
    pub mode: &'static str,
    /// Results in memory that neither the broker nor the disk has confirmed.
    pub memory_records: usize,
    /// Results that were lost, by stream and reason.
    pub lost: LostResults,
    /// Syncs in the last hour, or since the start; each of them wears a flash card.
    pub syncs_per_hour: u64,
    /// `None` while the store is closed.
    pub disk: Option<Usage>,
}

/// The connection to the broker and its counters since the start.
#[derive(Clone, Debug, Serialize)]
pub struct LinkReport {
    pub connected: bool,
    /// When the connection was made or lost; `None` before the first attempt to connect has ended.
    pub since: Option<Timestamp>,
    /// Why there is no connection, or why the last one ended.
    pub fault: Option<String>,
    #[serde(flatten)]
    pub counters: Counters,
    /// Received messages that are not acknowledged yet.
    pub unacknowledged: usize,
}

/// The parts of a snapshot that are not in the context.
pub(crate) struct SnapshotParts {
    pub(crate) now: Now,
    pub(crate) verdict: Verdict,
    pub(crate) link: LinkReport,
    pub(crate) queue: QueueReport,
    pub(crate) updates: BTreeMap<ModelName, UpdateCounters>,
}

impl HealthSnapshot {
    pub(crate) fn new(context: &DaemonContext, parts: SnapshotParts) -> Self {
        let names = context.config.streams.iter().map(|stream| stream.name.clone());
        let stats = context.stats.iter();
        let stats = stats.map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Self {
            v: 1,
            time: parts.now.wall,
            version: VERSION,
            verdict: parts.verdict,
            uptime_s: parts.now.mono.since(context.started.mono).as_secs(),
            rss_bytes: procfs::rss_bytes(),
            link: parts.link,
            queue: parts.queue,
            streams: names.zip(stats).collect(),
            updates: parts.updates,
            capture: context.capture.as_ref().map(CaptureHandle::stats),
        }
    }
}

impl LinkReport {
    pub(crate) fn new(facts: &LinkFacts, counters: Counters, unacknowledged: usize) -> Self {
        let fault = facts.fault.as_ref();
        let connected = facts.connected_since.map(|since| since.wall);
        Self {
            connected: connected.is_some(),
            since: connected.or_else(|| fault.map(|fault| fault.since)),
            fault: fault.map(|fault| fault.text.clone()),
            counters,
            unacknowledged,
        }
    }
}
