//! Rules for the connection, the results, the store and the models.

use std::fmt;
use std::time::Duration;

use super::facts::{Facts, FaultCause, FaultFacts, ModelFacts, StoreFacts, UpdateFacts};
use super::{Code, Finding, HealthState, streams};
use crate::monitor::RECENT_MINUTES;

use HealthState::{Degraded, Failed};

/// After a start, the connection may be missing for this long if no attempt has failed.
const CONNECT_GRACE: Duration = Duration::from_secs(15);
/// This many connections in ten minutes are unstable.
const CONNECTS_MANY: usize = 5;
/// The longest usual wait for an acknowledgement.
const STALLED: Duration = Duration::from_secs(60);
/// How long a failed update is a reason, unless another update follows.
const UPDATE_SHOWN: Duration = Duration::from_secs(24 * 3600);
/// An update without a change for this long has stalled.
const UPDATE_STALLED: Duration = Duration::from_secs(3600);

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(connection(facts));
    found.extend(link(facts));
    found.extend(subscriptions(facts));
    found.extend(queue(facts));
    found.extend(facts.store.iter().flat_map(store));
    for stream in &facts.streams {
        streams::findings(facts, stream, &mut found);
    }
    for model in &facts.models {
        found.extend(trouble(model));
        found.extend(model.update.as_ref().and_then(|update| of_update(facts, model, update)));
    }
    found
}

/// A span in words.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..120 => write!(f, "{seconds} s"),
            120..7200 => write!(f, "{} min", seconds / 60),
            7200..172_800 => write!(f, "{} h", seconds / 3600),
            _ => write!(f, "{} days", seconds / 86_400),
        }
    }
}

fn connection(facts: &Facts) -> Option<Finding> {
    let link = &facts.link;
    if link.connected_since.is_some() {
        return None;
    }
    let Some(FaultFacts { cause, text, since }) = &link.fault else {
        let up = facts.now.mono.since(facts.started.mono);
        return (up >= CONNECT_GRACE).then(|| {
            let message = format!("no connection to the broker {} after the start", Span(up));
            Finding::new(Code::BrokerUnreachable, Degraded, message).since(facts.started.wall)
        });
    };
    let waiting = match facts.queue.waiting {
        0 => String::new(),
        1 => "; 1 result waits".to_owned(),
        many => format!("; {many} results wait"),
    };
    let (code, state) = match cause {
        FaultCause::Credentials => (Code::CredentialsRefused, Failed),
        FaultCause::Refused => (Code::BrokerRefused, Failed),
        FaultCause::Local => (Code::BrokerSetup, Failed),
        FaultCause::Passing => (Code::BrokerUnreachable, Degraded),
    };
    let message = format!("no connection to the broker: {text}{waiting}");
    Some(Finding::new(code, state, message).since(*since))
}

/// Problems of an existing connection.
fn link(facts: &Facts) -> Vec<Finding> {
    let link = &facts.link;
    if link.connected_since.is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if link.recent_connects >= CONNECTS_MANY {
        let last =
            link.fault.as_ref().map(|fault| format!(", the last one because: {}", fault.text));
        let message = format!(
            "the connection to the broker is unstable: {} connections in ten minutes{}",
            link.recent_connects,
            last.unwrap_or_default()
        );
        found.push(Finding::new(Code::ConnectionUnstable, Degraded, message));
    }
    if let Some((text, since)) = &link.unanswered {
        found.push(Finding::new(Code::DeliveryStalled, Degraded, text.clone()).since(*since));
    }
    if !link.limits.is_empty() {
        found.push(Finding::new(Code::BrokerLimited, Degraded, link.limits.join("; ")));
    }
    if let Some((topic, reason)) = link.refused_reports.first() {
        let message = format!(
            "the broker rejects the daemon's reports on {topic:?} ({reason}), so the fleet view of \
             this gateway is outdated: allow publishing in the broker's access list"
        );
        found.push(Finding::new(Code::ReportsRefused, Degraded, message));
    }
    found
}

fn subscriptions(facts: &Facts) -> impl Iterator<Item = Finding> {
    let connected = facts.link.connected_since.is_some();
    let refused = facts.link.refused_filters.iter().filter(move |_| connected);
    refused.flat_map(|refused| {
        let message = format!(
            "the broker refuses the subscription {:?} ({}): allow it in the broker's access list",
            refused.filter, refused.reason
        );
        let new = |state| {
            let message = message.clone();
            Finding::new(Code::SubscriptionRefused, state, message)
        };
        if refused.streams.is_empty() {
            // Only updates are missing, not predictions.
            return vec![new(Degraded)];
        }
        refused.streams.iter().map(|stream| new(Failed).of_stream(stream)).collect()
    })
}

fn queue(facts: &Facts) -> impl Iterator<Item = Finding> {
    let queue = &facts.queue;
    let connected = facts.link.connected_since;
    let long = connected.is_some_and(|since| facts.now.mono.since(since.mono) >= STALLED);
    // The link reports publishes without an answer.
    let told = facts.link.unanswered.is_some();
    let stalled = (long && !told && queue.stalled >= STALLED).then(|| {
        let message = format!(
            "{} results wait although the broker is connected; it has not acknowledged any for {}: \
             see the broker's log",
            queue.waiting,
            Span(queue.stalled)
        );
        Finding::new(Code::DeliveryStalled, Degraded, message)
    });
    let lost = (queue.lost_recently > 0).then(|| {
        let message = format!(
            "{} results were lost in the last {RECENT_MINUTES} minutes because the store was full: \
             raise store.max_bytes and store.max_records, or free space on its disk",
            queue.lost_recently
        );
        Finding::new(Code::ResultsLost, Degraded, message)
    });
    stalled.into_iter().chain(lost)
}

fn store(store: &StoreFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    if store.is_closed {
        let message = "the store is closed and results are kept in memory only; it is reopened \
                       every few seconds, see the daemon's log for the cause";
        found.push(Finding::new(Code::StoreClosed, Failed, message.to_owned()));
    }
    if store.quarantined > 0 {
        let message = format!(
            "the database was damaged and quarantined in {}/quarantine; its queued results are \
             lost. A restart clears this warning",
            store.dir
        );
        found.push(Finding::new(Code::StoreQuarantined, Failed, message));
    }
    let needed = store.reserve_bytes.saturating_add(store.headroom_bytes);
    let free = store.free_bytes.filter(|free| *free < needed);
    found.extend(free.map(|free| {
        let message = format!(
            "the file system of {} has {} MB left, and store.reserve_bytes keeps {} MB of it free: \
             queued results evict older ones or are lost; free some space, or lower \
             store.reserve_bytes",
            store.dir,
            free / 1_000_000,
            store.reserve_bytes / 1_000_000
        );
        Finding::new(Code::DiskLow, Degraded, message)
    }));
    found
}

fn trouble(model: &ModelFacts) -> Option<Finding> {
    let why = model.trouble.as_ref()?;
    let message = format!("model {}: {why}", model.name);
    Some(Finding::new(Code::ModelNotActive, Failed, message).of_model(&model.name))
}

fn of_update(facts: &Facts, model: &ModelFacts, update: &UpdateFacts) -> Option<Finding> {
    let name = &model.name;
    let version = update.version.as_deref().unwrap_or("of an unknown version");
    let about = format!("model {name}: the update to {version} ({})", update.deployment);
    let age = facts.now.wall.since(update.since);
    let found = if update.has_failed && age < UPDATE_SHOWN {
        let reason = update.reason.as_deref().unwrap_or("no reason given");
        let message = format!(
            "{about} ended {}: {reason}; the version before is active (docs/updates.md explains \
             the reasons)",
            update.state
        );
        Finding::new(Code::UpdateFailed, Degraded, message)
    } else if update.is_moving && update.unchanged >= UPDATE_STALLED {
        let message = format!(
            "{about} has made no progress in state {} for {}: see the daemon's log",
            update.state,
            Span(update.unchanged)
        );
        Finding::new(Code::UpdateStalled, Degraded, message)
    } else {
        return None;
    };
    Some(found.since(update.since).of_model(name))
}
