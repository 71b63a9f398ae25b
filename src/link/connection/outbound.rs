//! What is sent: acknowledgements first, then subscriptions and retained messages, then publishes.

use bytes::Bytes;
use tokio::time::Instant;

use super::Connection;
use super::shutdown::ShutdownPhase;
use crate::link::Fault;
use crate::link::handle::Submitted;
use crate::link::protocol::{Filter, PublishError, QueueFull, RetainHandling, is_valid_topic};
use crate::link::session::SPARE_EVENTS;
use crate::link::types::{Event, Subscription};
use crate::message::{Outgoing, Qos};
use crate::outbox::{Refusal, Seq};

/// A publish in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) kind: PublishKind,
    pub(super) topic: String,
    /// When it was given to the client.
    pub(super) at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublishKind {
    /// Settled by an event.
    Tracked(Seq),
    /// Not settled.
    Untracked,
    /// A retained message of the daemon itself.
    Retained,
    /// The status `stopped`, after which the connection is closed.
    FinalStatus,
}

impl Connection<'_> {
    /// True if one more publish may be sent, and the event that settles it has a place.
    pub(super) fn has_room(&self) -> bool {
        let in_flight = self.in_flight.len() + self.deferred.len();
        if self.session.quarantine.has_suspects() && self.awaits_reaction() {
            return false;
        }
        matches!(self.shutdown, ShutdownPhase::Running | ShutdownPhase::Draining { .. })
            && self.limits.is_some_and(|limits| in_flight < limits.window)
            && self.session.events.capacity() > in_flight + SPARE_EVENTS
    }

    /// The highest quality of service that the broker supports.
    fn max_qos(&self) -> Qos {
        match self.limits {
            Some(limits) if !limits.features.qos1 => Qos::AtMostOnce,
            Some(_) | None => Qos::AtLeastOnce,
        }
    }

    /// Publishes that may be in flight at once.
    pub(super) fn window(&self) -> usize {
        self.limits.map_or(0, |limits| limits.window)
    }

    /// Sends everything that is due without an order. Called before every wait; the shared state is
    /// locked only if it has work.
    pub(super) fn send_due(&mut self) -> Result<(), Fault> {
        if self.session.shared.take_work() {
            self.take_orders()?;
            self.has_retained_due = true;
        }
        if self.limits.is_none() || self.shutdown.is_reconnecting() {
            return Ok(());
        }
        self.send_deferred();
        self.send_subscriptions()?;
        self.send_retained();
        self.continue_shutdown();
        Ok(())
    }

    /// Sends the acknowledgements that are due, and takes new orders.
    fn take_orders(&mut self) -> Result<(), Fault> {
        let mut state = self.session.shared.state();
        let (stop_within, wanted) = (state.stop_within, state.subscriptions.take());
        if self.limits.is_some() && !self.shutdown.is_reconnecting() {
            while let Some(packet_id) = state.ledger.next_ack() {
                // The queue has a place for every message that may be unacknowledged.
                self.client.try_ack(packet_id).map_err(queue_full)?;
            }
        }
        drop(state);
        if let Some(wanted) = wanted {
            self.session.subscriptions.replace(wanted);
        }
        match (stop_within, self.shutdown) {
            (Some(_), ShutdownPhase::Running) if self.limits.is_none() => Err(Fault::Stopped),
            (Some(within), ShutdownPhase::Running) => {
                self.shutdown = ShutdownPhase::draining(within, Instant::now());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send_subscriptions(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        // First, so that after the reply to the rest nothing of the former set is delivered.
        while let Some(filter) = self.session.subscriptions.next_unwanted() {
            self.client.try_unsubscribe(filter).map_err(queue_full)?;
        }
        let max_qos = self.max_qos();
        loop {
            let due = self.session.subscriptions.next_due(now.into_std());
            if due.is_empty() {
                break;
            }
            let id = due.iter().find_map(|planned| planned.id);
            let filters = due.into_iter().map(|planned| filter(planned.subscription, max_qos));
            self.client.try_subscribe(filters, id).map_err(queue_full)?;
        }
        Ok(())
    }

    /// The first publish of every connection.
    pub(super) fn publish_online(&mut self) {
        let status = &self.session.options.status;
        let message = retained_message(&status.topic, status.online.clone());
        self.publish(message, PublishKind::Retained);
    }

    fn send_retained(&mut self) {
        while self.has_retained_due && self.has_room() {
            let next = self.session.shared.state().retained.next_due();
            let Some((topic, payload)) = next else {
                self.has_retained_due = false;
                return;
            };
            self.publish(retained_message(&topic, payload), PublishKind::Retained);
        }
    }

    /// A publish of the outbox. One that was meant for an earlier connection is void.
    pub(super) fn on_submitted(&mut self, submitted: Submitted) {
        if submitted.connection == self.session.connection {
            self.publish(submitted.message, PublishKind::Tracked(submitted.seq));
        }
    }

    /// Sends a message unless its topic would end the connection, or is suspected to.
    pub(super) fn publish(&mut self, message: Outgoing, kind: PublishKind) {
        let at = Instant::now();
        let is_topic = (1..=usize::from(u16::MAX)).contains(&message.topic.len())
            && is_valid_topic(&message.topic)
            && !message.topic.contains('\0');
        if !is_topic {
            let sent = Sent { kind, topic: message.topic, at };
            return self.settle(sent, Some(Refusal::TopicInvalid));
        }
        let quarantine = &mut self.session.quarantine;
        if quarantine.is_quarantined(&message.topic, at.into_std()) {
            let sent = Sent { kind, topic: message.topic, at };
            return self.settle(sent, Some(Refusal::ClosesConnection));
        }
        if quarantine.is_suspect(&message.topic) && kind != PublishKind::FinalStatus {
            return self.deferred.push(message, kind);
        }
        self.submit(message, kind);
    }

    /// Gives a message to the client unless its packet is too large.
    pub(super) fn submit(&mut self, mut message: Outgoing, kind: PublishKind) {
        let limit = self.limits.map_or(0, |limits| limits.max_packet);
        message.qos = message.qos.min(self.max_qos());
        message.retain &= self.limits.is_some_and(|limits| limits.features.retain);
        let sent = Sent { kind, topic: message.topic.clone(), at: Instant::now() };
        let qos = message.qos;
        match self.client.try_publish(message, limit) {
            Err(PublishError::TooLarge(bytes)) => {
                log::warn!(
                    "a message on {} makes a packet of {bytes} bytes, and {limit} are allowed; \
                     raise the broker's limit and broker.max_packet",
                    sent.topic
                );
                self.settle(sent, Some(Refusal::TooLarge));
            }
            published => {
                // The queue has a place for every publish of the window. If it had none, the missing
                // acknowledgement would make the outbox send the message again.
                debug_assert!(published.is_ok(), "the client's queue is smaller than its windows");
                self.in_flight.submitted(qos, sent);
            }
        }
    }

    /// The broker acknowledged a publish, or refused it.
    pub(super) fn on_puback(&mut self, packet_id: u16, refusal: Option<Refusal>) {
        if let Some(sent) = self.in_flight.acknowledged(packet_id) {
            self.on_answered_topic(&sent.topic);
            self.settle(sent, refusal);
        }
    }

    /// Counts a finished publish and emits the event that settles it.
    pub(super) fn settle(&mut self, sent: Sent, refusal: Option<Refusal>) {
        let Sent { kind, topic, .. } = sent;
        let session = &*self.session;
        let mut state = session.shared.state();
        match refusal {
            None => {
                state.counters.published += 1;
                state.tracker.accepted(&topic);
            }
            Some(refusal) => {
                state.counters.refused += 1;
                state.tracker.refused(session.shared.now(), &topic, refusal.as_str());
            }
        }
        drop(state);
        match (kind, refusal) {
            (PublishKind::Tracked(seq), None) => session.emit(Event::Sent { seq }),
            (PublishKind::Tracked(seq), Some(refusal)) => {
                session.emit(Event::Refused { seq, refusal });
            }
            (PublishKind::Retained, Some(refusal)) => {
                log::warn!("the state on {topic} was not published: {}", refusal.as_str());
            }
            (PublishKind::Untracked, Some(refusal)) => {
                log::debug!("{topic}: not published: {}", refusal.as_str());
            }
            (PublishKind::FinalStatus, _) => self.disconnect(),
            (PublishKind::Retained | PublishKind::Untracked, None) => {}
        }
    }
}

fn queue_full(error: QueueFull) -> Fault {
    Fault::Broken { reason: error.to_string() }
}

fn filter(wanted: Subscription, max_qos: Qos) -> Filter {
    let retain_handling = match (wanted.pull, wanted.retained) {
        (true, _) => RetainHandling::OnEverySubscribe,
        (false, true) => RetainHandling::OnNewSubscription,
        (false, false) => RetainHandling::Never,
    };
    Filter { filter: wanted.filter, qos: wanted.qos.min(max_qos), retain_handling }
}

pub(super) fn retained_message(topic: &str, payload: Bytes) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        payload,
        content_type: "application/json".into(),
        properties: Vec::new(),
        correlation: None,
        retain: true,
        qos: Qos::AtLeastOnce,
    }
}
