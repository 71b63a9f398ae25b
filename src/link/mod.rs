//! The MQTT connection of the daemon, and a simpler client for tools.
//!
//! [`Link::start`] returns three parts: a [`LinkHandle`] to send orders from any thread, a stream of
//! [`Event`]s for the delivery loop, and a [`LinkTask`] whose `run` is the poll loop. The loop waits
//! for the broker and for orders only. Samples leave it through [`Ingest::offer`], which must not
//! block.
//!
//! # Layers
//! - `reconnect`: connects, waits and connects again. What outlives a connection is its
//!   `session`.
//! - `connection`: one connection from CONNECT to its end.
//! - `subscriptions`, `ledger`, `input_ids`, `overflow`, `receive_window`, `retained`,
//!   `topic_quarantine`: state machines without input or output.
//! - `protocol`: the MQTT version, by the client library.
//!
//! # Bounds
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | samples of a worker | set by [`Ingest`] | QoS 0: the newest is dropped and given to [`Ingest::dropped`]; QoS 1: held |
//! | held samples | the receive maximum of MQTT 5 | the broker keeps the rest; one that exceeds it is asked for one message at a time, and reading pauses |
//! | publishes | `broker.in_flight` | never: the outbox has no more in flight |
//! | untracked publishes | 32 | [`LinkHandle::publish_untracked`] drops the message |
//! | events | one for each publish, and a reserve | no publish is accepted without room for its event |
//!
//! # Workarounds for rumqttc 0.25.1
//! - It keeps an `EventLoop` over reconnects, with pending publishes, requests in the channel,
//!   buffered events, and a receive maximum or keep-alive that the last broker set. Here every
//!   connection has a new one, and the outbox sends again what was not acknowledged.
//! - `poll` is not safe to cancel: a packet can be recorded as sent and never be written. Here one
//!   future is polled to its end; other work is done beside it.
//! - A publish over the broker's maximum packet size ends the connection, again and again. Sizes
//!   are checked before the client gets the packet.
//! - Acknowledgements wait in one channel with publishes, which is not read while the client's
//!   window is full. Our own window is kept below the client's.
//! - Pings are sent every keep-alive, and a missing reply is noticed at the next one, so a dead
//!   connection lives for two. While a write is stuck nothing is noticed. Here a connection without
//!   received packets for one and a half keep-alives is ended.
//! - Topic aliases are resolved after the event was made, so an aliased message has no topic. None
//!   are announced, so brokers use none.
//! - A DISCONNECT without a reason is reported as a closed connection. An acknowledgement of a
//!   failed publish on which another waits is mishandled; it cannot occur below the client's window.
//! - `set_keep_alive` panics below five seconds: the configuration starts there.
//! - It waits without end for the rest of a CONNACK of MQTT 3.1.1, and drops the reason string of
//!   one that refuses: `diagnose` reads the bytes.

mod broker_check;
mod capabilities;
mod connect;
mod connection;
mod diagnose;
mod fault;
mod handle;
mod input_ids;
mod ledger;
mod overflow;
mod protocol;
mod receive_window;
mod reconnect;
mod retained;
mod session;
mod shared;
mod simple_client;
mod state;
mod subscriptions;
mod tls;
mod topic_quarantine;
mod types;

pub use broker_check::{BrokerCheck, check_broker};
pub use fault::{Fault, FaultKind};
pub use handle::{LinkHandle, NotAccepted};
pub use reconnect::LinkTask;
pub use shared::{Counters, FaultCounts};
pub use simple_client::{ClientClosed, ClientMessage, ClientStatus, SimpleClient};
pub use state::{LastFault, LinkState, RECENT, RefusedTopic, Unanswered};
pub use types::{
    ConnectionId, Event, Ingest, LinkOptions, NotGranted, ReceivedMessage, Route, StatusMessages,
    Subscription,
};

use crate::config;

/// What is wrong on this machine with the files and variables that a connection to `broker` needs:
/// certificates, keys, the password. Nothing is sent.
#[must_use]
pub fn local_fault(broker: &config::Broker) -> Option<Fault> {
    connect::options(broker).err()
}

/// Creates the parts of a link.
#[derive(Debug)]
pub struct Link;

/// The parts that [`Link::start`] returns.
#[derive(Debug)]
pub struct Started {
    pub handle: LinkHandle,
    pub events: tokio::sync::mpsc::Receiver<Event>,
    pub task: LinkTask,
}

impl Link {
    /// Creates a link, which connects when its task runs.
    #[must_use]
    pub fn start(options: LinkOptions) -> Started {
        let (session, handle, events) = session::new(options);
        Started { handle, events, task: LinkTask::new(session) }
    }

    /// All filters that may be subscribed to for these subscriptions. They stay in the broker's
    /// session, and the next process must know them ([`LinkOptions::previous_filters`]).
    #[must_use]
    pub fn filters(wanted: &[Subscription]) -> Vec<String> {
        subscriptions::possible_filters(wanted).into_iter().collect()
    }
}
