//! The messages that pass between the modules of the data path: link, workers, outbox, link.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::clock::Now;

/// Identifies one received QoS 1 message until it is acknowledged. Unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckToken(pub u64);

/// Identifies an input across redeliveries and restarts. A redelivered message has the id of its
/// first delivery, also in a later process; no two inputs share an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InputId {
    /// Counts the halves of the packet id range that the broker has been through.
    pub epoch: u64,
    pub packet: u16,
    /// CRC-32 of topic and payload, for brokers that do not assign packet ids in order.
    pub content: u32,
}

impl InputId {
    /// The id of a message that is identified by its content alone. No broker session reaches this
    /// epoch.
    #[must_use]
    pub fn of_content(content: u32) -> Self {
        Self { epoch: u64::MAX, packet: 0, content }
    }
}

/// The levels of a topic that a stream captures, found when the topic was matched.
///
/// Byte ranges of the topic; a few of them take no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    /// Which of the stream's topics matched, of [`crate::config::Stream::topics`].
    pub topic: usize,
    count: usize,
    first: [Span; INLINE_CAPTURES],
    rest: Vec<Span>,
}

/// Captures without an allocation.
const INLINE_CAPTURES: usize = 4;

/// Start and end in a topic, which has at most 65,535 bytes.
type Span = (u16, u16);

impl Captures {
    /// Adds the next captured level. A topic of MQTT has at most 65,535 bytes; what is beyond is cut
    /// off.
    pub fn push(&mut self, level: Range<usize>) {
        let offset = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let span = (offset(level.start), offset(level.end));
        match self.first.get_mut(self.count) {
            Some(place) => *place = span,
            None => self.rest.push(span),
        }
        self.count = self.count.saturating_add(1);
    }

    /// The number of captured levels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The captured levels of the topic, in the order of the pattern.
    pub fn levels<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a str> {
        let spans = self.first.iter().chain(&self.rest).take(self.count);
        spans.map(|&(start, end)| {
            topic.get(usize::from(start)..usize::from(end)).unwrap_or_default()
        })
    }
}

/// A stream that a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Index of the stream in the configuration.
    pub stream: usize,
    /// What the stream captures of the message's topic.
    pub captures: Captures,
}

/// One received message on its way to a worker.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Index of the stream in the configuration.
    pub stream: usize,
    pub topic: String,
    /// What the stream captures of the topic, from [`crate::pipeline::Router::route`].
    pub captures: Captures,
    pub payload: Bytes,
    pub received: Now,
    /// `None` for QoS 0, which is not acknowledged.
    pub token: Option<AckToken>,
    /// `None` if a later process could not recognise a redelivery of this message.
    pub input_id: Option<InputId>,
    pub reply: Option<Reply>,
    /// A retained message, delivered because of a new subscription. Its age is unknown.
    pub retained: bool,
}

/// The memory of a message beside its topic and payload, roughly, in bytes.
pub const MESSAGE_OVERHEAD: usize = 256;

impl Incoming {
    /// The memory that the message takes in a queue, roughly, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.topic.len() + self.payload.len() + MESSAGE_OVERHEAD
    }
}

/// The response topic and correlation data of an MQTT 5 request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub topic: String,
    pub correlation: Option<Bytes>,
}

/// One message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: String,
    pub payload: Bytes,
    /// MQTT 5 content type, for example `application/json`. Owned if it was read from disk.
    pub content_type: Cow<'static, str>,
    /// MQTT 5 user properties, in order.
    pub properties: Vec<(Cow<'static, str>, String)>,
    pub correlation: Option<Bytes>,
    pub retain: bool,
    pub qos: Qos,
}

/// The MQTT qualities of service that inferd uses. Exactly once is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
}

/// An encoded prediction, or the answer to a request, on its way from a worker to the outbox.
#[derive(Clone, Debug)]
pub struct ResultMessage {
    /// Index of the stream in the configuration.
    pub stream: usize,
    /// The input whose acknowledgement waits until this message is safe, if any.
    pub input: Option<AckToken>,
    pub message: Outgoing,
}

/// Reports that a worker has processed one input. The input may be acknowledged once every stream
/// has reported it and all results of these reports are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputProcessed {
    pub input: AckToken,
    pub results: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_levels_of_their_topic_in_order() {
        let topic = "a/b/c/d/e/f";
        let mut captures = Captures::default();
        for count in 0..6 {
            assert_eq!((captures.len(), captures.is_empty()), (count, count == 0));
            captures.push(2 * count..2 * count + 1);
        }
        assert_eq!(captures.levels(topic).collect::<String>(), "abcdef");
        assert_eq!(captures.levels("a/b").collect::<Vec<_>>(), ["a", "b", "", "", "", ""]);
    }
}
