//! Verdict -> messages: to the stream's topic by its publish rules, and to whoever asked.

use std::borrow::Cow;

use bytes::Bytes;

use super::encode::{Prediction, Refusal, content_type, encode};
use super::fit::FitError;
use super::infer::Ids;
use super::interpret::Verdict;
use super::outcome::{Micros, Outcome};
use super::policy::{Memory, Policy};
use super::reject::Reject;
use super::topics::{Captured, Target, may_answer};
use crate::bundle::card::Card;
use crate::clock::Timestamp;
use crate::config::{Publish, Stream};
use crate::ids::{GatewayId, StreamName};
use crate::message::{AckToken, Incoming, InputId, Outgoing, Qos, Reply, ResultMessage};

/// Where and how a stream's results go.
#[derive(Debug)]
pub(super) struct Sender {
    /// The stream's number.
    index: usize,
    gateway: GatewayId,
    stream: StreamName,
    publish: Publish,
    pub(super) policy: Policy,
    target: Target,
    ids: Ids,
    buffer: Vec<u8>,
}

/// What a result says beside its verdict.
#[derive(Clone, Copy)]
pub(super) struct Circumstance<'a> {
    pub(super) incoming: &'a Incoming,
    pub(super) captured: &'a Captured,
    pub(super) time: Timestamp,
    pub(super) us: Micros,
    /// The input whose acknowledgement waits for the result.
    pub(super) token: Option<AckToken>,
    /// The input that the result is named after.
    pub(super) name: Option<InputId>,
    /// It rests on a retained message, and is to say so.
    pub(super) retained: bool,
}

impl Sender {
    pub(super) fn new(
        index: usize,
        stream: &Stream,
        gateway: &GatewayId,
        ids: Ids,
    ) -> Result<Self, Vec<FitError>> {
        Ok(Self {
            index,
            gateway: gateway.clone(),
            stream: stream.name.clone(),
            publish: stream.publish.clone(),
            policy: Policy::new(&stream.publish),
            target: Target::new(stream, gateway)?,
            ids,
            buffer: Vec::new(),
        })
    }

    /// Sends a verdict to where it belongs. A request is answered whatever the publish rules say.
    pub(super) fn send(
        &mut self,
        verdict: &Verdict<'_>,
        card: &Card,
        memory: &mut Memory,
        about: Circumstance<'_>,
        out: &mut Vec<ResultMessage>,
        outcome: &mut Outcome,
    ) -> Result<(), Reject> {
        let publishes = self.policy.publishes(memory, verdict.gist);
        if !publishes {
            outcome.suppressed = outcome.suppressed.saturating_add(1);
        }
        let reply = about.incoming.reply.as_ref().filter(|reply| may_answer(&reply.topic));
        if !publishes && reply.is_none() {
            return Ok(());
        }
        let payload = self.encode(verdict, card, about)?;
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

    /// Tells whoever asked why there is no prediction.
    pub(super) fn refuse(
        &mut self,
        reject: &Reject,
        incoming: &Incoming,
        token: Option<AckToken>,
        out: &mut Vec<ResultMessage>,
        outcome: &mut Outcome,
    ) {
        let Some(reply) = incoming.reply.as_ref().filter(|r| may_answer(&r.topic)) else { return };
        let text = reject.to_string();
        let (gateway, stream) = (self.gateway.as_str(), self.stream.as_str());
        let refusal = Refusal::new(gateway, stream, reject.code(), &text);
        let Ok(payload) = encode(&refusal, self.publish.encoding, &mut self.buffer) else { return };
        let message = self.message(reply.topic.clone(), payload, None, Qos::AtLeastOnce);
        let message = Outgoing { correlation: reply.correlation.clone(), ..message };
        self.finish(message, token, out, outcome);
    }

    fn encode(
        &mut self,
        verdict: &Verdict<'_>,
        card: &Card,
        about: Circumstance<'_>,
    ) -> Result<Bytes, Reject> {
        let id = about.name.map_or_else(|| self.ids.next(), |o| self.ids.of_input(o, self.index));
        let prediction = Prediction {
            id,
            gateway: self.gateway.as_str(),
            stream: self.stream.as_str(),
            device: about.captured.device(),
            time: about.time,
            received: about.incoming.received.wall,
            model: card.name.as_str(),
            version: &card.version,
            verdict,
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
        outcome: &mut Outcome,
    ) {
        out.push(ResultMessage { stream: self.index, input, message });
        outcome.results = outcome.results.saturating_add(1);
        if input.is_some() {
            outcome.awaited = outcome.awaited.saturating_add(1);
        }
    }
}
