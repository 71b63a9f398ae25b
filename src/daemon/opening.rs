//! When the service manager is told that the service is up.
//!
//! Ready means that a sample published from now on is not lost: the broker has granted the
//! subscriptions, or it is away, and then nobody can publish through it. So the first of these says
//! it: all is subscribed, the broker refuses a subscription, an attempt to connect has failed, or
//! [`PATIENCE`] is over. A broker that is away never keeps a gateway from starting.

use std::time::Duration;

use tokio::time::Instant;

use super::notify;

/// The longest that readiness waits for a broker which neither answers nor refuses.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be said once.
pub(crate) struct Opening {
    unsaid: Option<(String, Instant)>,
}

impl Opening {
    pub(crate) fn new(streams: usize) -> Self {
        let text = format!("ready, {streams} stream{}", if streams == 1 { "" } else { "s" });
        Self { unsaid: Some((text, Instant::now() + PATIENCE)) }
    }

    /// When it is said at the latest, if it is not said yet.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.unsaid.as_ref().map(|(_, due)| *due)
    }

    pub(crate) fn say(&mut self) {
        if let Some((text, _)) = self.unsaid.take() {
            log::info!("{text}");
            notify::ready(&text);
        }
    }

    pub(crate) fn say_if_due(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.say();
        }
    }
}
