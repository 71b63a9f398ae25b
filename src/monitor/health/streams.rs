//! Rules for streams.

use std::time::Duration;

use super::facts::{Facts, JoinFacts, Rejection, StreamFacts, WindowFacts};
use super::rules::Span;
use super::{Code, Finding, HealthState};
use crate::monitor::{RECENT_MINUTES, Tally};

use HealthState::{Degraded, Failed};

/// A stream without a message this long after connecting is a reason.
const FIRST_MESSAGE: Duration = Duration::from_secs(5 * 60);
/// A stream is silent if it pauses this many times longer than usual ...
const SILENT_FACTOR: u32 = 4;
/// ... and for at least this long.
const SILENT_LEAST: Duration = Duration::from_secs(2 * 60);
/// If all were bad, at least this many make the stream failed.
const ALL_BAD_LEAST: u64 = 3;
/// If most were bad, at least this many must be known.
const MOST_BAD_LEAST: u64 = 4;
/// This many windows reset since the last run are a reason.
const DISCARDED_LEAST: u64 = 3;
/// A stream with earlier predictions may receive the samples of this many windows without another.
const WINDOWS_WITHOUT_RUN: u64 = 4;
/// So many values without a joined sample are a reason.
const VALUES_WITHOUT_SAMPLE: u64 = 100;
/// The number of characters of a payload that a reason quotes.
const EXCERPT: usize = 60;

pub(super) fn findings(facts: &Facts, stream: &StreamFacts, found: &mut Vec<Finding>) {
    let findings = [
        silence(facts, stream),
        inputs(stream),
        runs(stream),
        stream.window.as_ref().and_then(windows),
        joins(&stream.join),
        deliveries(stream),
        drift(stream),
        overload(stream),
    ];
    found.extend(findings.into_iter().flatten().map(|finding| finding.of_stream(&stream.name)));
}

/// Evaluated only while messages could arrive.
fn silence(facts: &Facts, stream: &StreamFacts) -> Option<Finding> {
    let connected = facts.link.connected_since?;
    let refused = &facts.link.refused_filters;
    if refused.iter().any(|refused| refused.streams.contains(&stream.name)) {
        return None;
    }
    let Some(last) = stream.last_message else {
        let waited = facts.now.mono.since(connected.mono);
        return (stream.messages == 0 && waited >= FIRST_MESSAGE).then(|| {
            let message = format!(
                "no message on {:?} since the start: do the devices publish on such topics, \
                 and may this client read them (the broker's access list)?",
                stream.filter
            );
            Finding::new(Code::NoMessages, Degraded, message).since(facts.started.wall)
        });
    };
    let silent = facts.now.mono.since(last.mono.max(connected.mono));
    let usual = stream.usual_pause?;
    (silent > (usual * SILENT_FACTOR).max(SILENT_LEAST)).then(|| {
        let message = format!(
            "no message on {:?} for {}, it usually pauses for less than {}: do the devices run, \
             and are they connected?",
            stream.filter,
            Span(silent),
            Span(usual.max(Duration::from_secs(1)))
        );
        Finding::new(Code::StreamSilent, Degraded, message).since(last.wall)
    })
}

/// The severity of this many failures.
fn severity(Tally { total, bad }: Tally) -> Option<HealthState> {
    match () {
        () if bad == 0 => None,
        () if bad == total => Some(if total >= ALL_BAD_LEAST { Failed } else { Degraded }),
        () if bad > total / 2 && total >= MOST_BAD_LEAST => Some(Degraded),
        () => None,
    }
}

/// "all of the last 20", "12 of the last 20"
fn share(Tally { total, bad }: Tally) -> String {
    if bad < total {
        format!("{bad} of the last {total}")
    } else {
        format!("all of the last {bad}")
    }
}

/// Replaces characters that could move the cursor of a terminal or reverse its text.
fn printable(c: char) -> String {
    if matches!(c, '"' | '\'' | '\\') { c.to_string() } else { c.escape_debug().collect() }
}

fn example(of: Option<&Rejection>) -> String {
    let Some(Rejection { reason, message, topic, excerpt }) = of else { return String::new() };
    let mut shown: String = excerpt.chars().take(EXCERPT).map(printable).collect();
    if excerpt.chars().nth(EXCERPT).is_some() {
        shown.push_str("...");
    }
    let message: String = message.chars().map(printable).collect();
    format!(". The last one, on {topic:?}: {message} ({reason}); its payload starts with `{shown}`")
}

fn inputs(stream: &StreamFacts) -> Option<Finding> {
    let state = severity(stream.inputs)?;
    let message = format!(
        "{} messages were rejected{}",
        share(stream.inputs),
        example(stream.last_reject.as_ref())
    );
    Some(Finding::new(Code::InputsRejected, state, message))
}

fn runs(stream: &StreamFacts) -> Option<Finding> {
    let state = severity(stream.runs)?;
    let message = format!(
        "{} runs of the model failed{}",
        share(stream.runs),
        example(stream.last_failure.as_ref())
    );
    Some(Finding::new(Code::ModelFails, state, message))
}

/// Samples arrive, but windows are reset before they are full.
fn windows(window: &WindowFacts) -> Option<Finding> {
    let WindowFacts { length, fullest, runs, samples, gaps, clock_steps, evicted, expired } =
        *window;
    let enough = if runs == 0 { length } else { length.saturating_mul(WINDOWS_WITHOUT_RUN) };
    let causes = [
        (gaps, "pauses between samples are longer than `window.max_gap` of the model's card"),
        (clock_steps, "the timestamps of the devices go back: check the devices' clocks"),
        (evicted, "there are more devices than `max_keys` of the stream: raise it"),
        (expired, "devices pause for longer than `key_ttl` of the stream: raise it"),
    ];
    let discarded =
        gaps.saturating_add(clock_steps).saturating_add(evicted).saturating_add(expired);
    if discarded < DISCARDED_LEAST || samples < enough {
        return None;
    }
    let (_, cause) = causes.into_iter().max_by_key(|(count, _)| *count)?;
    let when = if runs == 0 { "since the start" } else { "since the last prediction" };
    let message = format!(
        "{samples} samples and no full window of {length} {when} (the fullest had {fullest}): \
         windows were restarted {discarded} times, because {cause}"
    );
    let state = if runs == 0 { Failed } else { Degraded };
    Some(Finding::new(Code::NothingPredicted, state, message))
}

/// Values arrive, and each sample that they could give lacks a channel.
fn joins(join: &JoinFacts) -> Option<Finding> {
    let (channel, missing) = join.missing.iter().max_by_key(|(_, samples)| **samples)?;
    if join.values < VALUES_WITHOUT_SAMPLE || *missing < VALUES_WITHOUT_SAMPLE {
        return None;
    }
    let values = join.values;
    let (state, when) = match join.was_made {
        true => (Degraded, "since the last sample"),
        false => (Failed, "since the start"),
    };
    let message = format!(
        "{values} values and no joined sample {when}: channel {channel:?} has no value, or an \
         older one than `payload.join.hold`: does it arrive, and under this name?"
    );
    Some(Finding::new(Code::NothingPredicted, state, message))
}

/// Each refused result is lost, so a single one is a reason.
fn deliveries(stream: &StreamFacts) -> Option<Finding> {
    let tally = stream.deliveries;
    let (topic, reason) = stream.last_refusal.as_ref().filter(|_| tally.bad > 0)?;
    let advice = match *reason {
        "not-authorized" => "allow publishing there in the broker's access list",
        "too-large" => "raise the broker's maximum packet size and broker.max_packet",
        "topic-invalid" => "correct publish.topic of the stream",
        "closes-connection" => {
            "the broker closes the connection on a publish there: allow publishing there in the \
             broker's access list or policy"
        }
        "quota-exceeded" => "raise the broker's quota for this client",
        _ => "see the broker's log",
    };
    let state = severity(tally).unwrap_or(Degraded);
    let message = format!(
        "the broker rejected {} predictions, which are lost (the last one on {topic:?}: {reason}): \
         {advice}",
        share(tally)
    );
    Some(Finding::new(Code::PredictionsRefused, state, message))
}

fn drift(stream: &StreamFacts) -> Option<Finding> {
    let (message, since) = stream.drift.clone()?;
    let message = format!("drift: {message} (docs/monitoring.md)");
    Some(Finding::new(Code::Drift, Degraded, message).since(since))
}

fn overload(stream: &StreamFacts) -> Option<Finding> {
    let dropped = stream.dropped_recently;
    (dropped > 0).then(|| {
        let message = format!(
            "{dropped} messages of QoS 0 were dropped in the last {RECENT_MINUTES} minutes because \
             the workers do not keep up: raise workers.queue, send fewer, or use qos = 1"
        );
        Finding::new(Code::Overloaded, Degraded, message)
    })
}
