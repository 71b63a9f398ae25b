//! Collects the facts that the daemon's state is judged by, and reports a change of the state to
//! the log and to the service manager. [`crate::monitor::health`] judges.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::topics;
use crate::clock::{Mono, Now, Timestamp};
use crate::config::{Config, Store as StoreConfig, Stream, TopicPattern};
use crate::daemon::inference::stats::SharedStats;
use crate::daemon::models::active::ActiveModel;
use crate::daemon::systemd::notify;
use crate::drift::{DriftReport, DriftState};
use crate::ids::{ModelName, StreamName};
use crate::link::{Fault, FaultKind, LastFault, LinkState};
use crate::monitor::health::{
    Code, Facts, FaultCause, FaultFacts, HealthState, Judge, LinkFacts, ModelFacts, QueueFacts,
    RefusedFilter, StoreFacts, StreamFacts, UpdateFacts, Verdict, WindowFacts,
};
use crate::monitor::{Outcomes, Recent};
use crate::outbox::{Loss, Refusal};
use crate::store::{self, Usage};
use crate::update::machine::State;

/// The state is judged this often, and for every snapshot.
const JUDGE_INTERVAL: Duration = Duration::from_secs(15);

/// Whether the results of one stream are delivered.
#[derive(Debug, Default)]
struct Deliveries {
    outcomes: Outcomes,
    last_refusal: Option<(String, &'static str)>,
}

/// State and progress of an update, and when they changed last.
#[derive(Debug, PartialEq)]
struct Progress {
    state: State,
    progress: f32,
    since: Mono,
}

/// What the state of the daemon is judged by, as far as it is not counted elsewhere.
#[derive(Debug)]
pub(crate) struct HealthMonitor {
    judge: Judge,
    verdict: Verdict,
    /// The codes reported last to the log and to the service manager.
    reported: Vec<Code>,
    /// Why there is no connection.
    cause: FaultCause,
    deliveries: BTreeMap<StreamName, Deliveries>,
    lost: Recent,
    /// When a result was last acknowledged, or nothing waited.
    progressed: Mono,
    updates: BTreeMap<ModelName, Progress>,
    /// As last reported by the store; the inner `None`: the store is closed.
    pub(crate) usage: Option<Option<Usage>>,
    due: Instant,
}

impl Default for HealthMonitor {
    fn default() -> Self {
        Self {
            judge: Judge::default(),
            verdict: Verdict::default(),
            reported: Vec::new(),
            cause: FaultCause::Passing,
            deliveries: BTreeMap::new(),
            lost: Recent::default(),
            progressed: Mono(0),
            updates: BTreeMap::new(),
            usage: None,
            due: Instant::now() + JUDGE_INTERVAL,
        }
    }
}

impl HealthMonitor {
    /// The connection ended, or could not be made.
    pub(crate) fn down(&mut self, fault: &Fault) {
        self.cause = cause(fault);
    }

    pub(crate) fn delivered(&mut self, now: Now, stream: Option<&StreamName>) {
        self.progressed = now.mono;
        if let Some(stream) = stream {
            self.deliveries_of(stream).outcomes.add(now.mono, true);
        }
    }

    /// The broker refused a result; it may be tried again.
    pub(crate) fn refused(&mut self, stream: &StreamName, topic: &str, why: Refusal) {
        self.deliveries_of(stream).last_refusal = Some((topic.to_owned(), why.as_str()));
    }

    fn deliveries_of(&mut self, stream: &StreamName) -> &mut Deliveries {
        self.deliveries.entry(stream.clone()).or_default()
    }

    /// Results will never arrive.
    pub(crate) fn lost(&mut self, now: Mono, stream: &StreamName, loss: Loss, count: u64) {
        match loss {
            Loss::Refused(_) => {
                let outcomes = &mut self.deliveries_of(stream).outcomes;
                (0..count).for_each(|_| outcomes.add(now, false));
                self.progressed = now;
            }
            Loss::MemoryFull | Loss::DiskFull => self.lost.add(now, count),
        }
    }

    pub(crate) fn note_queue(&mut self, now: Now, waits: bool) {
        if !waits {
            self.progressed = now.mono;
        }
    }

    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + JUDGE_INTERVAL;
        }
        due
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub(crate) fn link(&self, state: LinkState, config: &Config) -> LinkFacts {
        let own_prefix = topics::own_prefix(&config.gateway);
        let refused_topics = state.refused_topics.into_iter();
        let refused_topics = refused_topics.filter(|(topic, _)| topic.starts_with(&own_prefix));
        let streams = |filter: &str| {
            let of = config.streams.iter();
            let of = of.filter(|stream| stream.topics().any(|topic| topic.filter() == filter));
            of.map(|stream| stream.name.to_string()).collect()
        };
        let refused_filters = state
            .refused_filters
            .into_iter()
            .map(|(filter, reason)| RefusedFilter { streams: streams(&filter), filter, reason });
        let fault = |fault: LastFault| FaultFacts {
            cause: self.cause,
            text: fault.text,
            since: state.since.wall,
        };
        LinkFacts {
            connected_since: state.connected.then_some(state.since),
            fault: state.last_fault.map(fault),
            recent_connects: state.recent_connects,
            limits: state.limits,
            refused_filters: refused_filters.collect(),
            refused_reports: refused_topics.map(|(topic, why)| (topic, why.reason)).collect(),
            unanswered: state.unanswered.map(|unanswered| (unanswered.text, unanswered.since.wall)),
        }
    }

    pub(crate) fn queue(&self, now: Now, waiting: u64) -> QueueFacts {
        let lost_recently = self.lost.total(now.mono);
        QueueFacts { waiting, stalled: now.mono.since(self.progressed), lost_recently }
    }

    pub(crate) fn store(&self, config: &StoreConfig) -> Option<StoreFacts> {
        let usage = self.usage.as_ref()?;
        Some(StoreFacts {
            dir: config.dir.display().to_string(),
            is_closed: usage.is_none(),
            quarantined: usage.as_ref().map_or(0, |usage| usage.quarantined),
            free_bytes: usage.as_ref().and_then(|usage| usage.free_bytes),
            reserve_bytes: config.reserve_bytes,
            headroom_bytes: store::HEADROOM_BYTES,
        })
    }

    pub(crate) fn models(&mut self, now: Now, models: &[ActiveModel]) -> Vec<ModelFacts> {
        models.iter().map(|model| self.model(now, model)).collect()
    }

    fn model(&mut self, now: Now, model: &ActiveModel) -> ModelFacts {
        let trouble = model.load_error.as_ref().map(|why| {
            let (version, digest) = (&model.loaded.card.version, model.digest());
            format!("{why}; {version} ({digest}) is active: install a version that works")
        });
        let update = model.update_status.as_ref().map(|status| {
            let report = &status.report;
            let (state, progress) = (report.state, report.progress);
            let new = Progress { state, progress, since: now.mono };
            let known = self.updates.entry(model.name().clone());
            let known = known.or_insert(Progress { state, progress, since: now.mono });
            if (known.state, known.progress.to_bits()) != (state, progress.to_bits()) {
                *known = new;
            }
            UpdateFacts {
                version: status.candidate_version.clone(),
                deployment: report.deployment.clone(),
                state: name_of(&state),
                reason: report.reason.as_ref().map(name_of),
                has_failed: matches!(state, State::RolledBack | State::Failed | State::Rejected),
                is_moving: matches!(state, State::Fetching | State::Verifying | State::Probing),
                since: status.since,
                unchanged: now.mono.since(known.since),
            }
        });
        ModelFacts { name: model.name().to_string(), trouble, update }
    }

    pub(crate) fn judge(&mut self, facts: &Facts) -> &Verdict {
        let before = self.verdict.state;
        self.verdict = self.judge.judge(facts);
        let codes: Vec<Code> = self.verdict.reasons.iter().map(|reason| reason.code).collect();
        if codes != self.reported {
            self.reported = codes;
            report_state(before, &self.verdict);
        }
        &self.verdict
    }
}

/// One line in the log and one for the service manager.
fn report_state(before: HealthState, verdict: &Verdict) {
    let state = verdict.state.as_str();
    let Some(first) = verdict.reasons.first() else {
        log::info!("{state} again");
        return notify::status(state);
    };
    let line = format!("{state}: {first}");
    if verdict.state > before {
        log::warn!("{line}");
    } else {
        log::info!("{line}");
    }
    notify::status(&line);
}

/// The name of a unit variant on the wire.
fn name_of(value: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

fn cause(fault: &Fault) -> FaultCause {
    match fault {
        Fault::BadPassword { .. } | Fault::NotAuthorized { .. } => FaultCause::Credentials,
        Fault::Unavailable { .. } => FaultCause::Passing,
        Fault::Garbage { .. } => FaultCause::Refused,
        other => match other.kind() {
            FaultKind::Local => FaultCause::Local,
            FaultKind::Refused => FaultCause::Refused,
            FaultKind::Network | FaultKind::Protocol | FaultKind::Lost => FaultCause::Passing,
        },
    }
}

/// The filters of a stream, for messages.
fn filters(stream: &Stream) -> String {
    stream.topics().map(TopicPattern::filter).collect::<Vec<_>>().join(", ")
}

/// The facts of every stream.
pub(crate) fn stream_facts(
    now: Now,
    config: &Config,
    stats: &[SharedStats],
    models: &[ActiveModel],
    monitor: &HealthMonitor,
) -> Vec<StreamFacts> {
    let facts = |(stream, stats): (&Stream, &SharedStats)| {
        let stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = &stats.condition;
        let model = models.iter().find(|model| *model.name() == stream.model);
        let window = model.and_then(|model| model.loaded.card.window.as_ref());
        let deliveries = monitor.deliveries.get(&stream.name);
        StreamFacts {
            name: stream.name.to_string(),
            filter: filters(stream),
            publishes: stream.publish.topic.to_string(),
            messages: stats.messages,
            last_message: condition.last_message,
            usual_pause: condition.pauses.usual(now.mono),
            inputs: condition.inputs.tally(now.mono),
            last_reject: condition.last_reject.clone(),
            runs: condition.runs.tally(now.mono),
            last_failure: condition.last_failure.clone(),
            deliveries: deliveries.map_or_else(Default::default, |d| d.outcomes.tally(now.mono)),
            last_refusal: deliveries.and_then(|deliveries| deliveries.last_refusal.clone()),
            dropped_recently: condition.dropped.total(now.mono),
            join: condition.since_joined.clone(),
            drift: stats.drift.as_ref().and_then(drift_alarm),
            window: window.map(|window| WindowFacts {
                length: u64::try_from(window.length).unwrap_or(u64::MAX),
                runs: stats.windows,
                fullest: stats.window.as_ref().map_or(0, |window| window.fullest),
                ..condition.since_run
            }),
        }
    };
    config.streams.iter().zip(stats).map(facts).collect()
}

/// The last alarm of a drift that lasts, and since when.
fn drift_alarm(report: &DriftReport) -> Option<(String, Timestamp)> {
    let lasts = report.state == DriftState::Drift;
    let alarm = report.last_alarm.as_ref().filter(|_| lasts)?;
    Some((alarm.message.clone(), report.since.unwrap_or(alarm.to)))
}
