//! The link as everybody else sees it: calls that never wait, from any thread.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::ledger::Ledger;
use super::retained::Retained;
use super::state::{LinkState, Tracker};
use super::{Epoch, Subscription};
use crate::clock::{Clock, Now};
use crate::message::{AckToken, InputProcessed, Outgoing};
use crate::outbox::Seq;

/// Orders for the link. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LinkHandle {
    shared: Arc<Shared>,
    publishes: mpsc::Sender<Submitted>,
    tells: mpsc::Sender<Outgoing>,
}

/// A publish on its way to the poll loop.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    pub(super) message: Outgoing,
}

/// A publish that was not taken.
#[derive(Debug)]
pub struct NotTaken(pub Outgoing);

/// What the link counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub connections: u64,
    /// Attempts that failed and connections that ended, by [`super::FaultKind`].
    pub faults_local: u64,
    pub faults_network: u64,
    pub faults_refused: u64,
    pub faults_protocol: u64,
    pub faults_lost: u64,
    /// Messages received, redelivered ones included.
    pub received: u64,
    /// Received for no stream.
    pub unrouted: u64,
    /// With a topic that is not UTF-8, or a quality of service nobody asked for.
    pub malformed: u64,
    /// Further copies of a message that came by another subscription.
    pub copies: u64,
    /// Redelivered, and known to be in process or through.
    pub recognised: u64,
    /// QoS 0 samples lost because a queue was full.
    pub dropped: u64,
    /// QoS 1 samples that had to wait for room in a queue.
    pub held: u64,
    /// Acknowledgements written to the socket.
    pub acknowledged: u64,
    pub published: u64,
    pub refused: u64,
}

/// What the handle and the poll loop both touch, each for a moment only.
pub(super) struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// Something in `state` is for the poll loop to do.
    pub(super) changed: Notify,
    /// A queue may have room again.
    pub(super) room: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) retained: Retained,
    pub(super) subscriptions: Option<Vec<Subscription>>,
    pub(super) counters: Counters,
    pub(super) tracker: Tracker,
    /// Set once the intake is closed: what comes is left to the broker.
    pub(super) closed: bool,
    /// Set once the link is to stop, with the time it may take.
    pub(super) stop: Option<Duration>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            tracker: Tracker::new(clock.now()),
            ledger: Ledger::default(),
            retained: Retained::default(),
            subscriptions: None,
            counters: Counters::default(),
            closed: false,
            stop: None,
        };
        Self { state: Mutex::new(state), clock, changed: Notify::new(), room: Notify::new() }
    }

    /// Resolves once the link is told to stop.
    pub(super) async fn told_to_stop(&self) {
        while self.state().stop.is_none() {
            self.changed.notified().await;
        }
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// A thread that panicked while it held this left nothing half done that matters here.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkHandle {
    pub(super) fn new(
        shared: Arc<Shared>,
        publishes: mpsc::Sender<Submitted>,
        tells: mpsc::Sender<Outgoing>,
    ) -> Self {
        Self { shared, publishes, tells }
    }

    /// Hands over a message for the connection `epoch`. It is settled by [`super::Event::Sent`] or
    /// `Refused`, or void when that connection ends.
    ///
    /// # Errors
    /// Gives the message back when the link has stopped, or the queue is full: that cannot be as
    /// long as no more than `broker.in_flight` of an epoch are handed over and not settled.
    #[expect(clippy::result_large_err, reason = "the message goes back to where it came from")]
    pub fn try_publish(&self, epoch: Epoch, seq: Seq, message: Outgoing) -> Result<(), NotTaken> {
        self.publishes
            .try_send(Submitted { epoch, seq, message })
            .map_err(|refused| NotTaken(refused.into_inner().message))
    }

    /// Hands over a message nobody waits for: no event settles it, and it is gone when there is no
    /// connection. False where the queue is full and it was dropped.
    pub fn tell(&self, message: Outgoing) -> bool {
        self.tells.try_send(message).is_ok()
    }

    /// A worker is through with an input. Called once for every stream the input went to.
    pub fn taken(&self, taken: InputProcessed) {
        self.tell_if(self.shared.state().ledger.taken(taken));
    }

    /// One result of this input is safe: durable here, or acknowledged by the broker.
    pub fn done(&self, input: AckToken) {
        self.tell_if(self.shared.state().ledger.done(input));
    }

    fn tell_if(&self, acknowledgeable: bool) {
        if acknowledgeable {
            self.shared.changed.notify_one();
        }
    }

    /// A worker took a sample out of its queue. To be called after each: held samples are offered
    /// again, and it costs an atomic when there are none.
    pub fn room(&self) {
        self.shared.room.notify_one();
    }

    /// Keeps `payload` as the retained message of `topic`: sent when there is a connection, and
    /// again at every connect. The latest wins; an empty payload removes it at the broker.
    pub fn set_retained(&self, topic: impl Into<String>, payload: impl Into<Bytes>) {
        self.shared.state().retained.set(topic.into(), payload.into());
        self.shared.changed.notify_one();
    }

    /// Subscribes to this set instead of the one before.
    pub fn set_subscriptions(&self, wanted: Vec<Subscription>) {
        self.shared.state().subscriptions = Some(wanted);
        self.shared.changed.notify_one();
    }

    /// Takes no more messages in: from now on they stay at the broker, unacknowledged.
    pub fn close_intake(&self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_one();
    }

    /// Says goodbye: once all that was handed over is settled, or half of `within` has passed, the
    /// status `stopped` is published and the connection closed. The task ends within `within`.
    pub fn stop(&self, within: Duration) {
        let mut state = self.shared.state();
        state.closed = true;
        state.stop = Some(within);
        drop(state);
        self.shared.changed.notify_one();
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.state().counters
    }

    /// How the link stands now.
    #[must_use]
    pub fn state(&self) -> LinkState {
        let now = self.shared.now();
        self.shared.state().tracker.at(now.mono)
    }

    /// Received QoS 1 messages of this connection that are not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.shared.state().ledger.unacknowledged()
    }
}
