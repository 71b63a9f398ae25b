//! What the desk says of the daemon: health, and what waits.

use super::desk::{Desk, FromStore};
use super::report::{self, HealthParts, QueueReport};
use crate::outbox::Mode;
use crate::store::Usage;

impl Desk {
    pub(super) fn ask_usage(&mut self) {
        let to_self = self.to_self.clone();
        let answer = move |store: Option<&mut crate::store::Store>| {
            let usage = store.map(|store| store.usage());
            if to_self.send(FromStore::Usage(usage)).is_err() {
                log::debug!("the desk is closing");
            }
        };
        if self.store.ask(answer).is_err() {
            self.publish_health(None);
        }
    }

    pub(super) fn publish_health(&mut self, usage: Option<Usage>) {
        let payload = self.health(usage);
        self.link.set_retained(report::topic(&self.shared.config.gateway, "health"), payload);
    }

    pub(super) fn health(&mut self, usage: Option<Usage>) -> bytes::Bytes {
        self.note_syncs(usage.as_ref());
        report::health(HealthParts {
            config: &self.shared.config,
            started: self.shared.started,
            now: self.shared.clock.now(),
            stats: &self.shared.stats,
            connected: self.epoch.is_some(),
            link: self.link.counters(),
            unacknowledged: self.link.unacknowledged(),
            queue: self.queue(usage),
            updates: &self.update_counts,
        })
    }

    pub(super) fn note_syncs(&mut self, usage: Option<&Usage>) {
        if let Some(usage) = usage {
            self.syncs_per_hour = self.syncs.rise(self.shared.clock.now().mono, usage.syncs);
        }
    }

    /// What waits, in memory and on disk.
    pub(super) fn queue(&self, usage: Option<Usage>) -> QueueReport<'_> {
        QueueReport {
            mode: mode_name(self.outbox.mode()),
            memory_records: self.outbox.unsafe_records(),
            lost: &self.losses,
            syncs_per_hour: self.syncs_per_hour,
            disk: usage,
        }
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Offline => "offline",
        Mode::Backlog => "backlog",
        Mode::Live => "live",
        Mode::Stopping => "stopping",
    }
}
