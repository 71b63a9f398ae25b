//! Received messages go to the workers, and replies to subscriptions to their owner.

use tokio::time::Instant;

use super::Connection;
use crate::failpoints::point;
use crate::link::Fault;
use crate::link::capabilities::Features;
use crate::link::ledger::{Arrival, Flooded, MAX_UNACKNOWLEDGED, ReceivedPublish};
use crate::link::protocol::{Publish, SubscribeReply};
use crate::link::shared::SharedState;
use crate::link::types::{Event, ReceivedMessage, Route};
use crate::message::{AckToken, Delivery, Incoming, InputId, Qos};

/// What the ledger makes of a received message.
enum Admitted {
    /// QoS 0: not acknowledged.
    Untracked,
    Tracked(AckToken),
    /// It was received before; its acknowledgement is pending.
    Redelivered,
}

/// What [`Connection::route`] counts.
#[derive(Clone, Copy, Debug, Default)]
struct Routing {
    is_unrouted: bool,
    is_copy: bool,
}

impl Connection<'_> {
    /// Routes a message, records it and offers it to every stream that it matches. The shared state
    /// is locked once, and for a redelivery twice.
    pub(super) fn on_publish(&mut self, publish: Publish) -> Result<(), Fault> {
        if self.shutdown.is_reconnecting() {
            return Ok(());
        }
        let mut deliveries = std::mem::take(&mut self.deliveries);
        deliveries.clear();
        let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
        let is_closed = self.session.shared.is_closed();
        let routing = if topic.is_empty() || is_closed || self.is_known(&publish) {
            Routing::default()
        } else {
            self.route(topic, &publish, &mut deliveries)
        };
        let mut state = self.session.shared.state();
        state.counters.received += 1;
        state.counters.malformed += u64::from(topic.is_empty());
        state.counters.unrouted += u64::from(routing.is_unrouted);
        state.counters.copies += u64::from(routing.is_copy);
        if is_closed {
            return Ok(());
        }
        let admitted = record_arrival(&mut state, &publish, deliveries.len())?;
        let unacknowledged = state.ledger.unacknowledged();
        drop(state);
        match admitted {
            Admitted::Untracked => self.dispatch(&publish, topic, &deliveries, None, None),
            Admitted::Tracked(token) => {
                let id = self.assign_id(&publish);
                point("received");
                self.dispatch(&publish, topic, &deliveries, Some(token), id);
            }
            Admitted::Redelivered => {}
        }
        if deliveries.is_empty() {
            // Nothing waits for a stream: the acknowledgement may be due already.
            self.session.shared.mark_work();
        }
        self.deliveries = deliveries;
        self.check_receive_window(unacknowledged);
        Ok(())
    }

    /// Whether the broker redelivers a message of the connection before.
    fn is_known(&self, publish: &Publish) -> bool {
        publish.dup
            && publish.qos == Qos::AtLeastOnce
            && self.session.shared.state().ledger.knows(
                publish.packet_id,
                publish.dup,
                &publish.topic,
                &publish.payload,
            )
    }

    /// Finds the streams that a new message is for.
    fn route(&mut self, topic: &str, publish: &Publish, deliveries: &mut Vec<Delivery>) -> Routing {
        let session = &mut *self.session;
        let ingest = &mut *session.options.ingest;
        if ingest.route(topic, &publish.payload, deliveries) == Route::Update {
            return Routing::default();
        }
        if deliveries.is_empty() {
            return Routing { is_unrouted: true, is_copy: false };
        }
        let is_request = publish.reply.is_some();
        let (payload, retained) = (&publish.payload[..], publish.retain);
        let message = ReceivedMessage { topic, payload, retained, is_request };
        let ids = &publish.subscription_ids;
        let is_copy = session.subscriptions.remove_duplicates(message, ids, deliveries);
        ingest.admit(message, deliveries);
        Routing { is_unrouted: false, is_copy }
    }

    fn assign_id(&mut self, publish: &Publish) -> Option<InputId> {
        let mut content = crc32fast::Hasher::new();
        content.update(&publish.topic);
        content.update(&publish.payload);
        let session = &mut *self.session;
        let assigned = session.input_ids.assign(publish.packet_id, publish.dup, content.finalize());
        if let Some(epoch) = assigned.advanced_to {
            session.emit(Event::EpochAdvanced(epoch));
        }
        assigned.id
    }

    fn dispatch(
        &mut self,
        publish: &Publish,
        topic: &str,
        deliveries: &[Delivery],
        token: Option<AckToken>,
        input_id: Option<InputId>,
    ) {
        let session = &mut *self.session;
        let ingest = &mut *session.options.ingest;
        let received = session.options.clock.now();
        let held_before = session.overflow.occupancy().samples;
        for delivery in deliveries {
            let sample = Incoming {
                stream: delivery.stream,
                topic: topic.to_owned(),
                captures: delivery.captures.clone(),
                payload: publish.payload.clone(),
                received,
                token,
                input_id,
                reply: publish.reply.clone(),
                retained: publish.retain,
            };
            if let Some(lost) = session.overflow.offer(ingest, sample) {
                ingest.dropped(lost);
                session.shared.state().counters.dropped += 1;
            }
        }
        let held = session.overflow.occupancy().samples - held_before;
        if held > 0 {
            session.shared.state().counters.held += u64::try_from(held).unwrap_or(0);
            // A worker that took a sample since the refusal notified nobody.
            session.retry_overflow();
        }
    }

    /// Does not request what the broker cannot do.
    pub(super) fn withhold_subscriptions(&mut self, features: Features) {
        let session = &mut *self.session;
        for refused in session.subscriptions.withhold(features) {
            session.shared.state().tracker.filter_refused(&refused);
            session.emit(Event::NotSubscribed(refused));
        }
    }

    /// The broker replied to a SUBSCRIBE.
    pub(super) fn on_suback(&mut self, packet_id: u16, replies: &[SubscribeReply]) {
        let (now, random) = (Instant::now().into_std(), fastrand::u64(..));
        let session = &mut *self.session;
        let was_complete = session.subscriptions.is_complete();
        for problem in session.subscriptions.on_replies(packet_id, replies, now, random) {
            let filter = problem.filter;
            match problem.retry_in {
                None => log::warn!("subscription {}: {}", filter.filter, filter.reason),
                Some(wait) => {
                    log::debug!("{} is subscribed again in {}s", filter.filter, wait.as_secs());
                    session.shared.state().tracker.filter_refused(&filter);
                    session.emit(Event::NotSubscribed(filter));
                }
            }
        }
        let subscriptions = &session.subscriptions;
        let mut state = session.shared.state();
        state.tracker.retain_filters(|filter| subscriptions.is_refused(filter));
        drop(state);
        if !was_complete && subscriptions.is_complete() {
            session.emit(Event::Subscribed);
        }
        self.retry_at = session.subscriptions.next_retry().map(Instant::from_std);
    }
}

fn record_arrival(
    state: &mut SharedState,
    publish: &Publish,
    streams: usize,
) -> Result<Admitted, Fault> {
    if publish.qos == Qos::AtMostOnce {
        return Ok(Admitted::Untracked);
    }
    let received = ReceivedPublish {
        packet_id: publish.packet_id,
        dup: publish.dup,
        topic: &publish.topic,
        payload: &publish.payload,
        streams: u32::try_from(streams).unwrap_or(u32::MAX),
    };
    match state.ledger.receive(received) {
        Ok(Arrival::New(token)) => Ok(Admitted::Tracked(token)),
        Ok(Arrival::Redelivered) => {
            state.counters.recognised += 1;
            Ok(Admitted::Redelivered)
        }
        Err(Flooded) => Err(Fault::Garbage {
            reason: format!("more than {MAX_UNACKNOWLEDGED} unacknowledged messages"),
        }),
    }
}
