//! What the handle and the poll loop share. Each holds the lock for a moment only.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::ledger::Ledger;
use super::retained::RetainedMessages;
use super::state::StateTracker;
use super::types::Subscription;
use crate::clock::{Clock, Now};

/// What the link counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub connections: u64,
    /// Failed attempts and ended connections, by [`super::FaultKind`].
    pub faults_local: u64,
    pub faults_network: u64,
    pub faults_refused: u64,
    pub faults_protocol: u64,
    pub faults_lost: u64,
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

pub(super) struct Shared {
    state: Mutex<SharedState>,
    clock: Arc<dyn Clock>,
    /// `state` has work for the poll loop.
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
    /// Received messages are discarded and stay with the broker.
    pub(super) is_closed: bool,
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
            is_closed: false,
            stop_within: None,
        };
        Self { state: Mutex::new(state), clock, changed: Notify::new(), room: Notify::new() }
    }

    /// Resolves once the link is told to stop.
    pub(super) async fn stop_requested(&self) {
        while self.state().stop_within.is_none() {
            self.changed.notified().await;
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
