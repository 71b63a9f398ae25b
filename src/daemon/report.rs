//! What the daemon says of itself over MQTT: status, models, health.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use bytes::Bytes;
use serde::Serialize;

use super::inference::stats::SharedStats;
use super::losses::Losses;
use super::models::update_status::UpdateCounters;
use super::serving::Serving;
use crate::VERSION;
use crate::clock::{Now, Timestamp};
use crate::config::{Config, Gateway};
use crate::ids::{ModelName, StreamName};
use crate::link::{Counters, StatusMessages};
use crate::monitor::StreamStats;
use crate::monitor::health::{LinkFacts, Verdict};
use crate::procfs;
use crate::store::Usage;
use crate::update::{CandidateReport, ModelReport, ModelState, VersionReport};

/// A topic of the daemon itself: `{prefix}/{gateway}/{rest}`.
pub(crate) fn topic(gateway: &Gateway, rest: &str) -> String {
    format!("{}/{}/{rest}", gateway.prefix, gateway.id)
}

#[derive(Serialize)]
struct StatusMessage<'a> {
    v: u8,
    state: &'static str,
    gateway: &'a str,
    version: &'static str,
    /// When this daemon was started.
    since: Timestamp,
    groups: &'a [String],
}

/// The three retained states of the status topic.
pub(crate) fn status(gateway: &Gateway, since: Timestamp) -> StatusMessages {
    let say = |state| {
        json(&StatusMessage {
            v: 1,
            state,
            gateway: gateway.id.as_str(),
            version: VERSION,
            since,
            groups: &gateway.groups,
        })
    };
    StatusMessages {
        topic: topic(gateway, "status"),
        online: say("online"),
        offline: say("offline"),
        stopped: say("stopped"),
    }
}

/// The retained message of `model/{name}`.
pub(crate) fn model(serving: &Serving, now: Timestamp) -> Bytes {
    let told = serving.told.as_ref();
    let report = told.map(|told| &told.report);
    let candidate = told.and_then(|told| {
        let (version, digest) = (told.candidate_version.clone(), told.report.candidate?);
        Some(CandidateReport { version, digest })
    });
    json(&ModelReport {
        v: 1,
        state: report.map_or(ModelState::Idle, |report| ModelState::Update(report.state)),
        active: active(serving),
        previous: report.and_then(|report| report.previous.as_ref()).map(VersionReport::from),
        candidate,
        progress: report.map_or(0.0, |report| report.progress),
        reason: report.and_then(|report| report.reason),
        deployment: report.map(|report| report.deployment.clone()),
        nodes: serving.loaded.model.nodes(),
        since: told.map_or(now, |told| told.since),
        shadow: told.and_then(|told| told.shadow),
    })
}

/// What serves, by its manifest where it has one.
fn active(serving: &Serving) -> VersionReport {
    let version = serving.loaded.card.version.clone();
    let named = serving.told.as_ref().and_then(|told| told.report.active.as_ref());
    let named = named.filter(|slot| serving.stored.is_some() && slot.version == version);
    named.map_or_else(
        || VersionReport { version: version.clone(), digest: serving.digest(), counter: None },
        VersionReport::from,
    )
}

/// What waits, in memory and on disk.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct QueueReport {
    pub(crate) mode: &'static str,
    /// Results in memory that neither the broker nor the disk is known to have.
    pub(crate) memory_records: usize,
    /// Results that will never arrive, by stream and reason.
    pub(crate) lost: Losses,
    /// Syncs in the last hour, or since the start: each wears a flash card.
    pub(crate) syncs_per_hour: u64,
    /// `null` while the store is closed.
    pub(crate) disk: Option<Usage>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct LinkReport {
    connected: bool,
    /// Since when it is so; `null` before the first attempt to connect has ended.
    since: Option<Timestamp>,
    /// Why there is no connection, or why the last one ended.
    fault: Option<String>,
    connections: u64,
    faults: BTreeMap<&'static str, u64>,
    received: u64,
    unrouted: u64,
    malformed: u64,
    recognised: u64,
    dropped: u64,
    held: u64,
    acknowledged: u64,
    unacknowledged: usize,
    published: u64,
    refused: u64,
}

/// Everything a snapshot is made of.
pub(crate) struct HealthParts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) started: Now,
    pub(crate) now: Now,
    pub(crate) verdict: Verdict,
    pub(crate) stats: &'a [SharedStats],
    pub(crate) facts: LinkFacts,
    pub(crate) link: Counters,
    pub(crate) unacknowledged: usize,
    pub(crate) queue: QueueReport,
    pub(crate) updates: BTreeMap<ModelName, UpdateCounters>,
}

/// How the daemon is at one moment: the health message, and what `inferd status` shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HealthSnapshot {
    v: u8,
    time: Timestamp,
    version: &'static str,
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    uptime_s: u64,
    rss_bytes: Option<u64>,
    link: LinkReport,
    queue: QueueReport,
    streams: BTreeMap<StreamName, StreamStats>,
    /// By model; empty where updates are off.
    updates: BTreeMap<ModelName, UpdateCounters>,
}

impl HealthSnapshot {
    pub(crate) fn new(parts: HealthParts<'_>) -> Self {
        let names = parts.config.streams.iter().map(|stream| stream.name.clone());
        let stats =
            parts.stats.iter().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).clone());
        Self {
            v: 1,
            time: parts.now.wall,
            version: VERSION,
            verdict: parts.verdict,
            uptime_s: parts.now.mono.since(parts.started.mono).as_secs(),
            rss_bytes: procfs::rss_bytes(),
            link: link(&parts.facts, parts.link, parts.unacknowledged),
            queue: parts.queue,
            streams: names.zip(stats).collect(),
            updates: parts.updates,
        }
    }
}

fn link(facts: &LinkFacts, counters: Counters, unacknowledged: usize) -> LinkReport {
    let fault = facts.fault.as_ref();
    let connected = facts.connected_since.map(|since| since.wall);
    LinkReport {
        connected: connected.is_some(),
        since: connected.or_else(|| fault.map(|fault| fault.since)),
        fault: fault.map(|fault| fault.text.clone()),
        connections: counters.connections,
        faults: BTreeMap::from([
            ("local", counters.faults_local),
            ("network", counters.faults_network),
            ("refused", counters.faults_refused),
            ("protocol", counters.faults_protocol),
            ("lost", counters.faults_lost),
        ]),
        received: counters.received,
        unrouted: counters.unrouted,
        malformed: counters.malformed,
        recognised: counters.recognised,
        dropped: counters.dropped,
        held: counters.held,
        acknowledged: counters.acknowledged,
        unacknowledged,
        published: counters.published,
        refused: counters.refused,
    }
}

/// Plain structs of numbers and text always serialize; an empty message would say otherwise.
pub(crate) fn json<T: Serialize>(message: &T) -> Bytes {
    serde_json::to_vec(message).map(Bytes::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GatewayId;

    fn gateway() -> Gateway {
        let id = GatewayId::parse("gw-17").unwrap();
        Gateway { id, groups: vec!["line-a".into()], prefix: "inferd/v1".into() }
    }

    #[test]
    fn status_differs_in_its_state_only() {
        let status = status(&gateway(), Timestamp(0));
        assert_eq!(status.topic, "inferd/v1/gw-17/status");
        let parse = |bytes: &Bytes| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        let (online, stopped) = (parse(&status.online), parse(&status.stopped));
        assert_eq!(online["state"], "online");
        assert_eq!(online["since"], "1970-01-01T00:00:00.000Z");
        assert_eq!(stopped["state"], "stopped");
        assert_eq!(online["groups"], stopped["groups"]);
    }
}
