//! Collects what the daemon's state is judged by, and tells the log and the service manager when it
//! changes. The judgement itself is [`crate::monitor::health`].

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::inference::stats::SharedStats;
use super::notify;
use super::serving::Serving;
use crate::clock::{Mono, Now};
use crate::config::{Config, Store as StoreConfig};
use crate::ids::{ModelName, StreamName};
use crate::link::{Fault, FaultKind, LastFault, LinkState};
use crate::monitor::health::{
    Code, Facts, FaultCause, FaultFacts, HealthState, Judge, LinkFacts, ModelFacts, QueueFacts,
    RefusedFilter, StoreFacts, StreamFacts, UpdateFacts, Verdict, WindowFacts,
};
use crate::monitor::{Outcomes, Recent};
use crate::outbox::{Loss, Refusal};
use crate::store::{self, Usage};
use crate::update::device::State;

/// The state is judged this often, and whenever somebody asks.
const PERIOD: Duration = Duration::from_secs(15);

/// What became of the results of one stream.
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

#[derive(Debug)]
pub(crate) struct Watch {
    judge: Judge,
    verdict: Verdict,
    /// The codes that the log and the service manager were told last.
    told: Vec<Code>,
    /// Why there is no connection.
    cause: FaultCause,
    deliveries: BTreeMap<StreamName, Deliveries>,
    lost: Recent,
    /// When a result was acknowledged last, or nothing waited.
    moved: Mono,
    updates: BTreeMap<ModelName, Progress>,
    /// As last told by the store: `None` inside where it is closed.
    pub(super) usage: Option<Option<Usage>>,
    due: Instant,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            judge: Judge::default(),
            verdict: Verdict::default(),
            told: Vec::new(),
            cause: FaultCause::Passing,
            deliveries: BTreeMap::new(),
            lost: Recent::default(),
            moved: Mono(0),
            updates: BTreeMap::new(),
            usage: None,
            due: Instant::now() + PERIOD,
        }
    }
}

impl Watch {
    /// The connection ended, or could not be made.
    pub(super) fn down(&mut self, fault: &Fault) {
        self.cause = cause(fault);
    }

    pub(super) fn delivered(&mut self, now: Now, stream: Option<&StreamName>) {
        self.moved = now.mono;
        if let Some(stream) = stream {
            self.deliveries_of(stream).outcomes.add(now.mono, true);
        }
    }

    /// The broker refused a result; it may be tried again.
    pub(super) fn refused(&mut self, stream: &StreamName, topic: &str, why: Refusal) {
        self.deliveries_of(stream).last_refusal = Some((topic.to_owned(), why.as_str()));
    }

    fn deliveries_of(&mut self, stream: &StreamName) -> &mut Deliveries {
        self.deliveries.entry(stream.clone()).or_default()
    }

    /// Results will never arrive.
    pub(super) fn lost(&mut self, now: Mono, stream: &StreamName, loss: Loss, count: u64) {
        match loss {
            Loss::Refused(_) => {
                let outcomes = &mut self.deliveries_of(stream).outcomes;
                (0..count).for_each(|_| outcomes.add(now, false));
                self.moved = now;
            }
            Loss::MemoryFull | Loss::DiskFull => self.lost.add(now, count),
        }
    }

    pub(super) fn note_queue(&mut self, now: Now, waits: bool) {
        if !waits {
            self.moved = now.mono;
        }
    }

    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due <= now;
        if due {
            self.due = now + PERIOD;
        }
        due
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub(super) fn link(&self, state: LinkState, config: &Config) -> LinkFacts {
        let mine = format!("{}/{}/", config.gateway.prefix, config.gateway.id);
        let refused_topics = state.refused_topics.into_iter();
        let refused_topics = refused_topics.filter(|(topic, _)| topic.starts_with(&mine));
        let streams = |filter: &str| {
            let of = config.streams.iter().filter(|stream| stream.topic.filter() == filter);
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

    pub(super) fn queue(&self, now: Now, waiting: u64) -> QueueFacts {
        let lost_recently = self.lost.total(now.mono);
        QueueFacts { waiting, stalled: now.mono.since(self.moved), lost_recently }
    }

    pub(super) fn store(&self, config: &StoreConfig) -> Option<StoreFacts> {
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

    pub(super) fn models(&mut self, now: Now, serving: &[Serving]) -> Vec<ModelFacts> {
        serving.iter().map(|serving| self.model(now, serving)).collect()
    }

    fn model(&mut self, now: Now, serving: &Serving) -> ModelFacts {
        let trouble = serving.trouble.as_ref().map(|why| {
            let (version, digest) = (&serving.loaded.card.version, serving.digest());
            format!("{why}; {version} ({digest}) is active: install a version that works")
        });
        let update = serving.told.as_ref().map(|told| {
            let report = &told.report;
            let (state, progress) = (report.state, report.progress);
            let new = Progress { state, progress, since: now.mono };
            let known = self.updates.entry(serving.name().clone());
            let known = known.or_insert(Progress { state, progress, since: now.mono });
            if (known.state, known.progress.to_bits()) != (state, progress.to_bits()) {
                *known = new;
            }
            UpdateFacts {
                version: told.candidate_version.clone(),
                deployment: report.deployment.clone(),
                state: name_of(&state),
                reason: report.reason.as_ref().map(name_of),
                has_failed: matches!(state, State::RolledBack | State::Failed | State::Rejected),
                is_moving: matches!(state, State::Fetching | State::Verifying | State::Probing),
                since: told.since,
                unchanged: now.mono.since(known.since),
            }
        });
        ModelFacts { name: serving.name().to_string(), trouble, update }
    }

    pub(super) fn judge(&mut self, facts: &Facts) -> &Verdict {
        let before = self.verdict.state;
        self.verdict = self.judge.judge(facts);
        let codes: Vec<Code> = self.verdict.reasons.iter().map(|reason| reason.code).collect();
        if codes != self.told {
            self.told = codes;
            tell(before, &self.verdict);
        }
        &self.verdict
    }
}

/// One line in the log and one for the service manager.
fn tell(before: HealthState, verdict: &Verdict) {
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

/// What a unit variant is called on the wire.
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

/// The facts of every stream.
pub(super) fn streams(
    now: Now,
    config: &Config,
    stats: &[SharedStats],
    serving: &[Serving],
    watch: &Watch,
) -> Vec<StreamFacts> {
    let facts = |(stream, stats): (&crate::config::Stream, &SharedStats)| {
        let stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
        let condition = &stats.condition;
        let model = serving.iter().find(|serving| *serving.name() == stream.model);
        let window = model.and_then(|serving| serving.loaded.card.window.as_ref());
        let deliveries = watch.deliveries.get(&stream.name);
        StreamFacts {
            name: stream.name.to_string(),
            filter: stream.topic.filter(),
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
