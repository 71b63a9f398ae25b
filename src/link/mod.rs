//! The MQTT connection: the only room that knows rumqttc.
//!
//! [`Link::start`] gives three things: a [`LinkHandle`] for everybody, a stream of [`Event`]s for
//! the outbox, and a [`LinkTask`] whose `run` is the poll loop. The loop waits for nothing but
//! the broker and the orders of the handle; samples leave it through [`Intake::offer`], which
//! must not wait either.
//!
//! What is full when, and what then:
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | a worker's samples | the daemon's | QoS 0: newest dropped, told to [`Intake::dropped`]; QoS 1: held here |
//! | held samples | the receive maximum, by MQTT 5 | the broker keeps the rest; one that sends more is asked for one at a time, and not read |
//! | publishes | twice `broker.in_flight` | [`LinkHandle::try_publish`] gives them back |
//! | what nobody waits for | 32 | [`LinkHandle::tell`] drops it |
//! | events | as many as publishes, and a few | no publish is taken for which there is no room to answer |
//!
//! # rumqttc 0.25.1, and how its faults are gone round
//! - It keeps an `EventLoop` over reconnects: pending publishes, requests in the channel, buffered
//!   events of the old connection, a receive maximum or keep-alive the last broker set. Here every
//!   connection has a new one, and the outbox sends again what was not acknowledged.
//! - `poll` is not safe to cancel: a packet can be noted as sent and never be written. Here one
//!   future is polled to its end; other work is done beside it.
//! - A publish over the broker's maximum packet size ends the connection, again and again. Sizes
//!   are checked before the client sees the packet.
//! - Acknowledgements wait in one channel with publishes, which is not read while the window is
//!   full. Our own window is kept below the client's.
//! - Pings go out every keep-alive, and an unanswered one is noticed at the next, so a dead
//!   connection lives for two; and while a write is stuck nothing is noticed. Here a connection
//!   on which nothing was heard for one and a half is given up.
//! - Topic aliases are put in after the event was made, so an aliased message has no topic. None
//!   are announced, so brokers use none.
//! - A DISCONNECT without reason, and an acknowledgement of a failed publish on which another
//!   waits, are mishandled: the first counts as a closed connection, the second cannot happen
//!   below its window.
//! - `set_keep_alive` panics below five seconds: the configuration starts there.
//! - A CONNACK of MQTT 3.1.1 is waited on for ever, and the reason string of one that refuses is
//!   dropped: `diagnose` looks at the bytes.

mod abilities;
mod connect;
mod connection;
mod copies;
mod diagnose;
mod fault;
mod filter;
#[cfg(test)]
mod garbage_tests;
mod gate;
mod goodbye;
mod handle;
mod held;
mod inbound;
mod laps;
mod ledger;
mod outbound;
mod outgoing;
mod pem;
mod plain;
mod plan;
mod probe;
mod reason;
mod retained;
mod state;
mod subscriptions;
mod suspects;
mod task;
mod tls;
mod tls_advice;
mod trial;
mod unanswered;
mod window;
mod x509;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use fault::{Fault, FaultKind};
pub use handle::{Counters, LinkHandle, NotTaken};
pub use plain::{Closed, PlainClient, PlainMessage, Progress};
pub use probe::{Probed, probe};
pub use state::{LastFault, LinkState, RECENT, RefusedTopic, Unanswered};
pub use task::LinkTask;

use crate::clock::Clock;
use crate::config;
use crate::message::{Incoming, Qos};
use crate::outbox::{Refusal, Seq};

/// What the link is told at its start.
pub struct LinkOptions {
    pub broker: config::Broker,
    pub status: Status,
    /// Their filters may overlap: a message comes once to each stream that wants it.
    pub subscriptions: Vec<Subscription>,
    /// Filters that the broker's session may have from earlier processes ([`Link::filters`]). Those
    /// that are not subscribed to any more are unsubscribed.
    pub former: Vec<String>,
    pub intake: Box<dyn Intake>,
    /// The last one of [`Event::EpochAdvanced`] that was kept on disk, by whatever process; a random one where
    /// there is none.
    pub epoch: u64,
    pub clock: Arc<dyn Clock>,
}

/// The retained status message: `online` at every connect before anything else, `offline` by the
/// broker when we are gone without a word, `stopped` when we leave.
#[derive(Clone, Debug)]
pub struct Status {
    pub topic: String,
    pub online: Bytes,
    pub offline: Bytes,
    pub stopped: Bytes,
}

/// A topic filter and how its messages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub filter: String,
    pub qos: Qos,
    /// What matters is the retained message: it is wanted each time that this is asked for, also
    /// where the broker's session has the subscription already. It does not count for
    /// [`Event::Subscribed`].
    pub pull: bool,
    /// Whether the messages that the broker retained are wanted when it is new. They may come all
    /// the same, with [`Received::retained`] set.
    pub retained: bool,
    /// The numbers of the streams that it is for.
    pub streams: Vec<usize>,
}

impl Subscription {
    /// What one stream listens to, without retained messages.
    #[must_use]
    pub fn of_stream(stream: usize, filter: impl Into<String>, qos: Qos) -> Self {
        let filter = filter.into();
        Self { filter, qos, pull: false, retained: false, streams: vec![stream] }
    }

    /// A topic whose retained message is wanted.
    #[must_use]
    pub fn pulled(topic: impl Into<String>) -> Self {
        let filter = topic.into();
        Self { filter, qos: Qos::AtLeastOnce, pull: true, retained: true, streams: Vec::new() }
    }
}

/// A message as [`Intake::admit`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// The broker had kept it: it was published before we subscribed.
    pub retained: bool,
    /// It names a topic for an answer.
    pub asks: bool,
}

/// A filter that the broker does not grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotGranted {
    pub filter: String,
    /// The streams that get nothing because of it.
    pub streams: Vec<usize>,
    pub reason: String,
}

/// Where received messages go. Called from inside the poll loop: none of these may wait.
pub trait Intake: Send {
    /// Keeps of `streams` those that take a message of this kind, and counts it for the others.
    /// They are the streams that [`Self::streams`] named, without those that have the message from
    /// another copy.
    fn admit(&mut self, message: Received<'_>, streams: &mut Vec<usize>) {
        let (_, _) = (message, streams);
    }

    /// Pushes the numbers of all streams that a topic is for; none where nobody wants it.
    fn streams(&mut self, topic: &str, streams: &mut Vec<usize>);

    /// Takes a message that is for no stream. It is acknowledged at once, so it must be one that comes
    /// again when it is asked for.
    fn take(&mut self, topic: &str, payload: &[u8]) -> bool {
        let (_, _) = (topic, payload);
        false
    }

    /// Puts a sample in the queue of its stream's worker.
    ///
    /// # Errors
    /// Gives the sample back when the queue is full. It is offered again after
    /// [`LinkHandle::room`] if it asked for an acknowledgement.
    #[expect(clippy::result_large_err, reason = "the sample is moved back, and held")]
    fn offer(&mut self, sample: Incoming) -> Result<(), Incoming>;

    /// A QoS 0 sample found its queue full: it is lost, and to be counted.
    fn dropped(&mut self, sample: Incoming);
}

/// Numbers the connections of this process. A publish names the one it was meant for, so that
/// none handed over just as a connection ends is sent twice on the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// What the link tells the outbox, in the order in which it happened. Whoever listens logs it: each
/// event is made once for each change, and says what is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Connected. Publishes of this epoch are taken from now on.
    Up { epoch: Epoch, session_present: bool },
    /// The broker has granted every subscription: from now on no sample goes past us.
    Subscribed,
    /// No connection, after `Up` or after an attempt that failed for another reason than the one
    /// before. What was handed over and not settled is to be handed over again in the next epoch.
    Down { fault: Fault },
    /// To be kept on disk at once, and given to the next process at its start: with it a message that
    /// comes again is known by its name.
    EpochAdvanced(u64),
    /// The broker has it (at least once), or it is written (at most once).
    Sent { seq: Seq },
    /// The broker or the link will not have it.
    Refused { seq: Seq, refusal: Refusal },
    /// The broker refuses a topic filter; it is asked again later.
    NotSubscribed(NotGranted),
}

/// What is wrong on this machine with the files and variables that a connection to `broker` needs:
/// certificates, keys, the password. Nothing is sent.
#[must_use]
pub fn local_fault(broker: &config::Broker) -> Option<Fault> {
    connect::plain(broker).err()
}

/// Makes the parts of a link.
#[derive(Debug)]
pub struct Link;

/// What [`Link::start`] makes.
#[derive(Debug)]
pub struct Started {
    pub handle: LinkHandle,
    pub events: tokio::sync::mpsc::Receiver<Event>,
    pub task: LinkTask,
}

impl Link {
    /// The parts of a link that is not connected yet: it connects when the task is run.
    #[must_use]
    pub fn start(options: LinkOptions) -> Started {
        task::start(options)
    }

    /// All filters that may be subscribed to for these: they stay in the broker's session, and the
    /// next process is to know them ([`LinkOptions::former`]).
    #[must_use]
    pub fn filters(wanted: &[Subscription]) -> Vec<String> {
        plan::possible(wanted).into_iter().collect()
    }
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
