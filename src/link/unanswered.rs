//! Publishes that the broker never acknowledges although it answers everything else: they fill the
//! window, and then nothing more is sent.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::state::Unanswered;

impl Connection<'_> {
    /// Looks for publishes that have waited for one keep-alive, and says so once for each time that
    /// there are some.
    pub(super) fn look_for_unanswered(&mut self, now: Instant) {
        let patience = self.task.options.broker.keep_alive;
        if self.looked_at + patience / 4 > now {
            return;
        }
        self.looked_at = now;
        let late = self.flight.flying().filter(|sent| sent.at + patience <= now);
        let (mut publishes, mut oldest) = (0, now);
        for sent in late {
            publishes += 1;
            oldest = oldest.min(sent.at);
        }
        if publishes == 0 {
            self.task.shared.state().tracker.set_unanswered(None);
            return;
        }
        let waited = now.duration_since(oldest);
        let text = advice(publishes, waited, self.flight.len(), self.window());
        let since = self.task.shared.now().back(waited);
        let unanswered = Unanswered { publishes, since, text: text.clone() };
        let is_new = self.task.shared.state().tracker.set_unanswered(Some(unanswered));
        if is_new {
            log::warn!("{text}");
        }
    }

    /// When [`Self::look_for_unanswered`] is due again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let patience = self.task.options.broker.keep_alive;
        (self.flight.len() > 0).then(|| self.looked_at + patience / 4)
    }
}

fn advice(publishes: usize, waited: Duration, under_way: usize, window: usize) -> String {
    let effect = if under_way >= window {
        "nothing more is sent until it answers"
    } else {
        "the results stay queued until it answers"
    };
    format!(
        "the broker has not acknowledged {publishes} publishes, the oldest for {}s; {effect}. Look in \
         the broker's log for quotas and full queues; results are sent again after a reconnect",
        waited.as_secs()
    )
}
