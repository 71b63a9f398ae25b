//! What goes out: acknowledgements first, then what every connection starts with, then publishes.

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::{
    Filter, PubAckReason, Publish, PublishProperties, RetainForwardRule, SubscribeProperties,
};
use rumqttc::v5::mqttbytes::{QoS, valid_topic};
use tokio::time::Instant;

use super::connection::Connection;
use super::goodbye::Goodbye;
use super::handle::Submitted;
use super::task::SPARE_EVENTS;
use super::{Event, Fault, Subscription};
use crate::message::{Outgoing, Qos};
use crate::outbox::{Refusal, Seq};

/// A publish under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) what: What,
    pub(super) topic: String,
    /// When it was handed to the client.
    pub(super) at: Instant,
}

/// What a publish was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The outbox waits for it.
    Numbered(Seq),
    /// Nobody does.
    Told,
    /// Retained state of the daemon's own.
    State,
    /// The last word.
    Stopped,
}

/// The packet id that `size` does not count before it is given out.
const PACKET_ID: usize = 2;

impl Connection<'_> {
    /// True when one more publish may be handed to the client, and its end be told.
    pub(super) fn has_room(&self) -> bool {
        let under_way = self.flight.len() + self.held_back.len();
        if self.task.suspects.is_careful() && self.waits_for_an_answer() {
            return false;
        }
        matches!(self.goodbye, Goodbye::NotYet | Goodbye::Asked { .. })
            && self.bounds.is_some_and(|bounds| under_way < bounds.window)
            && self.task.events.capacity() > under_way + SPARE_EVENTS
    }

    /// The best quality of service that the broker takes.
    fn best_qos(&self) -> Qos {
        match self.bounds {
            Some(bounds) if !bounds.abilities.at_least_once => Qos::AtMostOnce,
            Some(_) | None => Qos::AtLeastOnce,
        }
    }

    /// Publishes that may be under way at once.
    pub(super) fn window(&self) -> usize {
        self.bounds.map_or(0, |bounds| bounds.window)
    }

    /// Sends what needs no order from outside. Called before every wait.
    pub(super) fn send_what_is_due(&mut self) -> Result<(), Fault> {
        self.look_for_orders()?;
        if self.bounds.is_none() || self.goodbye.is_turning() {
            return Ok(());
        }
        self.try_suspects();
        self.send_acknowledgements()?;
        self.send_subscriptions()?;
        self.send_state();
        self.go_on_leaving();
        Ok(())
    }

    fn look_for_orders(&mut self) -> Result<(), Fault> {
        let mut state = self.task.shared.state();
        let (stop, wanted) = (state.stop, state.subscriptions.take());
        drop(state);
        if let Some(wanted) = wanted {
            self.task.subscriptions.replace(wanted);
        }
        match (stop, self.goodbye) {
            (Some(_), Goodbye::NotYet) if self.bounds.is_none() => Err(Fault::Stopped),
            (Some(within), Goodbye::NotYet) => {
                self.goodbye = Goodbye::asked(within, Instant::now());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn send_acknowledgements(&mut self) -> Result<(), Fault> {
        let mut state = self.task.shared.state();
        while let Some(pkid) = state.ledger.next_ack() {
            let publish = Publish { pkid, qos: QoS::AtLeastOnce, ..Publish::default() };
            // The queue has a place for every message the broker may have under way.
            self.client.try_ack(&publish).map_err(|_full| overfull())?;
        }
        Ok(())
    }

    fn send_subscriptions(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
        // First, so that the answer to the rest means that nothing of the former set comes any more.
        while let Some(filter) = self.task.subscriptions.next_unwanted() {
            self.client.try_unsubscribe(filter).map_err(|_full| overfull())?;
        }
        loop {
            let due = self.task.subscriptions.next_due(now.into_std());
            if due.is_empty() {
                break;
            }
            let id = due.iter().find_map(|planned| planned.id);
            let properties = SubscribeProperties { id, user_properties: Vec::new() };
            let most = self.best_qos();
            let filters = due.into_iter().map(|planned| filter(planned.subscription, most));
            self.client
                .try_subscribe_many_with_properties(filters, properties)
                .map_err(|_full| overfull())?;
        }
        Ok(())
    }

    /// The first publish of every connection.
    pub(super) fn announce(&mut self) {
        let status = &self.task.options.status;
        let message = state_message(&status.topic, status.online.clone());
        self.send(message, What::State);
    }

    fn send_state(&mut self) {
        while self.has_room() {
            let next = self.task.shared.state().retained.next_due();
            let Some((topic, payload)) = next else { return };
            self.send(state_message(&topic, payload), What::State);
        }
    }

    /// A publish came from the outbox. One that was meant for another connection is void there.
    pub(super) fn publish(&mut self, submitted: Submitted) {
        if submitted.epoch == self.task.epoch {
            self.send(submitted.message, What::Numbered(submitted.seq));
        }
    }

    /// Sends a publish, after looking at what would end the connection.
    pub(super) fn send(&mut self, message: Outgoing, what: What) {
        let at = Instant::now();
        let is_topic = (1..=usize::from(u16::MAX)).contains(&message.topic.len())
            && valid_topic(&message.topic)
            && !message.topic.contains('\0');
        if !is_topic {
            let sent = Sent { what, topic: message.topic, at };
            return self.settle(sent, Some(Refusal::TopicInvalid));
        }
        if self.task.suspects.is_aside(&message.topic, at.into_std()) {
            let sent = Sent { what, topic: message.topic, at };
            return self.settle(sent, Some(Refusal::ClosesConnection));
        }
        if self.task.suspects.is_suspect(&message.topic) && what != What::Stopped {
            return self.held_back.push(message, what);
        }
        self.submit(message, what);
    }

    /// Hands a publish that may be sent now to the client, unless it is too large.
    pub(super) fn submit(&mut self, message: Outgoing, what: What) {
        let limit = self.bounds.map_or(0, |bounds| bounds.max_packet);
        let asked = message.qos.min(self.best_qos());
        let at = Instant::now();
        let retain = message.retain && self.bounds.is_some_and(|bounds| bounds.abilities.retain);
        let sent = Sent { what, topic: message.topic.clone(), at };
        let properties = properties(&message);
        let mut publish =
            Publish::new(message.topic, qos(asked), message.payload, Some(properties));
        let bytes = publish.size() + PACKET_ID;
        if bytes > limit {
            log::warn!(
                "a message on {} makes a packet of {bytes} bytes, and {limit} are allowed; \
                 raise the broker's limit and broker.max_packet",
                sent.topic
            );
            return self.settle(sent, Some(Refusal::TooLarge));
        }
        publish.retain = retain;
        self.flight.submitted(asked, sent);
        self.hand_over(publish);
    }

    fn hand_over(&mut self, publish: Publish) {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let Publish { qos, retain, payload, properties, .. } = publish;
        let properties = properties.unwrap_or_default();
        let handed =
            self.client.try_publish_with_properties(topic, qos, retain, payload, properties);
        // There is a place for every publish of the window; were there none, the silence of the
        // broker about this one would end in the outbox sending it again.
        debug_assert!(handed.is_ok(), "the client's queue is smaller than its windows");
    }

    /// The broker answered to a publish.
    pub(super) fn acknowledged(&mut self, pkid: u16, reason: PubAckReason) {
        if let Some(sent) = self.flight.acknowledged(pkid) {
            self.answered(&sent.topic);
            self.settle(sent, refusal(reason));
        }
    }

    /// A publish is over: tells whoever waits for it.
    pub(super) fn settle(&mut self, sent: Sent, refusal: Option<Refusal>) {
        let Sent { what, topic, .. } = sent;
        let mut state = self.task.shared.state();
        match refusal {
            None => {
                state.counters.published += 1;
                state.tracker.accepted(&topic);
            }
            Some(refusal) => {
                state.counters.refused += 1;
                state.tracker.refused(self.task.shared.now(), &topic, refusal.as_str());
            }
        }
        drop(state);
        match (what, refusal) {
            (What::Numbered(seq), None) => self.tell(Event::Sent { seq }),
            (What::Numbered(seq), Some(refusal)) => self.tell(Event::Refused { seq, refusal }),
            (What::State, Some(refusal)) => {
                log::warn!("the state on {topic} was not published: {}", refusal.as_str());
            }
            (What::Told, Some(refusal)) => {
                log::debug!("{topic}: not published: {}", refusal.as_str());
            }
            (What::Stopped, _) => self.disconnect(),
            (What::State | What::Told, None) => {}
        }
    }

    /// An event for which [`Self::has_room`] kept a place, or which may be missed.
    pub(super) fn tell(&self, event: Event) {
        if self.task.events.try_send(event).is_err() {
            log::debug!("an event was missed: nobody listens");
        }
    }
}

pub(super) fn overfull() -> Fault {
    Fault::Broken { reason: "the client's queue is full".into() }
}

fn filter(wanted: Subscription, most: Qos) -> Filter {
    let retain_forward_rule = match (wanted.pull, wanted.retained) {
        (true, _) => RetainForwardRule::OnEverySubscribe,
        (false, true) => RetainForwardRule::OnNewSubscribe,
        (false, false) => RetainForwardRule::Never,
    };
    Filter { retain_forward_rule, ..Filter::new(wanted.filter, qos(wanted.qos.min(most))) }
}

pub(super) fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}

pub(super) fn state_message(topic: &str, payload: Bytes) -> Outgoing {
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

fn properties(message: &Outgoing) -> PublishProperties {
    PublishProperties {
        content_type: Some(message.content_type.clone().into_owned()),
        correlation_data: message.correlation.clone(),
        user_properties: message
            .properties
            .iter()
            .map(|(name, value)| (name.clone().into_owned(), value.clone()))
            .collect(),
        ..PublishProperties::default()
    }
}

fn refusal(reason: PubAckReason) -> Option<Refusal> {
    Some(match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return None,
        PubAckReason::NotAuthorized => Refusal::NotAuthorized,
        PubAckReason::QuotaExceeded => Refusal::QuotaExceeded,
        PubAckReason::PayloadFormatInvalid => Refusal::PayloadInvalid,
        PubAckReason::TopicNameInvalid => Refusal::TopicInvalid,
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse => Refusal::Unspecified,
    })
}
