//! The state of the link that outlives a connection.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::capabilities::DeniedFeatures;
use super::handle::{LinkHandle, Submitted};
use super::input_ids::InputIds;
use super::overflow::Overflow;
use super::receive_window::ReceiveWindow;
use super::shared::Shared;
use super::subscriptions::Subscriptions;
use super::topic_quarantine::TopicQuarantine;
use super::types::{ConnectionId, Event, LinkOptions};
use crate::message::Outgoing;

/// Places among the events for those that settle no publish.
pub(super) const SPARE_EVENTS: usize = 16;

/// Untracked publishes on their way to the poll loop.
const MAX_UNTRACKED: usize = 32;

/// What every connection of the link works with.
pub(super) struct Session {
    pub(super) options: LinkOptions,
    pub(super) shared: Arc<Shared>,
    pub(super) publishes: mpsc::Receiver<Submitted>,
    pub(super) untracked: mpsc::Receiver<Outgoing>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) subscriptions: Subscriptions,
    pub(super) overflow: Overflow,
    pub(super) receive_window: ReceiveWindow,
    pub(super) input_ids: InputIds,
    pub(super) connection: ConnectionId,
    pub(super) denied: DeniedFeatures,
    pub(super) quarantine: TopicQuarantine,
    /// The limitations of the broker that were logged last.
    limitations: Vec<String>,
}

/// A session, its handle, and its events.
pub(super) fn new(options: LinkOptions) -> (Session, LinkHandle, mpsc::Receiver<Event>) {
    let broker = &options.broker;
    let window = usize::from(broker.in_flight.max(1));
    // One place beyond those in flight, for a publish of the connection before that was accepted just
    // as this one began.
    let (publish, publishes) = mpsc::channel(window + 1);
    let (publish_untracked, untracked) = mpsc::channel(MAX_UNTRACKED);
    let (event, events) = mpsc::channel(window + 2 * SPARE_EVENTS);
    let shared = Arc::new(Shared::new(Arc::clone(&options.clock)));
    let handle = LinkHandle::new(Arc::clone(&shared), publish, publish_untracked);
    let session = Session {
        subscriptions: Subscriptions::new(
            options.subscriptions.clone(),
            options.previous_filters.clone(),
            (broker.backoff_min, broker.backoff_max),
        ),
        receive_window: ReceiveWindow::new(broker.receive_maximum),
        input_ids: InputIds::new(options.epoch),
        options,
        shared,
        publishes,
        untracked,
        events: event,
        overflow: Overflow::default(),
        connection: ConnectionId(0),
        denied: DeniedFeatures::default(),
        quarantine: TopicQuarantine::default(),
        limitations: Vec::new(),
    };
    (session, handle, events)
}

impl Session {
    /// Offers the held samples again.
    pub(super) fn retry_overflow(&mut self) {
        self.shared.set_overflow(true);
        self.overflow.retry(&mut *self.options.ingest);
        if self.overflow.is_empty() {
            self.shared.set_overflow(false);
        }
    }

    /// Voids publishes that were meant for an earlier connection: those that come are not accepted
    /// from now on, and those in the queue are discarded.
    pub(super) fn begin_connection(&mut self) {
        self.shared.begin_connection(self.connection);
        while self.publishes.try_recv().is_ok() {}
        while self.untracked.try_recv().is_ok() {}
    }

    /// Emits an event that has a place in the queue, or that may be dropped.
    pub(super) fn emit(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            log::debug!("an event of the link was dropped: its queue is closed");
        }
    }

    /// Logs what does not work with the broker, once for each set of limitations.
    pub(super) fn log_limitations(&mut self, limitations: &[String]) {
        if self.limitations != limitations {
            limitations.iter().for_each(|limitation| log::error!("{limitation}"));
            self.limitations = limitations.to_vec();
        }
    }
}
