//! One row for every reason: facts that cause it, facts just short of it, and its message.

use std::time::Duration;

use super::*;
use crate::clock::{Mono, Now};
use crate::monitor::Tally;

use HealthState::{Degraded, Failed, Healthy};

const START: i64 = 1_800_000_000_000_000;

fn at(seconds: u64) -> Now {
    let micros = i64::try_from(seconds).unwrap() * 1_000_000;
    Now { wall: Timestamp(START + micros), mono: Mono(seconds * 1_000_000) }
}

/// An hour after the start, connected all the time, one stream whose last message is a second old.
fn well() -> Facts {
    let stream = StreamFacts {
        name: "motion".into(),
        filter: "sensors/+".into(),
        publishes: "predictions/+".into(),
        messages: 3600,
        last_message: Some(at(3599)),
        usual_pause: Some(Duration::from_secs(1)),
        inputs: Tally { total: 300, bad: 0 },
        runs: Tally { total: 30, bad: 0 },
        deliveries: Tally { total: 30, bad: 0 },
        window: Some(WindowFacts { length: 25, runs: 100, ..WindowFacts::default() }),
        ..StreamFacts::default()
    };
    let store = StoreFacts {
        dir: "/state".into(),
        free_bytes: Some(1 << 30),
        reserve_bytes: 1 << 20,
        ..StoreFacts::default()
    };
    Facts {
        now: at(3600),
        started: at(0),
        link: LinkFacts { connected_since: Some(at(1)), ..LinkFacts::default() },
        queue: QueueFacts::default(),
        store: Some(store),
        streams: vec![stream],
        models: vec![ModelFacts { name: "motion".into(), ..ModelFacts::default() }],
    }
}

fn judged(facts: &Facts) -> Verdict {
    Judge::default().judge(facts)
}

/// Facts changed in one way give exactly this reason, whose message contains the words.
fn gives(change: impl FnOnce(&mut Facts), code: Code, state: HealthState, words: &[&str]) {
    let mut facts = well();
    change(&mut facts);
    let verdict = judged(&facts);
    let codes: Vec<Code> = verdict.reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(codes, [code], "{verdict:?}");
    assert_eq!((verdict.state, verdict.reasons[0].state), (state, state), "{verdict:?}");
    for word in words {
        let message = &verdict.reasons[0].message;
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

fn is_healthy(why: &str, change: impl FnOnce(&mut Facts)) {
    let mut facts = well();
    change(&mut facts);
    assert_eq!(judged(&facts), Verdict::default(), "{why}");
}

fn fault(cause: FaultCause) -> LinkFacts {
    let text = "the reason of it".to_owned();
    let fault = Some(FaultFacts { cause, text, since: at(3000).wall });
    LinkFacts { fault, ..LinkFacts::default() }
}

#[test]
fn what_works_is_healthy() {
    is_healthy("nothing is wrong", |_| ());
    is_healthy("the store was not asked yet", |facts| facts.store = None);
    is_healthy("it connects within its grace", |facts| {
        (facts.now, facts.link) = (at(14), LinkFacts::default());
        facts.streams[0].last_message = None;
    });
}

#[test]
fn a_missing_connection_is_told_by_who_can_change_it() {
    let rows = [
        (FaultCause::Credentials, Code::CredentialsRefused, Failed),
        (FaultCause::Refused, Code::BrokerRefused, Failed),
        (FaultCause::Local, Code::BrokerSetup, Failed),
        (FaultCause::Passing, Code::BrokerUnreachable, Degraded),
    ];
    for (cause, code, state) in rows {
        let change = |facts: &mut Facts| {
            (facts.link, facts.queue.waiting) = (fault(cause), 12);
        };
        gives(change, code, state, &["the reason of it", "12 results wait"]);
    }
    let verdict = judged(&Facts { link: fault(FaultCause::Passing), ..well() });
    assert_eq!(verdict.reasons[0].since, at(3000).wall, "since the connection ended");
    let nothing = |facts: &mut Facts| (facts.now, facts.link) = (at(15), LinkFacts::default());
    gives(nothing, Code::BrokerUnreachable, Degraded, &["15 s after the start"]);
}

#[test]
fn a_connection_says_what_does_not_work_on_it() {
    let often = |recent_connects| {
        move |facts: &mut Facts| {
            let connected_since = facts.link.connected_since;
            let ended = fault(FaultCause::Passing);
            facts.link = LinkFacts { connected_since, recent_connects, ..ended };
        }
    };
    gives(often(5), Code::ConnectionUnstable, Degraded, &["5 connections", "the reason of it"]);
    is_healthy("once or twice is normal", often(2));
    let mute = |facts: &mut Facts| {
        facts.link.unanswered = Some(("no PUBACK came".into(), at(9).wall));
        facts.queue.stalled = Duration::from_secs(600);
    };
    gives(mute, Code::DeliveryStalled, Degraded, &["no PUBACK came"]);
    let poor = |facts: &mut Facts| facts.link.limits = vec!["it keeps no state".into()];
    gives(poor, Code::BrokerLimited, Degraded, &["it keeps no state"]);
    let deaf = |facts: &mut Facts| {
        facts.link.refused_reports = vec![("p/gw/health".into(), "not-authorized")];
    };
    gives(deaf, Code::ReportsRefused, Degraded, &["p/gw/health", "access list"]);
}

#[test]
fn a_refused_subscription_fails_its_streams() {
    let refuse = |streams: &[&str]| {
        let refused = RefusedFilter {
            filter: "sensors/+".into(),
            reason: "not authorized".into(),
            streams: streams.iter().map(|&name| name.to_owned()).collect(),
        };
        move |facts: &mut Facts| {
            facts.link.refused_filters.push(refused);
            // The cause is named, not its consequences.
            (facts.streams[0].messages, facts.streams[0].last_message) = (0, None);
        }
    };
    let words = ["sensors/+", "not authorized", "access list"];
    gives(refuse(&["motion"]), Code::SubscriptionRefused, Failed, &words);
    let mut facts = well();
    refuse(&[])(&mut facts);
    facts.streams.clear();
    assert_eq!(judged(&facts).state, Degraded, "updates only");
}

#[test]
fn bad_outcomes_are_told_by_their_share() {
    let rows = [
        (0, 0, Healthy),
        (1, 1, Degraded),
        (2, 2, Degraded),
        (3, 3, Failed),
        (300, 300, Failed),
        (20, 19, Degraded),
        (20, 11, Degraded),
        (20, 10, Healthy),
        (3, 2, Healthy),
        (20, 1, Healthy),
    ];
    let example = Rejection {
        reason: "missing-field",
        message: "x is missing: send it".into(),
        topic: "sensors/a".into(),
        excerpt: format!("{{\"y\":\u{1b}[2J{}", "z".repeat(100)),
    };
    for (total, bad, state) in rows {
        let mut facts = well();
        facts.streams[0].inputs = Tally { total, bad };
        facts.streams[0].last_reject = Some(example.clone());
        assert_eq!(judged(&facts).state, state, "{bad} of {total} inputs");
        facts.streams[0].inputs = Tally::default();
        facts.streams[0].runs = Tally { total, bad };
        assert_eq!(judged(&facts).state, state, "{bad} of {total} runs");
    }
    let change = |facts: &mut Facts| {
        facts.streams[0].inputs = Tally { total: 20, bad: 20 };
        facts.streams[0].last_reject = Some(example.clone());
    };
    let words = ["all of the last 20", "sensors/a", "x is missing", "missing-field", "\\u{1b}[2J"];
    gives(change, Code::InputsRejected, Failed, &words);
    let change = |facts: &mut Facts| facts.streams[0].runs = Tally { total: 9, bad: 7 };
    gives(change, Code::ModelFails, Degraded, &["7 of the last 9"]);
}

#[test]
fn each_refused_prediction_is_a_reason() {
    let refuse = |total, bad, reason| {
        move |facts: &mut Facts| {
            facts.streams[0].deliveries = Tally { total, bad };
            facts.streams[0].last_refusal = Some(("predictions/a".into(), reason));
        }
    };
    let words = ["all of the last 3", "predictions/a", "not-authorized", "access list", "lost"];
    gives(refuse(3, 3, "not-authorized"), Code::PredictionsRefused, Failed, &words);
    let words =
        ["predictions/a", "closes-connection", "closes the connection on a publish", "lost"];
    gives(refuse(3, 3, "closes-connection"), Code::PredictionsRefused, Failed, &words);
    gives(refuse(20, 1, "too-large"), Code::PredictionsRefused, Degraded, &["max_packet"]);
    is_healthy("it is long ago", refuse(20, 0, "not-authorized"));
}

#[test]
fn silence_is_measured_by_what_is_usual() {
    let rows = [
        // Last message, usual pause in seconds, now.
        (3600, Some(1), 3720, Healthy),
        (3600, Some(1), 3721, Degraded),
        (3600, Some(600), 6000, Healthy),
        (3600, Some(600), 6001, Degraded),
        (3600, None, 90_000, Healthy),
    ];
    for (last, usual, now, state) in rows {
        let mut facts = Facts { now: at(now), ..well() };
        facts.streams[0].last_message = Some(at(last));
        facts.streams[0].usual_pause = usual.map(Duration::from_secs);
        let verdict = judged(&facts);
        assert_eq!(verdict.state, state, "{last} {usual:?} {now}");
        assert!(verdict.reasons.iter().all(|reason| reason.since == at(last).wall));
        facts.link.connected_since = Some(at(now - 60));
        assert_eq!(judged(&facts).state, Healthy, "nothing could come before");
    }
}

#[test]
fn a_first_message_has_five_minutes() {
    let never = |now| {
        move |facts: &mut Facts| {
            facts.now = at(now);
            (facts.streams[0].messages, facts.streams[0].last_message) = (0, None);
        }
    };
    is_healthy("not yet", never(300));
    gives(never(301), Code::NoMessages, Degraded, &["sensors/+", "since the start"]);
}

#[test]
fn windows_that_never_fill_are_told_with_their_cause() {
    let base = WindowFacts { length: 25, samples: 60, ..WindowFacts::default() };
    let rows = [
        (WindowFacts { gaps: 59, ..base }, Failed, "max_gap"),
        (WindowFacts { evicted: 59, gaps: 1, ..base }, Failed, "max_keys"),
        (WindowFacts { expired: 59, ..base }, Failed, "key_ttl"),
        (WindowFacts { clock_steps: 9, ..base }, Failed, "clocks"),
        (WindowFacts { gaps: 100, runs: 7, samples: 100, ..base }, Degraded, "last prediction"),
    ];
    for (window, state, word) in rows {
        let change = |facts: &mut Facts| facts.streams[0].window = Some(window);
        gives(change, Code::NothingPredicted, state, &[word, "25"]);
    }
    let fine = [
        ("a slow sensor fills its first window", base),
        ("a few gaps at the start", WindowFacts { gaps: 9, samples: 24, ..base }),
        ("a gap now and then", WindowFacts { gaps: 2, ..base }),
        ("it gave predictions a moment ago", WindowFacts { gaps: 9, runs: 7, samples: 99, ..base }),
    ];
    for (why, window) in fine {
        is_healthy(why, |facts| facts.streams[0].window = Some(window));
    }
}

#[test]
fn a_channel_without_values_is_told() {
    let missing = |samples: u64| [("humidity".to_owned(), samples)].into();
    let join = JoinFacts { was_made: false, values: 100, missing: missing(100) };
    let with = |join: JoinFacts| move |facts: &mut Facts| facts.streams[0].join = join;
    let words = &["100 values", "humidity", "join.hold"];
    gives(with(join.clone()), Code::NothingPredicted, Failed, words);
    let later = JoinFacts { was_made: true, ..join.clone() };
    gives(with(later), Code::NothingPredicted, Degraded, &["since the last sample"]);
    is_healthy("a moment after a sample", with(JoinFacts { values: 99, ..join.clone() }));
    is_healthy("a few are missing", with(JoinFacts { missing: missing(99), ..join }));
}

#[test]
fn results_that_are_stuck_or_lost_degrade() {
    let stalled = |facts: &mut Facts| {
        facts.queue = QueueFacts { waiting: 3, stalled: Duration::from_secs(60), lost_recently: 0 };
    };
    gives(stalled, Code::DeliveryStalled, Degraded, &["3 results wait", "60 s"]);
    is_healthy("the connection is new", |facts| {
        stalled(facts);
        facts.link.connected_since = Some(at(3590));
    });
    let lost = |facts: &mut Facts| facts.queue.lost_recently = 5;
    gives(lost, Code::ResultsLost, Degraded, &["5 results", "store.max_bytes"]);
    let dropped = |facts: &mut Facts| facts.streams[0].dropped_recently = 9;
    gives(dropped, Code::Overloaded, Degraded, &["9 messages", "workers.queue"]);
}

#[test]
fn a_store_says_what_it_lacks() {
    let closed = |facts: &mut Facts| facts.store.as_mut().unwrap().is_closed = true;
    gives(closed, Code::StoreClosed, Failed, &["memory only"]);
    let damaged = |facts: &mut Facts| facts.store.as_mut().unwrap().quarantined = 1;
    gives(damaged, Code::StoreQuarantined, Failed, &["/state/quarantine"]);
    let low = |facts: &mut Facts| {
        let store = facts.store.as_mut().unwrap();
        (store.free_bytes, store.reserve_bytes) = (Some(9_999_999), 10_000_000);
    };
    gives(low, Code::DiskLow, Degraded, &["9 MB left", "keeps 10 MB"]);
    is_healthy("just enough", |facts| {
        let store = facts.store.as_mut().unwrap();
        (store.free_bytes, store.reserve_bytes, store.headroom_bytes) = (Some(15), 10, 5);
    });
}

#[test]
fn models_and_updates_say_what_became_of_them() {
    let trouble = |facts: &mut Facts| facts.models[0].trouble = Some("1.5.0 is damaged".into());
    gives(trouble, Code::ModelNotActive, Failed, &["model motion", "1.5.0 is damaged"]);
    let update = UpdateFacts {
        version: Some("1.6.0".into()),
        deployment: "motion-1.6.0".into(),
        state: "rolled-back".into(),
        reason: Some("slow".into()),
        has_failed: true,
        is_moving: false,
        since: at(10).wall,
        unchanged: Duration::from_secs(3590),
    };
    let with = |update: UpdateFacts| move |facts: &mut Facts| facts.models[0].update = Some(update);
    let words = ["1.6.0", "rolled-back", "slow"];
    gives(with(update.clone()), Code::UpdateFailed, Degraded, &words);
    is_healthy("a day later it is known", |facts| {
        facts.models[0].update = Some(update.clone());
        facts.now = at(10 + 24 * 3600);
        facts.streams[0].last_message = Some(facts.now);
    });
    let fetching = UpdateFacts {
        has_failed: false,
        is_moving: true,
        state: "fetching".into(),
        reason: None,
        unchanged: Duration::from_secs(3600),
        ..update
    };
    gives(with(fetching.clone()), Code::UpdateStalled, Degraded, &["fetching", "60 min"]);
    is_healthy("it moves", with(UpdateFacts { unchanged: Duration::from_secs(3599), ..fetching }));
}

#[test]
fn a_reason_keeps_its_beginning_and_the_worst_comes_first() {
    let mut judge = Judge::default();
    let mut facts = well();
    facts.streams[0].dropped_recently = 1;
    let first = judge.judge(&facts);
    facts.now = at(3700);
    facts.streams[0].last_message = Some(at(3700));
    facts.store.as_mut().unwrap().is_closed = true;
    let second = judge.judge(&facts);
    assert_eq!((first.state, second.state), (Degraded, Failed));
    let codes: Vec<_> = second.reasons.iter().map(|r| (r.code, r.since)).collect();
    let wanted = [(Code::StoreClosed, at(3700).wall), (Code::Overloaded, at(3600).wall)];
    assert_eq!(codes, wanted);
    facts.streams[0].dropped_recently = 0;
    facts.store.as_mut().unwrap().is_closed = false;
    assert_eq!(judge.judge(&facts), Verdict::default());
    facts.streams[0].dropped_recently = 1;
    assert_eq!(judge.judge(&facts).reasons[0].since, at(3700).wall, "it began again");
}

#[test]
fn the_wire_has_names_and_no_empty_fields() {
    let mut facts = well();
    facts.streams[0].dropped_recently = 1;
    let json = serde_json::to_value(judged(&facts)).unwrap();
    assert_eq!(json["state"], "degraded");
    let reason = &json["reasons"][0];
    assert_eq!((&reason["code"], &reason["stream"]), (&"overloaded".into(), &"motion".into()));
    assert_eq!(reason["since"], "2027-01-15T09:00:00.000Z");
    assert!(reason.get("model").is_none());
}

#[test]
fn every_code_is_documented_under_its_name() {
    let docs = include_str!("../../../docs/control.md");
    for code in Code::ALL {
        let name = serde_json::to_value(code).unwrap();
        let row = format!("| `{}` | ", name.as_str().unwrap());
        assert!(docs.contains(&row), "docs/control.md has no row {row:?}");
    }
}
