//! Orders for the link: calls that never wait, from any thread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::shared::{Counters, Shared};
use super::state::LinkState;
use super::types::{ConnectionId, Subscription};
use crate::message::{AckToken, InputProcessed, Outgoing};
use crate::outbox::Seq;

/// Orders for the link. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LinkHandle {
    shared: Arc<Shared>,
    publishes: mpsc::Sender<Submitted>,
    untracked: mpsc::Sender<Outgoing>,
}

/// A publish on its way to the poll loop.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) connection: ConnectionId,
    pub(super) seq: Seq,
    pub(super) message: Outgoing,
}

/// A publish was not accepted: the link has stopped, or more are in flight than `broker.in_flight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAccepted;

impl LinkHandle {
    pub(super) fn new(
        shared: Arc<Shared>,
        publishes: mpsc::Sender<Submitted>,
        untracked: mpsc::Sender<Outgoing>,
    ) -> Self {
        Self { shared, publishes, untracked }
    }

    /// Hands over a message for one connection. It is settled by [`super::Event::Sent`] or
    /// [`super::Event::Refused`], or void when that connection ends or has ended. Called from one
    /// thread.
    ///
    /// # Errors
    /// The link has stopped, or the queue is full. It cannot be full while at most
    /// `broker.in_flight` publishes of a connection are not settled: nothing is accepted for an
    /// earlier connection, and its publishes are discarded when the next one begins.
    pub fn try_publish(
        &self,
        connection: ConnectionId,
        seq: Seq,
        message: Outgoing,
    ) -> Result<(), NotAccepted> {
        if !self.shared.is_current(connection) {
            return Ok(());
        }
        let submitted = Submitted { connection, seq, message };
        self.publishes.try_send(submitted).map_err(|_| NotAccepted)
    }

    /// Hands over a message that no event settles. It is discarded if there is no connection. False
    /// if the queue is full and the message was dropped.
    pub fn publish_untracked(&self, message: Outgoing) -> bool {
        self.untracked.try_send(message).is_ok()
    }

    /// A worker has processed an input. Called once for every stream that received it.
    pub fn input_processed(&self, processed: InputProcessed) {
        self.notify_if(self.shared.state().ledger.input_processed(processed));
    }

    /// One result of this input is safe: on disk here, or acknowledged by the broker.
    pub fn result_settled(&self, input: AckToken) {
        self.notify_if(self.shared.state().ledger.result_settled(input));
    }

    fn notify_if(&self, can_acknowledge: bool) {
        if can_acknowledge {
            self.shared.notify_work();
        }
    }

    /// A worker has taken a sample out of its queue. Held samples, if any, are offered again.
    pub fn queue_has_room(&self) {
        self.shared.notify_room();
    }

    /// Sets the retained message of `topic`: published when there is a connection, and again on
    /// every new one. The latest payload wins; an empty payload removes the message at the broker.
    pub fn set_retained(&self, topic: impl Into<String>, payload: impl Into<Bytes>) {
        self.shared.state().retained.set(topic.into(), payload.into());
        self.shared.notify_work();
    }

    /// Replaces the set of subscriptions.
    pub fn set_subscriptions(&self, wanted: Vec<Subscription>) {
        self.shared.state().subscriptions = Some(wanted);
        self.shared.notify_work();
    }

    /// Discards received messages from now on. They stay with the broker, unacknowledged.
    pub fn stop_receiving(&self) {
        self.shared.close();
        self.shared.notify_work();
    }

    /// Shuts the link down: once all publishes are settled, or half of `within` has passed, the
    /// status `stopped` is published and the connection closed. The task ends within `within`.
    pub fn stop(&self, within: Duration) {
        self.shared.close();
        self.shared.state().stop_within = Some(within);
        self.shared.notify_work();
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.state().counters
    }

    /// The current state of the link.
    #[must_use]
    pub fn state(&self) -> LinkState {
        let now = self.shared.now();
        self.shared.state().tracker.at(now.mono)
    }

    /// QoS 1 messages that were received on this connection and are not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.shared.state().ledger.unacknowledged()
    }
}
