//! Turns predictions into messages: to the stream's topic if the publish rules allow it, and to the
//! response topic of a request.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;

use super::encode::{ErrorReply, PredictionMessage, content_type, encode};
use super::interpret::Prediction;
use super::prediction_id::PredictionIds;
use super::problems::CompatibilityError;
use super::publish_policy::PublishPolicy;
use super::publish_state::PublishState;
use super::reject::Reject;
use super::step_report::{StageMicros, StepReport};
use super::topics::{ResultTopic, TopicCaptures, may_answer};
use crate::bundle::card::Card;
use crate::clock::Timestamp;
use crate::config::{Publish, Stream};
use crate::ids::{GatewayId, StreamName};
use crate::message::{AckToken, Incoming, InputId, Outgoing, Qos, Reply, ResultMessage};

/// Publishes the results of a stream.
#[derive(Debug)]
pub(super) struct ResultPublisher {
    /// The index of the stream.
    index: usize,
    gateway: GatewayId,
    stream: StreamName,
    publish: Publish,
    pub(super) policy: PublishPolicy,
    target: ResultTopic,
    ids: PredictionIds,
    buffer: Vec<u8>,
    /// The id of the last prediction, if it was encoded; written only if `keeps_ids`.
    last_id: String,
    keeps_ids: bool,
}

/// The context of a result.
#[derive(Clone, Copy)]
pub(super) struct ResultContext<'a> {
    pub(super) incoming: &'a Incoming,
    pub(super) captured: &'a TopicCaptures,
    pub(super) time: Timestamp,
    pub(super) us: StageMicros,
    /// The token of the input whose acknowledgement waits for the result.
    pub(super) token: Option<AckToken>,
    /// The input from which the id of the result is derived.
    pub(super) name: Option<InputId>,
    /// Whether it depends on a retained message and is to be marked.
    pub(super) retained: bool,
}

impl ResultPublisher {
    pub(super) fn new(
        index: usize,
        stream: &Stream,
        gateway: &GatewayId,
        ids: PredictionIds,
    ) -> Result<Self, Vec<CompatibilityError>> {
        Ok(Self {
            index,
            gateway: gateway.clone(),
            stream: stream.name.clone(),
            publish: stream.publish.clone(),
            policy: PublishPolicy::new(&stream.publish),
            target: ResultTopic::new(stream, gateway)?,
            ids,
            buffer: Vec::new(),
            last_id: String::new(),
            keeps_ids: false,
        })
    }

    /// Whether [`Self::last_id`] is wanted.
    pub(super) fn keeping_ids(self, keeps_ids: bool) -> Self {
        Self { keeps_ids, ..self }
    }

    /// The id of the prediction that was sent last; `None` if it was not published.
    pub(super) fn last_id(&self) -> Option<&str> {
        Some(self.last_id.as_str()).filter(|id| !id.is_empty())
    }

    /// Publishes a prediction. A request is answered regardless of the publish rules.
    pub(super) fn send(
        &mut self,
        prediction: &Prediction<'_>,
        card: &Card,
        state: &mut PublishState,
        about: ResultContext<'_>,
        out: &mut Vec<ResultMessage>,
        outcome: &mut StepReport,
    ) -> Result<(), Reject> {
        self.last_id.clear();
        let publishes = self.policy.publishes(state, prediction.key);
        if !publishes {
            outcome.suppressed = outcome.suppressed.saturating_add(1);
        }
        let reply = about.incoming.reply.as_ref().filter(|reply| may_answer(&reply.topic));
        if !publishes && reply.is_none() {
            return Ok(());
        }
        let payload = self.encode(prediction, card, about)?;
        if publishes {
            let topic = self.target.render(about.captured)?;
            let (qos, retain) = (self.publish.qos, self.publish.retain);
            let message = self.message(topic, payload.clone(), Some(card), qos);
            self.finish(Outgoing { retain, ..message }, about.token, out, outcome);
        }
        if let Some(Reply { topic, correlation }) = reply {
            let message = self.message(topic.clone(), payload, Some(card), Qos::AtLeastOnce);
            let message = Outgoing { correlation: correlation.clone(), ..message };
            self.finish(message, about.token, out, outcome);
        }
        Ok(())
    }

    /// Answers a request with the reason why it has no prediction.
    pub(super) fn refuse(
        &mut self,
        reject: &Reject,
        incoming: &Incoming,
        token: Option<AckToken>,
        out: &mut Vec<ResultMessage>,
        outcome: &mut StepReport,
    ) {
        let Some(reply) = incoming.reply.as_ref().filter(|r| may_answer(&r.topic)) else { return };
        let text = reject.to_string();
        let (gateway, stream) = (self.gateway.as_str(), self.stream.as_str());
        let refusal = ErrorReply::new(gateway, stream, reject.code(), &text);
        let Ok(payload) = encode(&refusal, self.publish.encoding, &mut self.buffer) else { return };
        let message = self.message(reply.topic.clone(), payload, None, Qos::AtLeastOnce);
        let message = Outgoing { correlation: reply.correlation.clone(), ..message };
        self.finish(message, token, out, outcome);
    }

    fn encode(
        &mut self,
        prediction: &Prediction<'_>,
        card: &Card,
        about: ResultContext<'_>,
    ) -> Result<Bytes, Reject> {
        let id = about.name.map_or_else(|| self.ids.next(), |o| self.ids.of_input(o, self.index));
        if self.keeps_ids {
            // Writing to a string cannot fail.
            write!(self.last_id, "{id}").ok();
        }
        let prediction = PredictionMessage {
            id,
            gateway: self.gateway.as_str(),
            stream: self.stream.as_str(),
            device: about.captured.device(),
            time: about.time,
            received: about.incoming.received.wall,
            model: card.name.as_str(),
            version: &card.version,
            prediction,
            us: about.us,
            retained: about.retained,
        };
        encode(&prediction, self.publish.encoding, &mut self.buffer)
    }

    fn message(&self, topic: String, payload: Bytes, card: Option<&Card>, qos: Qos) -> Outgoing {
        let properties = card.map_or_else(Vec::new, |card| {
            let model = (Cow::Borrowed("model"), card.name.to_string());
            vec![model, (Cow::Borrowed("version"), card.version.clone())]
        });
        let content_type = Cow::Borrowed(content_type(self.publish.encoding));
        Outgoing { topic, payload, content_type, properties, correlation: None, retain: false, qos }
    }

    fn finish(
        &self,
        message: Outgoing,
        input: Option<AckToken>,
        out: &mut Vec<ResultMessage>,
        outcome: &mut StepReport,
    ) {
        out.push(ResultMessage { stream: self.index, input, message });
        outcome.results = outcome.results.saturating_add(1);
        if input.is_some() {
            outcome.awaited = outcome.awaited.saturating_add(1);
        }
    }
}
