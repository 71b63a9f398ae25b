//! The types that the link shares with the rest of the daemon.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Fault;
use crate::clock::Clock;
use crate::config;
use crate::message::{Delivery, Incoming, Qos};
use crate::outbox::{Refusal, Seq};

/// What a link is started with.
pub struct LinkOptions {
    pub broker: config::Broker,
    pub status: StatusMessages,
    /// The filters may overlap: a message is delivered once to each stream that it matches.
    pub subscriptions: Vec<Subscription>,
    /// Filters that the broker's session may have from earlier processes ([`super::Link::filters`]).
    /// Those that are no longer subscribed to are unsubscribed.
    pub previous_filters: Vec<String>,
    pub ingest: Box<dyn Ingest>,
    /// The last epoch of [`Event::EpochAdvanced`] that was persisted by this or an earlier process;
    /// a random one if there is none.
    pub epoch: u64,
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for LinkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkOptions")
            .field("broker", &self.broker)
            .field("status", &self.status)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

/// The payloads of the retained status topic.
#[derive(Clone, Debug)]
pub struct StatusMessages {
    pub topic: String,
    /// The first publish of every connection.
    pub online: Bytes,
    /// The last will: published by the broker if the connection ends without a DISCONNECT.
    pub offline: Bytes,
    /// The last publish of an orderly shutdown.
    pub stopped: Bytes,
}

/// A topic filter and how its messages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub filter: String,
    pub qos: Qos,
    /// The retained message is what matters: it is requested each time the subscription is added,
    /// even if the broker's session has it already. Such a subscription does not delay
    /// [`Event::Subscribed`].
    pub pull: bool,
    /// Request the retained messages of a new subscription. If this is false they may still be
    /// delivered, with [`ReceivedMessage::retained`] set.
    pub retained: bool,
    /// The indices of the streams that it is for.
    pub streams: Vec<usize>,
}

impl Subscription {
    /// The subscription of one stream, without retained messages.
    #[must_use]
    pub fn of_stream(stream: usize, filter: impl Into<String>, qos: Qos) -> Self {
        let filter = filter.into();
        Self { filter, qos, pull: false, retained: false, streams: vec![stream] }
    }

    /// The subscription to a topic whose retained message is wanted.
    #[must_use]
    pub fn pulled(topic: impl Into<String>) -> Self {
        let filter = topic.into();
        Self { filter, qos: Qos::AtLeastOnce, pull: true, retained: true, streams: Vec::new() }
    }
}

/// A received message as [`Ingest::admit`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedMessage<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// The broker stored it before the subscription was made.
    pub retained: bool,
    /// It has a response topic.
    pub is_request: bool,
}

/// A topic filter that the broker refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotGranted {
    pub filter: String,
    /// The streams that receive nothing because of it.
    pub streams: Vec<usize>,
    pub reason: String,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the model updates, which have accepted it.
    Update,
    /// To the streams that were appended, if any.
    Streams,
}

/// Receives messages from the link. Called inside the poll loop: no method may block.
pub trait Ingest: Send {
    /// Removes the streams that do not accept a message of this kind, and counts it for them.
    /// `deliveries` are those of [`Self::route`], without streams that received another copy.
    fn admit(&mut self, message: ReceivedMessage<'_>, deliveries: &mut Vec<Delivery>) {
        let (_, _) = (message, deliveries);
    }

    /// Decides where a message goes, and appends all streams that match its topic, each with what it
    /// captures of it.
    /// A message of a model update is accepted here and appends none. It is acknowledged at once,
    /// so it must be one that can be requested again.
    fn route(&mut self, topic: &str, payload: &[u8], deliveries: &mut Vec<Delivery>) -> Route;

    /// Puts a sample in the queue of its stream's worker.
    ///
    /// # Errors
    /// Returns the sample if the queue is full. A QoS 1 sample is offered again after
    /// [`super::LinkHandle::queue_has_room`].
    #[expect(clippy::result_large_err, reason = "the sample is moved back, and held")]
    fn offer(&mut self, sample: Incoming) -> Result<(), Incoming>;

    /// Counts a QoS 0 sample that was dropped because its queue was full.
    fn dropped(&mut self, sample: Incoming);
}

/// Numbers the connections of this process. A publish names the connection it is meant for, so that
/// one handed over just before a reconnect is not sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What happened on the link, in order. The receiver logs it: each event is emitted once for each
/// change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected. Publishes for this connection are accepted from now on.
    Up { connection: ConnectionId, session_present: bool },
    /// The broker has granted every subscription.
    Subscribed,
    /// The connection ended, or an attempt failed for another reason than the one before. Publishes
    /// that were handed over and not settled must be handed over again on the next connection.
    Down { fault: Fault },
    /// A number to persist at once and to pass to the next process as [`LinkOptions::epoch`], which
    /// then recognises redelivered messages by their ids.
    EpochAdvanced(u64),
    /// The broker acknowledged the publish (QoS 1), or it was written (QoS 0).
    Sent { seq: Seq },
    /// The broker or the link rejected the publish.
    Refused { seq: Seq, refusal: Refusal },
    /// The broker refused a topic filter; the link requests it again later.
    NotSubscribed(NotGranted),
}
