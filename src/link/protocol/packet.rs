//! Packets as the link sees them, whatever version of MQTT they are encoded in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::link::Fault;
use crate::message::{Qos, Reply};
use crate::outbox::Refusal;

/// The options of one connection.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) client_id: String,
    /// User name and password. An empty password is left out.
    pub(crate) login: Option<(String, String)>,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) connect_timeout: Duration,
    /// At least five seconds.
    pub(crate) keep_alive: Duration,
    /// The largest packet that the broker may send, in bytes.
    pub(crate) max_packet: u32,
    /// Discard the session that the broker may have.
    pub(crate) clean_start: bool,
    pub(crate) session_expiry: Option<Duration>,
    /// Unacknowledged messages that the broker may send.
    pub(crate) receive_maximum: Option<u16>,
    /// Unacknowledged packets that the client sends; the library's default if `None`.
    pub(crate) max_in_flight: Option<u16>,
    /// Acknowledge received messages by [`super::Client::try_ack`] only.
    pub(crate) manual_acks: bool,
    pub(crate) last_will: Option<LastWill>,
}

#[derive(Clone, Debug)]
pub(crate) struct LastWill {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
}

/// One thing that happened on a connection, in order.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    Received(Packet),
    Written(Written),
}

/// A received packet.
#[derive(Debug)]
pub(crate) enum Packet {
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck {
        packet_id: u16,
        refusal: Option<Refusal>,
    },
    /// One reply for each filter, in order.
    SubAck {
        packet_id: u16,
        replies: Vec<SubscribeReply>,
    },
    /// The broker ends the connection.
    Disconnect(Fault),
    /// UNSUBACK or PINGRESP: only a sign of life.
    Other,
}

/// A packet that left for the socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written {
    Publish { packet_id: u16 },
    PubAck { packet_id: u16 },
    Subscribe { packet_id: u16 },
    Other,
}

/// The broker accepted the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnAck {
    pub(crate) session_present: bool,
    pub(crate) capabilities: Capabilities,
}

/// What the broker and the MQTT version offer. Absent limits are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a feature that the broker announces")]
pub(crate) struct Capabilities {
    /// Unacknowledged publishes that the broker accepts.
    pub(crate) receive_maximum: Option<u16>,
    /// The largest packet that the broker accepts, in bytes.
    pub(crate) max_packet: Option<u32>,
    /// The keep-alive that the broker sets instead of the requested one.
    pub(crate) keep_alive: Option<Duration>,
    /// How long the broker keeps the session, if shorter or longer than requested.
    pub(crate) session_expiry: Option<Duration>,
    /// QoS 1; `None` if the broker does not say.
    pub(crate) qos1: Option<bool>,
    /// Retained messages; `None` if the broker does not say.
    pub(crate) retain: Option<bool>,
    /// Filters with `+` and `#`.
    pub(crate) wildcards: bool,
    /// Subscriptions of a group of clients.
    pub(crate) shared: bool,
    pub(crate) subscription_ids: bool,
    /// [`RetainHandling`] is honoured.
    pub(crate) retain_handling: bool,
    /// A refused publish is acknowledged with a reason.
    pub(crate) reason_codes: bool,
    /// Content type, user properties, response topic and correlation data.
    pub(crate) properties: bool,
}

/// A received message.
#[derive(Debug)]
pub(crate) struct Publish {
    /// Of QoS 0 and 1 only; the adapter ends the connection at QoS 2.
    pub(crate) qos: Qos,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    /// 0 for QoS 0.
    pub(crate) packet_id: u16,
    /// Not checked to be UTF-8.
    pub(crate) topic: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) reply: Option<Reply>,
    pub(crate) subscription_ids: Vec<usize>,
}

/// When the broker sends the retained messages of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetainHandling {
    OnEverySubscribe,
    OnNewSubscription,
    Never,
}

/// A topic filter to subscribe to.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) filter: String,
    pub(crate) qos: Qos,
    pub(crate) retain_handling: RetainHandling,
}

/// The broker's reply to one filter of a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubscribeReply {
    Granted(Qos),
    Refused(String),
    /// Refused because of its subscription identifier.
    IdRefused,
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// Its packet would have this many bytes.
    TooLarge(usize),
    QueueFull,
}

/// The client's queue is full, or the connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's queue is full")]
pub(crate) struct QueueFull;
