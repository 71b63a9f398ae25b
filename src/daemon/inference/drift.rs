//! Tells the broker and health what the watcher of a stream found.

use std::time::Duration;

use serde::Serialize;

use crate::bundle::card::Card;
use crate::clock::{Mono, Now, Timestamp};
use crate::config::Gateway;
use crate::daemon::telemetry::messages::json;
use crate::daemon::telemetry::topics;
use crate::drift::{Baseline, DriftEvent, DriftReport, EventKind};
use crate::ids::{Digest, StreamName};
use crate::message::{Outgoing, Qos, ResultMessage};

/// Health shows the quantities as they were at most this long ago.
const REFRESH: Duration = Duration::from_secs(10);

/// The message of the drift topic.
#[derive(Serialize)]
struct DriftMessage<'a> {
    v: u8,
    time: Timestamp,
    gateway: &'a str,
    stream: &'a StreamName,
    model: &'a str,
    version: &'a str,
    event: EventKind,
    #[serde(flatten)]
    report: &'a DriftReport,
}

/// Publishes the events of one stream, and keeps health up to date.
pub(crate) struct DriftPublisher {
    stream: usize,
    name: StreamName,
    gateway: Gateway,
    topic: String,
    /// When health was updated last.
    refreshed: Option<Mono>,
}

/// A baseline that a stream has learned, with the model that it is of.
#[derive(Debug, PartialEq)]
pub(crate) struct LearnedBaseline {
    pub(crate) stream: usize,
    pub(crate) model: Digest,
    pub(crate) baseline: std::sync::Arc<Baseline>,
}

impl DriftPublisher {
    pub(crate) fn new(stream: usize, name: &StreamName, gateway: &Gateway) -> Self {
        let topic = topics::drift(gateway, name);
        Self { stream, name: name.clone(), gateway: gateway.clone(), topic, refreshed: None }
    }

    /// Whether health is to be updated now.
    pub(crate) fn is_due(&mut self, events: &[DriftEvent], now: Mono) -> bool {
        let due = self.refreshed.is_none_or(|at| now.since(at) >= REFRESH) || !events.is_empty();
        if due {
            self.refreshed = Some(now);
        }
        due
    }

    /// The messages of these events, for the outbox: they are not lost while the broker is away.
    pub(crate) fn messages(
        &self,
        events: &[DriftEvent],
        report: &DriftReport,
        card: &Card,
        now: Now,
        out: &mut Vec<ResultMessage>,
    ) {
        for event in events {
            let name = &self.name;
            match &event.alarm {
                Some(alarm) => log::warn!("stream {name}: {}", alarm.message),
                None => log::info!("stream {name}: drift: {:?}", event.kind),
            }
            let message = DriftMessage {
                v: 1,
                time: now.wall,
                gateway: self.gateway.id.as_str(),
                stream: name,
                model: card.name.as_str(),
                version: &card.version,
                event: event.kind,
                report,
            };
            let message = Outgoing {
                topic: self.topic.clone(),
                payload: json(&message),
                content_type: "application/json".into(),
                properties: Vec::new(),
                correlation: None,
                retain: true,
                qos: Qos::AtLeastOnce,
            };
            out.push(ResultMessage { stream: self.stream, input: None, message });
        }
    }
}
