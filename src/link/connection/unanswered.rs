//! Publishes that the broker does not acknowledge although it answers everything else: they fill the
//! window, and then nothing more is sent.

use std::time::Duration;

use tokio::time::Instant;

use super::Connection;
use crate::link::state::Unanswered;

impl Connection<'_> {
    /// Looks for publishes that have waited for one keep-alive, and logs once that there are some.
    pub(super) fn check_overdue_acks(&mut self, now: Instant) {
        let patience = self.session.options.broker.keep_alive;
        if self.acks_checked + patience / 4 > now {
            return;
        }
        self.acks_checked = now;
        let overdue = self.in_flight.unacknowledged().filter(|sent| sent.at + patience <= now);
        let (mut publishes, mut oldest) = (0, now);
        for sent in overdue {
            publishes += 1;
            oldest = oldest.min(sent.at);
        }
        let shared = &self.session.shared;
        if publishes == 0 {
            shared.state().tracker.set_unanswered(None);
            return;
        }
        let waited = now.duration_since(oldest);
        let text = advice(publishes, waited, self.in_flight.len(), self.window());
        let since = shared.now().back(waited);
        let unanswered = Unanswered { publishes, since, text: text.clone() };
        let is_new = shared.state().tracker.set_unanswered(Some(unanswered));
        if is_new {
            log::warn!("{text}");
        }
    }

    /// When [`Self::check_overdue_acks`] is due again.
    pub(super) fn next_ack_check(&self) -> Option<Instant> {
        let patience = self.session.options.broker.keep_alive;
        (self.in_flight.len() > 0).then(|| self.acks_checked + patience / 4)
    }
}

fn advice(publishes: usize, waited: Duration, in_flight: usize, window: usize) -> String {
    let effect = if in_flight >= window {
        "nothing more is sent until it does"
    } else {
        "the results stay queued until it does"
    };
    format!(
        "the broker has not acknowledged {publishes} publishes, the oldest for {}s; {effect}. Look \
         in the broker's log for quotas and full queues; results are sent again after a reconnect",
        waited.as_secs()
    )
}
