//! What comes in: received messages to the workers, their acknowledgements back.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, SubAck, SubscribeReasonCode};
use tokio::time::Instant;

use super::abilities::Abilities;
use super::connection::Connection;
use super::ledger::{Arrival, Arrived, Flooded, UNACKNOWLEDGED};
use super::reason;
use super::subscriptions::Answer;
use super::{Event, Fault, NotGranted, Received};
use crate::failpoints::point;
use crate::message::{AckToken, Incoming, InputId, Qos, Reply};

impl Connection<'_> {
    /// A message came: routes it, notes it, offers it to every stream it is for.
    pub(super) fn received(&mut self, publish: Publish) -> Result<(), Fault> {
        if self.goodbye.is_turning() {
            return Ok(());
        }
        let mut streams = std::mem::take(&mut self.streams);
        streams.clear();
        let topic = String::from_utf8(publish.topic.to_vec()).unwrap_or_default();
        let is_valid = !topic.is_empty();
        let mut state = self.task.shared.state();
        state.counters.received += 1;
        state.counters.malformed += u64::from(!is_valid);
        if state.closed {
            return Ok(());
        }
        let came_before = publish.qos == QoS::AtLeastOnce
            && state.ledger.knows(publish.pkid, publish.dup, &publish.topic, &publish.payload);
        drop(state);
        if is_valid && !came_before {
            self.route(&topic, &publish, &mut streams);
        }
        if let Some(token) = self.note(&publish, streams.len())? {
            let input_id = token.and_then(|_| self.name(&publish));
            point("received");
            self.hand_out(&publish, topic, &streams, token, input_id);
        }
        self.streams = streams;
        self.keep_the_window();
        Ok(())
    }

    /// Finds the streams that a new message is for.
    fn route(&mut self, topic: &str, publish: &Publish, streams: &mut Vec<usize>) {
        let intake = &mut *self.task.options.intake;
        if intake.take(topic, &publish.payload) {
            return;
        }
        intake.streams(topic, streams);
        if streams.is_empty() {
            self.task.shared.state().counters.unrouted += 1;
            return;
        }
        let properties = publish.properties.as_ref();
        let asks = properties.is_some_and(|said| said.response_topic.is_some());
        let (payload, retained) = (&publish.payload[..], publish.retain);
        let message = Received { topic, payload, retained, asks };
        let named = properties.map_or(&[][..], |said| &said.subscription_identifiers);
        let only_a_copy = self.task.subscriptions.leave_one_copy(message, named, streams);
        self.task.shared.state().counters.copies += u64::from(only_a_copy);
        self.task.options.intake.admit(message, streams);
    }

    /// Enters the message in the ledger. `None` where there is nothing more to do with it.
    fn note(
        &mut self,
        publish: &Publish,
        streams: usize,
    ) -> Result<Option<Option<AckToken>>, Fault> {
        let mut state = self.task.shared.state();
        match publish.qos {
            QoS::AtMostOnce => return Ok(Some(None)),
            QoS::AtLeastOnce => {}
            QoS::ExactlyOnce => {
                return Err(Fault::Garbage { reason: "QoS 2, which nobody asked for".into() });
            }
        }
        let arrived = Arrived {
            pkid: publish.pkid,
            dup: publish.dup,
            topic: &publish.topic,
            payload: &publish.payload,
            streams: u32::try_from(streams).unwrap_or(u32::MAX),
        };
        match state.ledger.receive(arrived) {
            Ok(Arrival::New(token)) => Ok(Some(Some(token))),
            Ok(Arrival::Again) => {
                state.counters.recognised += 1;
                Ok(None)
            }
            Err(Flooded) => Err(Fault::Garbage {
                reason: format!(
                    "more than {UNACKNOWLEDGED} messages without waiting for an acknowledgement"
                ),
            }),
        }
    }

    fn name(&mut self, publish: &Publish) -> Option<InputId> {
        let mut content = crc32fast::Hasher::new();
        content.update(&publish.topic);
        content.update(&publish.payload);
        let named = self.task.laps.name(publish.pkid, publish.dup, content.finalize());
        if let Some(epoch) = named.announced {
            self.tell(Event::EpochAdvanced(epoch));
        }
        named.input_id
    }

    fn hand_out(
        &mut self,
        publish: &Publish,
        topic: String,
        streams: &[usize],
        token: Option<AckToken>,
        input_id: Option<InputId>,
    ) {
        let received = self.task.options.clock.now();
        let reply = publish.properties.as_ref().and_then(|properties| {
            let topic = properties.response_topic.clone()?;
            Some(Reply { topic, correlation: properties.correlation_data.clone() })
        });
        let waiting = self.task.held.load().samples;
        for stream in streams {
            let sample = Incoming {
                stream: *stream,
                topic: topic.clone(),
                payload: publish.payload.clone(),
                received,
                token,
                input_id,
                reply: reply.clone(),
                retained: publish.retain,
            };
            let intake = &mut *self.task.options.intake;
            if let Some(lost) = self.task.held.offer(intake, sample) {
                intake.dropped(lost);
                self.task.shared.state().counters.dropped += 1;
            }
        }
        let held = self.task.held.load().samples - waiting;
        if held > 0 {
            self.task.shared.state().counters.held += u64::try_from(held).unwrap_or(0);
            // Room made between the refusal and now was told to nobody.
            self.task.retry_held();
        }
    }

    /// Does not ask a broker for what it has said it cannot do.
    pub(super) fn withhold_subscriptions(&mut self, abilities: Abilities) {
        if abilities.wildcards {
            return;
        }
        let withheld = self.task.subscriptions.withhold(|filter| filter.contains(['+', '#']));
        for (filter, streams) in withheld {
            let what = NotGranted { filter, streams, reason: reason::words(0xa2) };
            self.task.shared.state().tracker.filter_refused(&what);
            self.tell(Event::NotSubscribed(what));
        }
    }

    /// The broker answered to a SUBSCRIBE.
    pub(super) fn subscribed(&mut self, suback: &SubAck) {
        let answers: Vec<Answer> = suback.return_codes.iter().map(answer).collect();
        let (now, random) = (Instant::now().into_std(), fastrand::u64(..));
        let was_complete = self.task.subscriptions.is_complete();
        for trouble in self.task.subscriptions.answered(suback.pkid, &answers, now, random) {
            let what = trouble.what;
            match trouble.retry_in {
                None => log::warn!("subscription {}: {}", what.filter, what.reason),
                Some(wait) => {
                    log::debug!("{} is subscribed again in {}s", what.filter, wait.as_secs());
                    self.task.shared.state().tracker.filter_refused(&what);
                    self.tell(Event::NotSubscribed(what));
                }
            }
        }
        let mut state = self.task.shared.state();
        state.tracker.keep_filters(|filter| self.task.subscriptions.is_refused(filter));
        drop(state);
        if !was_complete && self.task.subscriptions.is_complete() {
            self.tell(Event::Subscribed);
        }
        self.retry_at = self.task.subscriptions.next_retry().map(Instant::from_std);
    }
}

pub(super) fn answer(code: &SubscribeReasonCode) -> Answer {
    if matches!(code, SubscribeReasonCode::SubscriptionIdNotSupported) {
        return Answer::NoIds;
    }
    match (code, reason::of_suback(*code)) {
        (SubscribeReasonCode::Success(QoS::AtMostOnce), _) => Answer::Granted(Qos::AtMostOnce),
        (_, None) => Answer::Granted(Qos::AtLeastOnce),
        (_, Some(code)) => Answer::Refused(reason::words(code)),
    }
}
