//! The MQTT versions that the link can use. Only this folder names the client library.
//!
//! The rest of the link works with [`packet`] and with two types of the adapter:
//!
//! - [`Client`] queues packets to send. None of its `try_` calls waits.
//! - [`EventLoop`] reads and writes the socket, and reports what it received and wrote.
//!
//! MQTT 5 is the only version so far. A version without reason codes, properties or identifiers of
//! subscriptions reports that in [`Capabilities`]; what a broker cannot do is then left out and
//! reported by [`super::capabilities`]. To add MQTT 3.1.1, write `v3.rs` with the same two types,
//! and make `Client` and `EventLoop` here enums of the versions.

mod packet;
mod v5;

pub(super) use packet::{
    Capabilities, ClientEvent, ConnAck, ConnectOptions, Filter, LastWill, Packet, Publish,
    PublishError, QueueFull, RetainHandling, SubscribeReply, Written,
};
pub(super) use v5::{Client, EventLoop, connect_packet, is_valid_topic, refused_connect};
