//! Executes the actions of the outbox machine: calls to the link and to the store.

use std::sync::Arc;

use super::{DeliveryEvent, DeliveryLoop};
use crate::daemon::inference::reports::Report;
use crate::failpoints::point;
use crate::log_fields;
use crate::message::{Outgoing, Qos};
use crate::outbox::{Action, Event, Seq};
use crate::pipeline::mark_replayed;

impl DeliveryLoop {
    pub(super) fn execute(&mut self, action: Action) {
        match action {
            Action::Publish { seq, message, replayed } => {
                self.publish(seq, Arc::unwrap_or_clone(message), replayed);
            }
            Action::Store(group) => {
                point("store");
                if self.store.append(group).is_err() {
                    self.enqueue_event(Event::StoreFailed);
                }
            }
            Action::Remove(seqs) => {
                if self.store.remove(seqs).is_err() {
                    log::debug!(
                        "the store is busy: sent results stay on disk until the next start"
                    );
                }
            }
            Action::Load { after, limit } => {
                if self.store.load(after, limit).is_err() {
                    self.enqueue_event(Event::LoadFailed);
                }
            }
            Action::Release(input) => {
                point("release");
                self.link.result_settled(input);
                self.windows.on_released(input);
            }
            Action::Lost { stream, loss, count } => {
                let reason = loss.as_str();
                if let Some(suppressed) =
                    self.log_limit.allow(self.now(), &format!("{stream}/{reason}"))
                {
                    log_fields::with(&[("stream", &stream), ("reason", &reason)], || {
                        log::error!("stream {stream}: {count} results lost ({reason}){suppressed}");
                    });
                }
                self.health.on_lost(&stream, loss, count);
            }
        }
    }

    /// Answers in place of the store go the way of the store's answers: their order holds, and an
    /// action never feeds the machine from within itself.
    fn enqueue_event(&self, event: Event) {
        if self.events.send(DeliveryEvent::Outbox(event)).is_err() {
            log::debug!("the daemon is stopping: an event is dropped");
        }
    }

    fn publish(&mut self, seq: Seq, mut message: Outgoing, replayed: bool) {
        point(if replayed { "replay" } else { "publish" });
        if replayed && let Some(marked) = mark_replayed(&message.payload) {
            message.payload = marked;
        }
        // The machine publishes between `LinkUp` and `LinkDown` only, and has no more in flight than
        // the link has places for. What the link does not take all the same stays in flight in the
        // machine, which publishes it on the next connection or writes it to disk at the end.
        let Some(connection) = self.connection else { return };
        if self.link.try_publish(connection, seq, message).is_err() {
            log::debug!("the link has stopped: a result stays in the outbox");
        }
    }

    pub(super) fn publish_report(&self, report: &Report) {
        let message = Outgoing {
            topic: report.topic(&self.context.config.gateway),
            payload: report.payload(),
            content_type: "application/json".into(),
            properties: Vec::new(),
            correlation: None,
            retain: false,
            qos: Qos::AtMostOnce,
        };
        if !self.link.publish_untracked(message) {
            log::debug!("no connection, or a busy one: a report is not published");
        }
    }
}
