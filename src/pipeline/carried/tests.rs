//! States that are carried from run to run, against what a model of them gives.

use std::sync::Arc;
use std::time::Duration;

use crate::bundle::card::{Card, OutputKind, StateSpec, WindowSpec};
use crate::clock::Clock;
use crate::config::{Stream, WindowSafety};
use crate::pipeline::tests::fixture::{
    Harness, constant, prediction, recurrent, stream, whole, windowed, with_state,
};
use crate::pipeline::{Reject, SwapEffect, saved_windows_size};

const GAP: Duration = Duration::from_secs(5);

/// Windows of two samples, a run each.
fn bench() -> Harness {
    Harness::new(stream(), with_state(windowed(2, 2), Some(GAP)), recurrent(&[2, 2]))
}

/// Messages of two numbers, a run each.
fn whole_bench() -> Harness {
    let mut stream = Stream { windows: WindowSafety::Journal, ..stream() };
    stream.payload.time = Some("t".into());
    Harness::new(stream, whole_card(), recurrent(&[2]))
}

fn whole_card() -> Card {
    with_state(whole(OutputKind::Raw), Some(GAP))
}

/// What a window of samples that are all `n` gives, if it gives something.
fn window(bench: &mut Harness, device: &str, n: f32) -> Option<Vec<f64>> {
    let mut given = None;
    for _ in 0..2 {
        let payload = format!(r#"{{"a":{n},"b":0}}"#);
        let (_, out) = bench.step(&format!("sensors/{device}/imu"), &payload);
        given = out.first().map(|result| numbers(&result.message.payload));
    }
    given
}

fn numbers(payload: &[u8]) -> Vec<f64> {
    let told = prediction(payload);
    let given = told["tensor"].as_array().or(told["tensor"]["data"].as_array());
    given.unwrap_or_else(|| panic!("{told}")).iter().map(|n| n.as_f64().unwrap()).collect()
}

/// What a message gives at this many milliseconds.
fn input(bench: &mut Harness, ms: i64, n: f32) -> Result<Vec<f64>, Reject> {
    let start = super::super::tests::fixture::SECOND.0 / 1000;
    let payload = format!(r#"{{"t":{},"a":{n},"b":0}}"#, start + ms);
    let (report, out) = bench.step("sensors/d/imu", &payload);
    match out.first() {
        Some(result) => Ok(numbers(&result.message.payload)),
        None => Err(report.rejects[0].reject.clone()),
    }
}

#[test]
fn every_device_has_the_state_of_its_own_runs() {
    let mut bench = bench();
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [2.0, 0.0]);
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [3.0, 1.0]);
    assert_eq!(window(&mut bench, "y", 4.0).unwrap(), [8.0, 0.0]);
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [3.5, 2.0]);
    assert_eq!(window(&mut bench, "y", 0.0).unwrap(), [4.0, 1.0]);
}

#[test]
fn a_run_that_fails_leaves_the_state() {
    let mut bench = bench();
    window(&mut bench, "x", 1.0);
    assert_eq!(window(&mut bench, "x", 9.0), None);
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [3.0, 1.0]);
}

#[test]
fn a_state_that_is_not_finite_starts_over() {
    let mut bench = bench();
    window(&mut bench, "x", 1.0);
    assert_eq!(window(&mut bench, "x", 3e38), None);
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [2.0, 0.0]);
}

/// Also in the journal, whose base has the state that was given up.
#[test]
fn a_state_that_started_over_is_not_restored() {
    let mut bench = bench();
    window(&mut bench, "x", 1.0);
    let base = bench.pipeline.base(1, bench.clock.now());
    assert_eq!(window(&mut bench, "x", 3e38), None);
    let entry = bench.pipeline.addition(bench.clock.now()).unwrap();
    let (mut again, now) = (self::bench(), bench.clock.now());
    again.pipeline.replay(&base, [&entry.bytes[..]], now, &mut Vec::new()).unwrap();
    assert_eq!(window(&mut again, "x", 1.0).unwrap(), [2.0, 0.0]);
}

#[test]
fn a_gap_starts_the_state_over() {
    let mut bench = bench();
    window(&mut bench, "x", 1.0);
    bench.clock.pass(GAP);
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [3.0, 1.0]);
    bench.clock.pass(GAP + Duration::from_micros(1));
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [2.0, 0.0]);
}

#[test]
fn whole_inputs_are_taken_in_order_and_start_over_after_a_gap() {
    let mut bench = whole_bench();
    assert_eq!(input(&mut bench, 0, 2.0).unwrap(), [2.0, 0.0]);
    assert_eq!(input(&mut bench, 20, 2.0).unwrap(), [3.0, 1.0]);
    let late = input(&mut bench, 10, 2.0);
    assert!(matches!(late, Err(Reject::OutOfOrder { .. })), "{late:?}");
    assert_eq!(input(&mut bench, 20, 2.0).unwrap(), [3.5, 2.0]);
    bench.clock.pass(GAP * 2);
    assert_eq!(input(&mut bench, 6000, 2.0).unwrap(), [2.0, 0.0]);
}

#[test]
fn the_state_is_in_the_snapshot() {
    let mut saved = bench();
    window(&mut saved, "x", 1.0);
    window(&mut saved, "y", 2.0);
    let bytes = saved.pipeline.snapshot(saved.clock.now());
    let mut again = bench();
    again.pipeline.restore(&bytes, again.clock.now()).unwrap();
    assert_eq!(again.pipeline.snapshot(again.clock.now()), bytes);
    assert_eq!(window(&mut again, "x", 1.0).unwrap(), [3.0, 1.0]);
    assert_eq!(window(&mut again, "y", 0.0).unwrap(), [2.0, 1.0]);
    for end in 0..bytes.len() {
        assert!(bench().pipeline.restore(&bytes[..end], again.clock.now()).is_err(), "{end}");
    }
    // Bytes with the right checksum are still not believed.
    for place in 0..bytes.len() - 4 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut forged = bytes[..bytes.len() - 4].to_vec();
            forged[place] = value;
            forged.extend(crc32fast::hash(&forged).to_le_bytes());
            let mut other = bench();
            if other.pipeline.restore(&forged, again.clock.now()).is_ok() {
                window(&mut other, "x", 1.0);
            }
        }
    }
}

#[test]
fn another_version_keeps_the_windows_and_starts_its_states_over() {
    let mut saved = bench();
    window(&mut saved, "x", 1.0);
    saved.step("sensors/x/imu", r#"{"a":1,"b":0}"#);
    let bytes = saved.pipeline.snapshot(saved.clock.now());
    let next = Card { version: "2".into(), ..with_state(windowed(2, 2), Some(GAP)) };
    let mut restored = Harness::new(stream(), next.clone(), recurrent(&[2, 2]));
    assert_eq!(restored.pipeline.restore(&bytes, restored.clock.now()).unwrap().devices, 1);
    let swapped = saved.pipeline.swap(Arc::new(next), Box::new(recurrent(&[2, 2])));
    assert_eq!(swapped.unwrap(), SwapEffect::WindowsKept);
    for bench in [&mut restored, &mut saved] {
        let (_, out) = bench.step("sensors/x/imu", r#"{"a":2,"b":0}"#);
        assert_eq!(numbers(&out[0].message.payload), [3.0, 0.0]);
    }
    // A version without states, and back.
    let mut plain = Harness::new(stream(), windowed(2, 2), constant(&[2, 2], &[1.0]));
    assert_eq!(plain.pipeline.restore(&bytes, plain.clock.now()).unwrap().devices, 1);
    let bytes = plain.pipeline.snapshot(plain.clock.now());
    assert_eq!(bench().pipeline.restore(&bytes, plain.clock.now()).unwrap().devices, 1);
}

#[test]
fn a_candidate_has_states_of_its_own() {
    let mut bench = bench();
    window(&mut bench, "x", 1.0);
    let card = Card { version: "2".into(), ..with_state(windowed(2, 2), Some(GAP)) };
    bench.pipeline.shadow(Arc::new(card), Box::new(recurrent(&[2, 2]))).unwrap();
    // 3.0 and 1 run beside 2.0 and 0, and nothing of the candidate gets into the active one's state.
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [3.0, 1.0]);
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [3.5, 2.0]);
    // After a gap both start over, and agree.
    bench.clock.pass(GAP * 2);
    for _ in 0..3 {
        window(&mut bench, "x", 1.0).unwrap();
    }
    let tally = bench.pipeline.shadow_tally();
    assert_eq!((tally.runs, tally.agreed, tally.errors), (5, 3, 0));
}

#[test]
fn a_candidate_with_states_beside_a_model_without_them_carries_its_own() {
    let mut bench = Harness::new(stream(), whole(OutputKind::Raw), constant(&[2], &[2.0, 1.0]));
    bench.pipeline.shadow(Arc::new(whole_card()), Box::new(recurrent(&[2]))).unwrap();
    for a in [2, 1, 0] {
        bench.step("sensors/x/imu", &format!(r#"{{"a":{a},"b":0}}"#));
    }
    // Its second run gives 2.0 and 1.0.
    assert_eq!(bench.pipeline.shadow_tally().agreed, 1);
}

#[test]
fn a_card_whose_states_do_not_fit_is_refused() {
    let state = |input: &str, output: &str, value: Vec<f64>| StateSpec {
        input: input.into(),
        output: output.into(),
        value,
        max_gap: None,
    };
    let refused = |states: Vec<StateSpec>| {
        let card = Card { states, ..windowed(2, 2) };
        let refused = Harness::try_new(stream(), card, recurrent(&[2, 2])).unwrap_err();
        refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let told = refused(vec![state("g", "hn", vec![0.0])]);
    assert!(told.contains("the model has the inputs [\"h\", \"x\"]"), "{told}");
    let told = refused(vec![state("h", "gn", vec![0.0])]);
    assert!(told.contains("no output is \"gn\""), "{told}");
    let told = refused(vec![state("h", "y", vec![0.0])]);
    assert!(told.contains("they must be the same"), "{told}");
    let told = refused(vec![state("h", "hn", vec![0.0; 3])]);
    assert!(told.contains("value has 3 numbers for 2 elements"), "{told}");
}

#[test]
fn values_of_the_card_are_the_first_state() {
    let mut card = with_state(windowed(2, 2), None);
    card.states[0].value = vec![4.0, 7.0];
    let mut bench = Harness::new(stream(), card, recurrent(&[2, 2]));
    assert_eq!(window(&mut bench, "x", 1.0).unwrap(), [4.0, 7.0]);
}

/// As silero VAD takes its audio: chunks, and the end of the chunk before, zeros at first.
#[test]
fn a_window_with_a_lead_starts_with_zeros() {
    let window = Some(WindowSpec { length: 3, hop: 2, max_gap: Some(GAP), lead: 1 });
    let card = Card { window, ..windowed(3, 2) };
    let mut bench = Harness::new(stream(), card, crate::pipeline::tests::fixture::echo(&[3, 2]));
    let mut given = Vec::new();
    for n in 1..=6 {
        if n == 6 {
            bench.clock.pass(GAP * 2);
        }
        let (report, out) = bench.step("sensors/x/imu", &format!(r#"{{"a":{n},"b":0}}"#));
        assert_eq!(report.losses.iter().count(), usize::from(n == 6));
        given.extend(out.iter().map(|result| numbers(&result.message.payload)));
    }
    assert_eq!(given, [[0.0, 0.0, 1.0, 0.0, 2.0, 0.0], [2.0, 0.0, 3.0, 0.0, 4.0, 0.0]]);
    let (_, out) = bench.step("sensors/x/imu", r#"{"a":7,"b":0}"#);
    assert_eq!(numbers(&out[0].message.payload), [0.0, 0.0, 6.0, 0.0, 7.0, 0.0]);
}

#[test]
fn what_a_save_takes_is_known_beforehand() {
    let mut saved = bench();
    let devices = 3;
    (0..devices).for_each(|n| drop(window(&mut saved, &format!("press-hall-{n}"), 1.0)));
    let (card, model) = (with_state(windowed(2, 2), Some(GAP)), recurrent(&[2, 2]));
    let expected = saved_windows_size(&stream(), &card, &model.inputs, &model.outputs, devices);
    let bytes = saved.pipeline.snapshot(saved.clock.now()).len();
    assert_eq!(Some(bytes as u64), expected);
    let (card, model) = (whole_card(), recurrent(&[2]));
    assert!(saved_windows_size(&stream(), &card, &model.inputs, &model.outputs, 1).is_some());
}
