//! The whole pipeline against fake models: one message in, messages and an outcome out.

mod cases;
mod compatibility;
mod devices;
mod features;
pub(crate) mod fixture;
mod holes;
mod keys;
mod losses;
mod recipes;
mod replies;
mod save;
mod shadow;
mod tensors;

use std::time::Duration;

use fixture::{Harness, SECOND, classifier, echo, failing, labelled, prediction, stream, windowed};

use super::*;
use crate::bundle::card::{AnomalyScore, OutputKind};
use crate::clock::Timestamp;
use crate::config::{Encoding, Format, Guarantee, When};
use crate::message::Qos;
use crate::tensor::Dtype;

#[test]
fn a_message_of_the_contract_comes_out() {
    let mut bench = Harness::new(stream(), labelled(2), classifier(2, &[0.07, 0.93]));
    let (first, out) = bench.step("sensors/watch-7/imu", r#"{"a":1,"b":2}"#);
    assert_eq!((first.samples, first.runs, out.len()), (1, 0, 0));
    bench.clock.pass(Duration::from_millis(11));
    let (outcome, out) = bench.step("sensors/watch-7/imu", r#"{"a":3,"b":4}"#);
    assert_eq!((outcome.samples, outcome.runs, outcome.results), (1, 1, 1));
    let message = &out[0].message;
    assert_eq!(message.topic, "predictions/motion/watch-7");
    assert_eq!((message.qos, message.retain), (Qos::AtLeastOnce, false));
    assert_eq!(message.content_type, "application/json");
    let properties: Vec<_> = message.properties.iter().map(|(k, v)| (&**k, v.as_str())).collect();
    assert_eq!(properties, [("model", "motion"), ("version", "1.4.0")]);
    assert_eq!(
        std::str::from_utf8(&message.payload).unwrap(),
        r#"{"v":1,"id":"gw-17-3f2a-0","gateway":"gw-17","stream":"motion","device":"watch-7","#
            .to_owned()
            + r#""time":"2026-11-22T10:00:00.011Z","received":"2026-11-22T10:00:00.011Z","#
            + r#""model":"motion","version":"1.4.0","kind":"classification","label":"running","#
            + r#""score":0.93,"scores":{"running":0.93,"walking":0.07},"#
            + r#""us":{"queue":0,"prepare":0,"run":0},"replayed":false}"#
    );
}

#[test]
fn windows_overlap_by_the_hop_and_are_kept_per_device() {
    let mut bench = Harness::new(stream(), windowed(3, 1), echo(&[3, 2]));
    let mut windows = Vec::new();
    for n in 0..4 {
        for device in ["x", "y"] {
            let sign = if device == "x" { 1 } else { -1 };
            let payload = format!(r#"{{"a":{},"b":{}}}"#, sign * n, sign * n * 10);
            let (_, out) = bench.step(&format!("sensors/{device}/imu"), &payload);
            windows.extend(
                out.iter().map(|f| prediction(&f.message.payload)["tensor"]["data"].clone()),
            );
        }
    }
    let expected = [
        [0.0, 0.0, 1.0, 10.0, 2.0, 20.0],
        [0.0, 0.0, -1.0, -10.0, -2.0, -20.0],
        [1.0, 10.0, 2.0, 20.0, 3.0, 30.0],
        [-1.0, -10.0, -2.0, -20.0, -3.0, -30.0],
    ];
    assert_eq!(serde_json::json!(windows), serde_json::json!(expected));
}

#[test]
fn one_message_may_complete_several_windows() {
    let mut bench = Harness::new(stream(), windowed(2, 1), echo(&[2, 2]));
    let (outcome, out) = bench.step("sensors/x/imu", "[[1,1],[2,2],[3,3],[4,4]]");
    assert_eq!((outcome.samples, outcome.runs, outcome.results, out.len()), (4, 3, 3, 3));
    let ids: Vec<_> = out.iter().map(|f| prediction(&f.message.payload)["id"].clone()).collect();
    assert_eq!(
        serde_json::json!(ids),
        serde_json::json!(["gw-17-3f2a-0", "gw-17-3f2a-1", "gw-17-3f2a-2"])
    );
}

#[test]
fn an_at_least_once_whole_input_waits_for_its_results_and_nothing_else_does() {
    let mut config = stream();
    config.guarantee = Guarantee::AtLeastOnce;
    config.payload.format = Format::Raw(Dtype::I8);
    config.payload.fields.clear();
    let token = |bench: &mut Harness, payload: &[u8]| {
        let incoming = bench.incoming("sensors/x/imu", payload);
        let mut out = Vec::new();
        let outcome = bench.pipeline.step(&incoming, &bench.clock, &mut out);
        (
            outcome.taken(&incoming).map(|t| t.results),
            out.first().and_then(|f| f.input),
            incoming.token,
        )
    };
    let mut whole = Harness::new(config.clone(), fixture::whole(OutputKind::Raw), echo(&[4]));
    let (results, waits, sent) = token(&mut whole, &[1, 2, 3, 4]);
    assert_eq!((results, waits), (Some(1), sent));
    let (results, waits, _) = token(&mut whole, &[1, 2, 3]);
    assert_eq!((results, waits), (Some(0), None), "a poison message must not come again");

    let mut window = Harness::new(config.clone(), windowed(1, 1), echo(&[1, 2]));
    assert_eq!(token(&mut window, &[1, 2]).0, Some(0));
    config.guarantee = Guarantee::BestEffort;
    let mut effort = Harness::new(config, fixture::whole(OutputKind::Raw), echo(&[4]));
    let (results, waits, _) = token(&mut effort, &[1, 2, 3, 4]);
    assert_eq!((results, waits), (Some(0), None));
}

#[test]
fn a_bad_input_is_rejected_by_reason_and_the_next_one_is_taken() {
    let mut config = stream();
    config.payload.time = Some("t".into());
    config.max_age = Some(Duration::from_secs(10));
    config.max_payload = 1000;
    let mut bench = Harness::new(config, windowed(10, 10), echo(&[10, 2]));
    let at = |seconds: i64| format!(r#"{{"a":1,"b":2,"t":{}}}"#, SECOND.0 / 1_000_000 + seconds);
    let table: Vec<(&str, String, &str)> = vec![
        ("sensors//imu", at(0), "topic"),
        ("sensors/x/imu", "{\"a\":1".to_owned(), "syntax"),
        ("sensors/x/imu", " ".repeat(1001), "too-large"),
        ("sensors/x/imu", at(-11), "stale"),
        ("sensors/x/imu", r#"{"a":1,"b":2,"t":"2099-01-01T00:00:00Z"}"#.to_owned(), "future"),
        ("sensors/x/imu", at(-3), ""),
        ("sensors/x/imu", at(-4), "out-of-order"),
        ("sensors/x/imu", at(-3), ""),
        ("sensors/x/imu", r#"{"a":1,"b":2,"more":[{}],"t":1795341599}"#.to_owned(), ""),
    ];
    for (topic, payload, code) in table {
        let (outcome, out) = bench.step(topic, &payload);
        let codes: Vec<_> = outcome.rejects.iter().map(|r| r.reject.code()).collect();
        let expected: &[&str] = if code.is_empty() { &[] } else { &[code] };
        assert_eq!(codes, expected, "{payload}");
        assert_eq!(outcome.samples, u32::from(code.is_empty()));
        assert!(out.is_empty());
    }
}

/// A board without a clock of its own starts in 1970, until it has the time.
#[test]
fn a_clock_that_is_not_set_knows_no_future_and_the_order_goes_on_when_it_is_set() {
    let mut config = stream();
    config.payload.time = Some("t".into());
    config.max_age = Some(Duration::from_secs(10));
    let mut bench = Harness::new(config, windowed(10, 10), echo(&[10, 2]));
    let mut rejects = |clock: Timestamp, seconds: i64| {
        bench.clock.set(clock);
        let time = SECOND.0 / 1_000_000 + seconds;
        let (outcome, _) = bench.step("sensors/x/imu", &format!(r#"{{"a":1,"b":2,"t":{time}}}"#));
        outcome.rejects.iter().map(|reject| reject.reject.code()).collect::<Vec<_>>()
    };
    let unset = Timestamp(60_000_000);
    assert!(rejects(unset, 0).is_empty());
    assert!(rejects(unset, 3600).is_empty());
    assert_eq!(rejects(SECOND, 7200), ["future"]);
    assert_eq!(rejects(SECOND, 0), ["out-of-order"]);
    assert!(rejects(SECOND.plus(Duration::from_secs(3601)), 3601).is_empty());
    assert_eq!(rejects(SECOND.plus(Duration::from_secs(3621)), 3602), ["stale"]);
}

#[test]
fn a_refused_sample_leaves_the_others_of_its_message_alone() {
    let mut config = stream();
    config.payload.time = Some("t".into());
    let mut bench = Harness::new(config, windowed(10, 10), echo(&[10, 2]));
    let s = SECOND.0 / 1_000_000;
    let payload = format!("[[{s},1,1],[{},2,2],[{},3,3],[{},4,4]]", s - 1, s - 2, s + 1);
    let (outcome, _) = bench.step("sensors/x/imu", &payload);
    assert_eq!(outcome.samples, 2);
    assert_eq!(outcome.rejects.len(), 1);
    assert_eq!((outcome.rejects[0].reject.code(), outcome.rejects[0].count), ("out-of-order", 2));
}

#[test]
fn a_gap_starts_the_window_anew() {
    let mut card = windowed(3, 3);
    card.window.as_mut().unwrap().max_gap = Some(Duration::from_secs(1));
    let mut bench = Harness::new(stream(), card, echo(&[3, 2]));
    let mut step = |pause: u64| {
        bench.clock.pass(Duration::from_millis(pause));
        let (outcome, _) = bench.step("sensors/x/imu", "[1,2]");
        (outcome.gaps, outcome.runs)
    };
    assert_eq!([step(0), step(500), step(1500)], [(0, 0), (0, 0), (1, 0)]);
    assert_eq!([step(1000), step(1000)], [(0, 0), (0, 1)]);
    assert_eq!(step(5000), (0, 0), "nothing was lost between two whole windows");
}

#[test]
fn a_model_that_fails_is_counted_and_the_daemon_goes_on() {
    let mut bench = Harness::new(stream(), labelled(1), failing(1));
    let (outcome, out) = bench.step("sensors/x/imu", "[1,2]");
    assert_eq!(outcome.rejects[0].reject.code(), "run-failed");
    assert_eq!((outcome.samples, outcome.runs, out.len()), (1, 0, 0));
    let mut bench = Harness::new(stream(), labelled(1), classifier(1, &[f32::NAN, 1.0]));
    let (outcome, out) = bench.step("sensors/x/imu", "[1,2]");
    assert_eq!(
        outcome.rejects[0].reject.to_string(),
        "output y of the model is not finite: check the model and its card"
    );
    assert!(out.is_empty());
}

#[test]
fn publish_rules_hold_back_per_device() {
    let mut config = stream();
    config.publish.when = When::Change;
    let mut bench = Harness::new(config, labelled(1), classifier(1, &[0.1, 0.9]));
    let mut sent = |device: &str| {
        let (outcome, _) = bench.step(&format!("sensors/{device}/imu"), "[1,2]");
        (outcome.results, outcome.suppressed)
    };
    assert_eq!([sent("x"), sent("x"), sent("y"), sent("x")], [(1, 0), (0, 1), (1, 0), (0, 1)]);
}

#[test]
fn whole_inputs_keep_state_only_where_the_rules_remember() {
    let mut config = stream();
    config.payload.fields.clear();
    let mut bench = Harness::new(config.clone(), fixture::whole(OutputKind::Raw), echo(&[4]));
    bench.step("sensors/x/imu", "[1,2,3,4]");
    assert_eq!(bench.pipeline.devices(), 0);
    config.publish.when = When::Change;
    let mut bench = Harness::new(config, fixture::whole(OutputKind::Raw), echo(&[4]));
    let mut sent = |payload: &str| bench.step("sensors/x/imu", payload).0.results;
    assert_eq!([sent("[1,2,3,4]"), sent("[1,2,3,4]"), sent("[1,2,3,5]")], [1, 0, 1]);
    assert_eq!(bench.pipeline.devices(), 1);
}

#[test]
fn a_reconstruction_is_compared_with_the_normalised_input() {
    let kind = OutputKind::Anomaly { score: AnomalyScore::ReconstructionMse, threshold: 0.5 };
    let mut config = stream();
    config.payload.fields.clear();
    let mut card = fixture::whole(kind);
    card.inputs[0].normalize =
        crate::bundle::card::Normalize::ScaleOffset { scale: vec![2.0], offset: vec![1.0] };
    let mut bench = Harness::new(config, card, fixture::constant(&[4], &[3.0, 5.0, 7.0, 11.0]));
    let (_, out) = bench.step("sensors/x/imu", "[1,2,3,4]");
    let message = prediction(&out[0].message.payload);
    assert_eq!(message["kind"], "anomaly");
    assert_eq!((&message["score"], &message["anomaly"]), (&1.0.into(), &true.into()));
    assert_eq!(message["threshold"], 0.5);
}

#[test]
fn the_timings_are_queue_preparation_and_run() {
    let mut bench = Harness::new(stream(), windowed(1, 1), echo(&[1, 2]));
    bench.clock.tick = 7;
    let incoming = bench.incoming("sensors/x/imu", b"[1,2]");
    bench.clock.pass(Duration::from_micros(40));
    let mut out = Vec::new();
    let outcome = bench.pipeline.step(&incoming, &bench.clock, &mut out);
    // The fake clock moves 7 us whenever it is read.
    assert_eq!(outcome.us, StageMicros { queue: 40, prepare: 7, run: 7 });
    let message = prediction(&out[0].message.payload);
    assert_eq!(message["us"], serde_json::json!({"queue":40,"prepare":7,"run":7}));
}

#[test]
fn a_sample_is_dated_by_itself_and_otherwise_by_its_reception() {
    let mut config = stream();
    config.payload.time = Some("t".into());
    config.publish.encoding = Encoding::Cbor;
    let mut bench = Harness::new(config, windowed(1, 1), echo(&[1, 2]));
    let earlier = Timestamp(SECOND.0 - 1_500_000);
    let (_, out) = bench.step("sensors/x/imu", &format!(r#"{{"a":1,"b":2,"t":"{earlier}"}}"#));
    let message: ciborium::Value = ciborium::from_reader(&*out[0].message.payload).unwrap();
    let text = |name: &str| {
        let entry = message.as_map().unwrap().iter().find(|(k, _)| k.as_text() == Some(name));
        entry.unwrap().1.as_text().unwrap().to_owned()
    };
    assert_eq!(text("time"), "2026-11-22T09:59:58.500Z");
    assert_eq!(text("received"), "2026-11-22T10:00:00.000Z");
    assert_eq!(out[0].message.content_type, "application/cbor");
}
