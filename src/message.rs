//! What crosses between the rooms of the data path: link -> inference -> outbox -> link.

use std::borrow::Cow;

use bytes::Bytes;

use crate::clock::Now;

/// Stands for one received QoS 1 message that is not acknowledged yet; unique in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputToken(pub u64);

/// Which message of which broker session an input is. It has the same one when it comes again, to
/// a later process too; no other input has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Counts how often packet ids started over, in halves.
    pub lap: u64,
    pub packet: u16,
    /// CRC-32 of topic and payload, for brokers that do not give packet ids in order.
    pub content: u32,
}

impl Origin {
    /// Of a message that is known by its content alone. No broker session comes to this lap.
    #[must_use]
    pub fn of_content(content: u32) -> Self {
        Self { lap: u64::MAX, packet: 0, content }
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
    /// `None` for QoS 0, which asks for no acknowledgement.
    pub token: Option<InputToken>,
    /// `None` where a later process could not tell that it is the same.
    pub origin: Option<Origin>,
    pub reply: Option<Reply>,
    /// The broker had kept it for those who subscribe later: nobody knows how old it is.
    pub retained: bool,
}

/// Where an MQTT 5 request wants its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub topic: String,
    pub correlation: Option<Bytes>,
}

/// One message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: String,
    pub payload: Bytes,
    /// MQTT 5 content type, e.g. `application/json`; owned where it comes back from disk.
    pub content_type: Cow<'static, str>,
    /// MQTT 5 user properties in order.
    pub properties: Vec<(Cow<'static, str>, String)>,
    pub correlation: Option<Bytes>,
    pub retain: bool,
    pub qos: Qos,
}

/// The MQTT qualities of service in use here; exactly-once is not one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    AtMostOnce,
    AtLeastOnce,
}

/// What a worker hands to the outbox: an encoded prediction and what it answers.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Index of the stream in the configuration.
    pub stream: usize,
    /// The input whose acknowledgement waits for this result; `None` where nothing waits.
    pub input: Option<InputToken>,
    pub message: Outgoing,
}

/// What a worker reports of one message once it is through with it. The input may be acknowledged
/// when this has arrived and as many results as it names are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub input: InputToken,
    pub results: u32,
}
