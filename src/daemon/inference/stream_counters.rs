//! The counters of a stream, by what a step did.

use std::time::Duration;

use crate::clock::Now;
use crate::monitor::{Minute, StreamStats};
use crate::pipeline::{Reject, RejectCount, StepReport};

/// Removes the rejects for age: retained messages may be of any age.
pub(super) fn take_outdated(outcome: &mut StepReport) -> u32 {
    let is_old =
        |it: &RejectCount| matches!(it.reject, Reject::Stale { .. } | Reject::OutOfOrder { .. });
    let old = outcome.rejects.iter().filter(|it| is_old(it)).map(|it| it.count).sum();
    outcome.rejects.retain(|it| !is_old(it));
    old
}

pub(super) fn count(stats: &mut StreamStats, outcome: &StepReport, latency: Duration) {
    stats.messages += 1;
    stats.samples += u64::from(outcome.samples);
    stats.windows += u64::from(outcome.runs);
    stats.predictions += u64::from(outcome.results);
    stats.suppressed += u64::from(outcome.suppressed);
    stats.skipped += u64::from(outcome.skipped);
    stats.gaps += u64::from(outcome.gaps);
    stats.keys_evicted += u64::from(outcome.evicted);
    stats.keys_expired += u64::from(outcome.expired);
    stats.version.runs += u64::from(outcome.runs);
    if let Some(join) = &outcome.join {
        stats.join.get_or_insert_default().add(join.values, join.unused, &join.missing);
    }
    for rejected in &outcome.rejects {
        let count = u64::from(rejected.count);
        stats.reject(rejected.reject.code(), count);
        match rejected.reject {
            Reject::RunFailed { .. } => stats.version.failed += count,
            Reject::BadOutput { .. } => stats.version.bad_outputs += count,
            _ => {}
        }
    }
    let us = Duration::from_micros;
    stats.stages.queue.record(us(outcome.us.queue));
    if outcome.runs > 0 {
        stats.latency.record(latency);
        let run = us(outcome.us.run / u64::from(outcome.runs));
        stats.run.record(run);
        stats.version.run.record(run);
        stats.stages.run.record(run);
        stats.stages.prepare.record(us(outcome.us.prepare / u64::from(outcome.runs)));
    }
}

/// The counts of one message, for the history.
pub(super) fn minute(outcome: &StepReport) -> Minute {
    let rejects = outcome.rejects.iter().map(|rejected| rejected.count);
    let rejects = rejects.fold(0, u32::saturating_add);
    Minute { messages: 1, predictions: outcome.runs, rejects }
}

/// Updates what the state of the stream is judged by.
pub(super) fn note(stats: &mut StreamStats, outcome: &StepReport, received: Now, now: Now) {
    let (mut rejected, mut failed) = (0, 0);
    for found in &outcome.rejects {
        let of = if found.reject.is_of_model() { &mut failed } else { &mut rejected };
        *of += u64::from(found.count);
    }
    stats.last_message = Some(received.wall);
    if outcome.results > 0 {
        stats.last_prediction = Some(now.wall);
    }
    let condition = &mut stats.condition;
    condition.message(received, u64::from(outcome.values()), rejected);
    if let Some(join) = &outcome.join {
        condition.joined(u64::from(join.values), u64::from(outcome.samples), &join.missing);
    }
    let since_run = &mut condition.since_run;
    since_run.samples += u64::from(outcome.samples);
    since_run.gaps += u64::from(outcome.gaps);
    since_run.clock_steps += u64::from(outcome.losses.count("clock"));
    since_run.evicted += u64::from(outcome.evicted);
    since_run.expired += u64::from(outcome.expired);
    condition.ran(now, u64::from(outcome.runs), failed);
}
