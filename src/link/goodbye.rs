//! Leaving in order: what is under way is settled, `stopped` is published and heard, DISCONNECT is
//! sent, and the broker closes the connection.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::outbound::{What, state_message};

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
}

impl Goodbye {
    pub(super) fn alarm(&self) -> Option<Instant> {
        match self {
            Self::NotYet => None,
            Self::Asked { speak, .. } => Some(*speak),
            Self::Spoken { leave } | Self::Said { leave } => Some(*leave),
        }
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        match self {
            Self::NotYet => false,
            Self::Asked { leave, .. } | Self::Spoken { leave } | Self::Said { leave } => {
                *leave <= now
            }
        }
    }

    pub(super) fn is_said(&self) -> bool {
        matches!(self, Self::Said { .. })
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
