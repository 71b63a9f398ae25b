//! Judges the daemon's state and makes its health snapshots.

use std::sync::{Arc, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::health_monitor::{HealthMonitor, stream_facts};
use super::lost_results::LostResults;
use super::messages::json;
use super::snapshot::{HealthSnapshot, LinkReport, QueueReport, SnapshotParts};
use super::sync_rate::SyncRate;
use super::topics;
use crate::daemon::context::DaemonContext;
use crate::daemon::models::registry::ModelRegistry;
use crate::ids::StreamName;
use crate::link::{self, LinkHandle};
use crate::monitor::health::{Facts, Verdict};
use crate::outbox::{Loss, Mode, Outbox};
use crate::store::Usage;

/// The latest health snapshot; `None` before the first.
pub(crate) type LatestHealth = watch::Receiver<Option<Arc<HealthSnapshot>>>;

/// Makes health snapshots on behalf of the delivery loop, and publishes them.
pub(crate) struct HealthReporter {
    context: Arc<DaemonContext>,
    models: ModelRegistry,
    link: LinkHandle,
    monitor: HealthMonitor,
    lost: LostResults,
    sync_rate: SyncRate,
    latest: watch::Sender<Option<Arc<HealthSnapshot>>>,
    report_due: Instant,
}

impl HealthReporter {
    pub(crate) fn new(
        context: Arc<DaemonContext>,
        models: ModelRegistry,
        link: LinkHandle,
    ) -> (Self, LatestHealth) {
        let (latest, snapshots) = watch::channel(None);
        let reporter = Self {
            context,
            models,
            link,
            monitor: HealthMonitor::default(),
            lost: LostResults::default(),
            sync_rate: SyncRate::default(),
            latest,
            report_due: Instant::now(),
        };
        (reporter, snapshots)
    }

    /// When [`Self::is_report_due`] is to be asked again.
    pub(crate) fn due(&self) -> Instant {
        self.report_due.min(self.monitor.due())
    }

    /// Whether a report is to be published now: at every `report.health_interval`, and when the
    /// state has changed.
    pub(crate) fn is_report_due(&mut self, outbox: &Outbox) -> bool {
        let now = Instant::now();
        let mut due = now >= self.report_due;
        if due {
            self.report_due = now + self.context.config.report.health_interval;
        }
        if self.monitor.is_due(now) {
            let before = self.monitor.verdict().state;
            due |= self.judge(outbox).state != before;
        }
        due
    }

    /// Makes a snapshot and hands it to those who watch. `usage`: the store's, `None` while it is
    /// closed.
    pub(crate) fn snapshot(
        &mut self,
        usage: Option<Usage>,
        outbox: &Outbox,
    ) -> Arc<HealthSnapshot> {
        let now = self.context.clock.now();
        if let Some(usage) = &usage {
            self.sync_rate.update(now.mono, usage.syncs);
        }
        self.monitor.usage = Some(usage.clone());
        let verdict = self.judge(outbox).clone();
        let facts = self.monitor.link(self.link.state(), &self.context.config);
        let parts = SnapshotParts {
            now,
            verdict,
            link: LinkReport::new(&facts, self.link.counters(), self.link.unacknowledged()),
            queue: QueueReport {
                mode: mode_name(outbox.mode()),
                memory_records: outbox.volatile_records(),
                lost: self.lost.clone(),
                syncs_per_hour: self.sync_rate.per_hour(),
                disk: usage,
            },
            updates: self.models.update_counters(),
        };
        let snapshot = Arc::new(HealthSnapshot::new(&self.context, parts));
        self.latest.send_replace(Some(snapshot.clone()));
        snapshot
    }

    /// Publishes a snapshot as the retained health message.
    pub(crate) fn publish(&self, snapshot: &HealthSnapshot) {
        self.link.set_retained(topics::health(&self.context.config.gateway), json(snapshot));
    }

    /// Records results that will never be delivered.
    pub(crate) fn on_lost(&mut self, stream: &StreamName, loss: Loss, count: u64) {
        self.monitor.lost(self.context.clock.now().mono, stream, loss, count);
        self.lost.add(stream, loss.as_str(), count);
    }

    /// Records results that an operator removed from the queue.
    pub(crate) fn on_purged(&mut self, stream: &StreamName, count: u64) {
        self.lost.add(stream, "purged", count);
    }

    /// Records what an event of the link means for the state. To be called before the outbox
    /// handles the event.
    pub(crate) fn on_link_event(&mut self, event: &link::Event, outbox: &Outbox) {
        let now = self.context.clock.now();
        match event {
            link::Event::Sent { seq } => {
                self.monitor.delivered(now, outbox.in_flight(*seq).map(|(stream, _)| stream));
            }
            link::Event::Refused { seq, refusal } => {
                if let Some((stream, topic)) = outbox.in_flight(*seq) {
                    self.monitor.refused(stream, topic, *refusal);
                }
            }
            link::Event::Down { fault } => {
                self.monitor.down(fault);
                for stats in &self.context.stats {
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

    fn judge(&mut self, outbox: &Outbox) -> &Verdict {
        let now = self.context.clock.now();
        self.monitor.note_queue(now, outbox.has_waiting());
        let on_disk = self.monitor.usage.as_ref().and_then(Option::as_ref);
        let on_disk = on_disk.map_or(0, |usage| usage.records);
        let in_memory = u64::try_from(outbox.volatile_records()).unwrap_or(u64::MAX);
        let config = &self.context.config;
        let models = self.models.active();
        let facts = Facts {
            now,
            started: self.context.started,
            link: self.monitor.link(self.link.state(), config),
            queue: self.monitor.queue(now, in_memory.saturating_add(on_disk)),
            store: self.monitor.store(&config.store),
            streams: stream_facts(now, config, &self.context.stats, &models, &self.monitor),
            models: self.monitor.models(now, &models),
        };
        self.monitor.judge(&facts)
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
