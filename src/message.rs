//! The messages that pass between the modules of the data path: link, workers, outbox, link.

use std::borrow::Cow;

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

/// One received message on its way to a worker.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Index of the stream in the configuration.
    pub stream: usize,
    pub topic: String,
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
