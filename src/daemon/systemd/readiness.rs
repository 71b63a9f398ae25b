//! Decides when the service is announced as ready.
//!
//! Ready means that a sample published from now on is not lost: the broker has granted the
//! subscriptions, or it is unreachable, and then nobody can publish through it. The first of these
//! announces it: all topics are subscribed, the broker refuses a subscription, an attempt to
//! connect has failed, or [`MAX_WAIT`] is over. An unreachable broker does not delay the start.

use std::time::Duration;

use tokio::time::Instant;

use super::notify;

/// The longest wait for a broker that neither answers nor refuses.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Announces once that the service is ready.
pub(crate) struct Readiness {
    /// The text and the deadline; `None` once announced.
    pending: Option<(String, Instant)>,
}

impl Readiness {
    pub(crate) fn new(streams: usize) -> Self {
        let text = format!("ready, {streams} stream{}", if streams == 1 { "" } else { "s" });
        Self { pending: Some((text, Instant::now() + MAX_WAIT)) }
    }

    /// When it is announced at the latest; `None` once it is.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending.as_ref().map(|(_, deadline)| *deadline)
    }

    pub(crate) fn announce(&mut self) {
        if let Some((text, _)) = self.pending.take() {
            log::info!("{text}");
            notify::ready(&text);
        }
    }

    pub(crate) fn announce_if_due(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.announce();
        }
    }
}
