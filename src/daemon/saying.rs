//! What the desk reports about the daemon: its state and its counters.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::desk::{Desk, FromStore};
use super::report::{self, HealthParts, HealthSnapshot, QueueReport};
use super::watch;
use crate::link;
use crate::monitor::health::{Facts, Verdict};
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
        if self.store.run(answer).is_err() {
            self.publish_health(None);
        }
    }

    pub(super) fn publish_health(&mut self, usage: Option<Usage>) {
        let snapshot = self.health(usage);
        let topic = report::topic(&self.shared.config.gateway, "health");
        self.link.set_retained(topic, report::json(&snapshot));
    }

    pub(super) fn health(&mut self, usage: Option<Usage>) -> HealthSnapshot {
        self.note_syncs(usage.as_ref());
        self.watch.usage = Some(usage.clone());
        let now = self.shared.clock.now();
        HealthSnapshot::new(HealthParts {
            verdict: self.judge().clone(),
            config: &self.shared.config,
            started: self.shared.started,
            now,
            stats: &self.shared.stats,
            facts: self.watch.link(self.link.state(), &self.shared.config),
            link: self.link.counters(),
            unacknowledged: self.link.unacknowledged(),
            queue: self.queue(usage),
            updates: self.update_counts.clone(),
        })
    }

    pub(super) fn note_syncs(&mut self, usage: Option<&Usage>) {
        if let Some(usage) = usage {
            self.syncs_per_hour = self.syncs.rise(self.shared.clock.now().mono, usage.syncs);
        }
    }

    /// What waits, in memory and on disk.
    pub(super) fn queue(&self, usage: Option<Usage>) -> QueueReport {
        QueueReport {
            mode: mode_name(self.outbox.mode()),
            memory_records: self.outbox.unsafe_records(),
            lost: self.losses.clone(),
            syncs_per_hour: self.syncs_per_hour,
            disk: usage,
        }
    }

    /// What an event of the link means for the state.
    pub(super) fn note_link(&mut self, event: &link::Event) {
        let now = self.shared.clock.now();
        match event {
            link::Event::Sent { seq } => {
                let (outbox, watch) = (&self.outbox, &mut self.watch);
                let stream = outbox.flying(*seq).map(|(stream, _)| stream);
                watch.delivered(now, stream);
            }
            link::Event::Refused { seq, refusal } => {
                if let Some((stream, topic)) = self.outbox.flying(*seq) {
                    self.watch.refused(stream, topic, *refusal);
                }
            }
            link::Event::Down { fault } => {
                self.watch.down(fault);
                for stats in &self.shared.stats {
                    let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
                    stats.condition.pauses.interrupt();
                }
            }
            link::Event::Up { .. }
            | link::Event::Subscribed
            | link::Event::NotSubscribed { .. }
            | link::Event::EpochAdvanced(_) => {}
        }
    }

    /// Judges when it is due, and publishes at once what is new.
    pub(super) fn judge_if_due(&mut self) {
        if self.watch.is_due(Instant::now()) {
            let before = self.watch.verdict().state;
            if self.judge().state != before {
                self.ask_usage();
            }
        }
    }

    fn judge(&mut self) -> &Verdict {
        let now = self.shared.clock.now();
        self.watch.note_queue(now, self.outbox.has_waiting());
        let on_disk = self.watch.usage.as_ref().and_then(Option::as_ref);
        let on_disk = on_disk.map_or(0, |usage| usage.records);
        let in_memory = u64::try_from(self.outbox.unsafe_records()).unwrap_or(u64::MAX);
        let config = &self.shared.config;
        let facts = Facts {
            now,
            started: self.shared.started,
            link: self.watch.link(self.link.state(), config),
            queue: self.watch.queue(now, in_memory.saturating_add(on_disk)),
            store: self.watch.store(&config.store),
            streams: watch::streams(now, config, &self.shared.stats, &self.serving, &self.watch),
            models: self.watch.models(now, &self.serving),
        };
        self.watch.judge(&facts)
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
