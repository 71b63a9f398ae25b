//! Leaving in order: what is under way is settled, `stopped` is published and heard, DISCONNECT is
//! sent, and the broker closes the connection. Or turning back: DISCONNECT is sent behind the
//! acknowledgements, so that the broker has them all, and the link connects again.

use std::time::Duration;

use tokio::time::Instant;

use super::Fault;
use super::connection::Connection;
use super::outbound::{What, state_message};
use super::window::Change;

/// How long the broker may take to close after a DISCONNECT by which we turn back.
const TURN: Duration = Duration::from_secs(5);

/// How far the leave-taking has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goodbye {
    NotYet,
    /// Waits for what is under way, but not beyond `speak`.
    Asked {
        speak: Instant,
        leave: Instant,
    },
    /// `stopped` is published.
    Spoken {
        leave: Instant,
    },
    /// DISCONNECT is sent; the broker closes.
    Said {
        leave: Instant,
    },
    /// DISCONNECT is sent, to connect again with another window.
    Turning {
        leave: Instant,
        change: Change,
        on_the_way: usize,
    },
}

impl Goodbye {
    pub(super) fn alarm(&self) -> Option<Instant> {
        match self {
            Self::NotYet => None,
            Self::Asked { speak, .. } => Some(*speak),
            Self::Spoken { leave } | Self::Said { leave } | Self::Turning { leave, .. } => {
                Some(*leave)
            }
        }
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        match self {
            Self::NotYet => false,
            Self::Asked { leave, .. }
            | Self::Spoken { leave }
            | Self::Said { leave }
            | Self::Turning { leave, .. } => *leave <= now,
        }
    }

    /// As what the connection ends that is ended by us; `None` where that is a fault of its own.
    pub(super) fn ending(&self) -> Option<Fault> {
        match *self {
            Self::NotYet | Self::Asked { .. } | Self::Spoken { .. } => None,
            Self::Said { .. } => Some(Fault::Stopped),
            Self::Turning { change: Change::Narrow, on_the_way, .. } => {
                Some(Fault::Flooded { on_the_way })
            }
            Self::Turning { change: Change::Widen, .. } => Some(Fault::FloodOver),
        }
    }

    /// True where nothing that comes counts any more: the broker sends it again.
    pub(super) fn is_turning(&self) -> bool {
        matches!(self, Self::Turning { .. })
    }

    pub(super) fn asked(within: Duration, now: Instant) -> Self {
        Self::Asked { speak: now + within / 2, leave: now + within }
    }
}

impl Connection<'_> {
    /// Speaks the last word once nothing is under way, or it is time.
    pub(super) fn go_on_leaving(&mut self) {
        let Goodbye::Asked { speak, leave } = self.goodbye else { return };
        let is_quiet = self.flight.len() == 0 && self.task.publishes.is_empty();
        if is_quiet || speak <= Instant::now() {
            self.goodbye = Goodbye::Spoken { leave };
            let status = &self.task.options.status;
            let message = state_message(&status.topic, status.stopped.clone());
            self.send(message, What::Stopped);
        }
    }

    /// Ends the connection where another window is to be asked for.
    pub(super) fn keep_the_window(&mut self) {
        let (Goodbye::NotYet, now) = (self.goodbye, Instant::now()) else { return };
        let on_the_way = self.task.shared.state().ledger.unacknowledged();
        let Some(change) = self.task.window.on_the_way(on_the_way, now.into_std()) else { return };
        self.goodbye = Goodbye::Turning { leave: now + TURN, change, on_the_way };
        if self.client.try_disconnect().is_err() {
            log::debug!("no room for the DISCONNECT: the broker will send our last will");
        }
    }

    /// The last word was heard: closes the session's connection in order.
    pub(super) fn disconnect(&mut self) {
        if let Goodbye::Spoken { leave } = self.goodbye {
            self.goodbye = Goodbye::Said { leave };
            if self.client.try_disconnect().is_err() {
                log::debug!("no room for the DISCONNECT: the broker will send our last will");
            }
        }
    }
}
