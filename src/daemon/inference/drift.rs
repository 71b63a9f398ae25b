//! Tells the broker and health what the watcher of a stream found.

use std::time::Duration;

use serde::Serialize;

use crate::bundle::card::Card;
use crate::clock::{Mono, Now, Timestamp};
use crate::config::{Drift, Gateway};
use crate::daemon::telemetry::messages::json;
use crate::daemon::telemetry::topics;
use crate::drift::{Baseline, DriftEvent, DriftReport, EventKind};
use crate::ids::{Digest, StreamName};
use crate::message::{Outgoing, Qos, ResultMessage};
use crate::pipeline::Pipeline;

/// Health shows the quantities as they were at most this long ago.
const REFRESH: Duration = Duration::from_secs(10);

/// The progress of a baseline is saved at most this often, and at a clean stop: about 1 KiB for each
/// quantity.
const SAVE_INTERVAL: Duration = Duration::from_secs(60 * 60);

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
    /// Alarms may roll the model back.
    rolls_back: bool,
    /// An alarm came that may.
    is_rollback_due: bool,
    /// While a baseline is learned: when its progress is saved.
    save_at: Option<Mono>,
}

/// A baseline that a stream has learned, with the model that it is of.
#[derive(Debug, PartialEq)]
pub(crate) struct LearnedBaseline {
    pub(crate) stream: usize,
    pub(crate) model: Digest,
    pub(crate) baseline: std::sync::Arc<Baseline>,
}

/// What a stream has learned of a baseline so far, with the model that it is of.
#[derive(Debug, PartialEq)]
pub(crate) struct LearningProgress {
    pub(crate) stream: usize,
    pub(crate) model: Digest,
    pub(crate) bytes: Vec<u8>,
}

impl DriftPublisher {
    pub(crate) fn new(stream: usize, name: &StreamName, gateway: &Gateway, drift: &Drift) -> Self {
        Self {
            stream,
            name: name.clone(),
            topic: topics::drift(gateway, name),
            gateway: gateway.clone(),
            refreshed: None,
            rolls_back: drift.rollback_within.is_some(),
            is_rollback_due: false,
            save_at: None,
        }
    }

    /// Publishes what the pipeline found. Returns the report for health, now and then.
    pub(crate) fn publish(
        &mut self,
        pipeline: &mut Pipeline,
        now: Now,
        out: &mut Vec<ResultMessage>,
    ) -> Option<DriftReport> {
        if !pipeline.is_learning() {
            self.save_at = None;
        } else if self.save_at.is_none() {
            self.save_at = Some(now.mono.plus(SAVE_INTERVAL));
        }
        let events = pipeline.take_drift_events();
        if !self.is_due(&events, now.mono) {
            return None;
        }
        let is_alarm = events.iter().any(|event| event.kind == EventKind::Drift);
        self.is_rollback_due |= self.rolls_back && is_alarm;
        let report = pipeline.drift_report(now.mono)?;
        self.messages(&events, &report, pipeline.card(), now, out);
        Some(report)
    }

    /// When the progress of a baseline is to be saved; `None` while none is learned.
    pub(crate) fn save_at(&self) -> Option<Mono> {
        self.save_at
    }

    /// The progress to save; `None` if no window was added since the last time.
    pub(crate) fn take_progress(
        &mut self,
        pipeline: &Pipeline,
        now: Mono,
        model: Digest,
    ) -> Option<LearningProgress> {
        self.save_at.take()?;
        Some(LearningProgress { stream: self.stream, model, bytes: pipeline.learning(now)? })
    }

    /// Whether an alarm that may roll the model back came since this was asked last.
    pub(crate) fn take_rollback(&mut self) -> bool {
        std::mem::take(&mut self.is_rollback_due)
    }

    /// Whether health is to be updated now.
    fn is_due(&mut self, events: &[DriftEvent], now: Mono) -> bool {
        let due = self.refreshed.is_none_or(|at| now.since(at) >= REFRESH) || !events.is_empty();
        if due {
            self.refreshed = Some(now);
        }
        due
    }

    /// The messages of these events, for the outbox: they are not lost while the broker is away.
    fn messages(
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
