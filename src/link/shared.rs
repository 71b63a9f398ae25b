//! What the handle and the poll loop share. Each holds the lock for a moment only.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;

use super::ledger::Ledger;
use super::retained::RetainedMessages;
use super::state::StateTracker;
use super::types::{ConnectionId, Subscription};
use crate::clock::{Clock, Now};

/// What the link counted since the start. Serializes to a part of `link` in the health message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub connections: u64,
    pub faults: FaultCounts,
    /// Received messages, redeliveries included.
    pub received: u64,
    /// Received messages that match no stream.
    pub unrouted: u64,
    /// Received messages with an empty topic or one that is not UTF-8.
    pub malformed: u64,
    /// Further copies of a message that another subscription delivered.
    pub copies: u64,
    /// Redeliveries of messages that were already received.
    pub recognised: u64,
    /// QoS 0 samples that were dropped because a queue was full.
    pub dropped: u64,
    /// QoS 1 samples that were held because a queue was full.
    pub held: u64,
    /// Acknowledgements written to the socket.
    pub acknowledged: u64,
    pub published: u64,
    pub refused: u64,
}

/// Failed attempts and ended connections, by [`super::FaultKind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultCounts {
    pub local: u64,
    pub network: u64,
    pub refused: u64,
    pub protocol: u64,
    pub lost: u64,
}

pub(super) struct Shared {
    state: Mutex<SharedState>,
    clock: Arc<dyn Clock>,
    /// `state` may have work for the poll loop: an order, a retained message, an acknowledgement.
    has_work: AtomicBool,
    /// Received messages are discarded and stay with the broker.
    is_closed: AtomicBool,
    /// Samples are held until a worker's queue has room.
    has_overflow: AtomicBool,
    /// The number of the current or last connection.
    connection: AtomicU64,
    /// `has_work` was set.
    pub(super) changed: Notify,
    /// A worker's queue may have room again.
    pub(super) room: Notify,
}

#[derive(Debug)]
pub(super) struct SharedState {
    pub(super) ledger: Ledger,
    pub(super) retained: RetainedMessages,
    /// A new set of subscriptions.
    pub(super) subscriptions: Option<Vec<Subscription>>,
    pub(super) counters: Counters,
    pub(super) tracker: StateTracker,
    /// The link is to stop within this time.
    pub(super) stop_within: Option<Duration>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = SharedState {
            tracker: StateTracker::new(clock.now()),
            ledger: Ledger::default(),
            retained: RetainedMessages::default(),
            subscriptions: None,
            counters: Counters::default(),
            stop_within: None,
        };
        Self {
            state: Mutex::new(state),
            clock,
            has_work: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            has_overflow: AtomicBool::new(false),
            connection: AtomicU64::new(0),
            changed: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Resolves once a stop is requested.
    pub(super) async fn stop_requested(&self) {
        while self.state().stop_within.is_none() {
            self.changed.notified().await;
        }
    }

    /// Wakes the poll loop for work that was put in the state.
    pub(super) fn notify_work(&self) {
        self.mark_work();
        self.changed.notify_one();
    }

    /// Leaves work for the next time that the poll loop looks.
    pub(super) fn mark_work(&self) {
        self.has_work.store(true, Ordering::Release);
    }

    /// True if there may be work since this was last called.
    pub(super) fn take_work(&self) -> bool {
        // Most of the time there is none: a load is cheaper than a swap.
        self.has_work.load(Ordering::Acquire) && self.has_work.swap(false, Ordering::AcqRel)
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// A new connection: publishes that are meant for earlier ones are void from now on.
    pub(super) fn begin_connection(&self, connection: ConnectionId) {
        self.connection.store(connection.0, Ordering::SeqCst);
    }

    pub(super) fn is_current(&self, connection: ConnectionId) -> bool {
        self.connection.load(Ordering::SeqCst) == connection.0
    }

    /// Records whether samples are held. Held samples must be offered again after this: a worker that
    /// took a sample before notified nobody.
    pub(super) fn set_overflow(&self, has_overflow: bool) {
        self.has_overflow.store(has_overflow, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// A worker has taken a sample out of its queue. Wakes the poll loop only if samples are held.
    pub(super) fn notify_room(&self) {
        // Pairs with the fence above: either the poll loop finds the room, or this sees the flag.
        fence(Ordering::SeqCst);
        if self.has_overflow.load(Ordering::Relaxed) {
            self.room.notify_one();
        }
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// A thread that panicked while it held this left nothing half done that matters here.
    pub(super) fn state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
