//! The orderly end of a connection.
//!
//! To stop, the link waits until its publishes are settled, publishes `stopped`, waits for the
//! acknowledgement and sends DISCONNECT; the broker then closes the connection. To reconnect with
//! another receive maximum, it sends DISCONNECT behind the acknowledgements, so that the broker has
//! them all.

use std::time::Duration;

use tokio::time::Instant;

use super::Connection;
use super::outbound::{PublishKind, retained_message};
use crate::link::Fault;
use crate::link::receive_window::WindowChange;

/// How long the broker may take to close the connection after a DISCONNECT before a reconnect.
const MAX_CLOSE_TIME: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(super) enum ShutdownPhase {
    Running,
    /// Waits for publishes in flight, until `publish_status` at the latest.
    Draining {
        publish_status: Instant,
        deadline: Instant,
    },
    /// `stopped` is published.
    StatusSent {
        deadline: Instant,
    },
    /// DISCONNECT is sent; the broker closes the connection.
    DisconnectSent {
        deadline: Instant,
    },
    /// DISCONNECT is sent, to connect again with another receive maximum.
    Reconnecting {
        deadline: Instant,
        change: WindowChange,
        unacknowledged: usize,
    },
}

impl ShutdownPhase {
    pub(super) fn draining(within: Duration, now: Instant) -> Self {
        Self::Draining { publish_status: now + within / 2, deadline: now + within }
    }

    pub(super) fn alarm(&self) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Draining { publish_status, .. } => Some(*publish_status),
            Self::StatusSent { deadline }
            | Self::DisconnectSent { deadline }
            | Self::Reconnecting { deadline, .. } => Some(*deadline),
        }
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        match self {
            Self::Running => false,
            Self::Draining { deadline, .. }
            | Self::StatusSent { deadline }
            | Self::DisconnectSent { deadline }
            | Self::Reconnecting { deadline, .. } => *deadline <= now,
        }
    }

    /// The fault of a connection that the link itself ends; `None` if its end is a fault of its own.
    pub(super) fn ending(&self) -> Option<Fault> {
        match *self {
            Self::Running | Self::Draining { .. } | Self::StatusSent { .. } => None,
            Self::DisconnectSent { .. } => Some(Fault::Stopped),
            Self::Reconnecting { change: WindowChange::Narrow, unacknowledged, .. } => {
                Some(Fault::Flooded { on_the_way: unacknowledged })
            }
            Self::Reconnecting { change: WindowChange::Widen, .. } => Some(Fault::FloodOver),
        }
    }

    /// True if received messages are ignored: the broker sends them again.
    pub(super) fn is_reconnecting(&self) -> bool {
        matches!(self, Self::Reconnecting { .. })
    }
}

impl Connection<'_> {
    /// Publishes `stopped` once nothing is in flight, or its time has come.
    pub(super) fn continue_shutdown(&mut self) {
        let ShutdownPhase::Draining { publish_status, deadline } = self.shutdown else { return };
        let is_idle = self.in_flight.len() == 0 && self.session.publishes.is_empty();
        if is_idle || publish_status <= Instant::now() {
            self.shutdown = ShutdownPhase::StatusSent { deadline };
            let status = &self.session.options.status;
            let message = retained_message(&status.topic, status.stopped.clone());
            self.publish(message, PublishKind::FinalStatus);
        }
    }

    /// Ends the connection if another receive maximum must be requested. `unacknowledged`: the received
    /// messages that are not acknowledged.
    pub(super) fn check_receive_window(&mut self, unacknowledged: usize) {
        let (ShutdownPhase::Running, now) = (self.shutdown, Instant::now()) else { return };
        let window = &mut self.session.receive_window;
        let change = window.on_received(unacknowledged, now.into_std());
        let Some(change) = change else { return };
        let deadline = now + MAX_CLOSE_TIME;
        self.shutdown = ShutdownPhase::Reconnecting { deadline, change, unacknowledged };
        self.send_disconnect();
    }

    /// The broker has acknowledged `stopped`: closes the connection.
    pub(super) fn disconnect(&mut self) {
        if let ShutdownPhase::StatusSent { deadline } = self.shutdown {
            self.shutdown = ShutdownPhase::DisconnectSent { deadline };
            self.send_disconnect();
        }
    }

    fn send_disconnect(&self) {
        if self.client.try_disconnect().is_err() {
            log::debug!("DISCONNECT was not sent, the queue is full: the broker sends the will");
        }
    }
}
