use std::time::Duration;

use super::choice::CaptureChoice;
use super::*;
use crate::clock::{Mono, Now};
use crate::pipeline::observation::RunOutcome::{Disagreed, Failed, Predicted};
use crate::pipeline::tests::fixture::{Harness, SECOND, classifier, labelled, stream};

const DAY: u64 = 24 * 60 * 60;

fn capture() -> Capture {
    Capture {
        random: 0,
        margin: None,
        disagree: false,
        reject: false,
        outside: false,
        drift: false,
        per_day: 2,
        hash_device: false,
    }
}

fn now(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { wall: SECOND.plus(since), mono: Mono(0) }
}

#[test]
fn each_trigger_has_its_own_budget_of_a_day() {
    let settings = Capture { margin: Some(0.2), disagree: true, reject: true, ..capture() };
    let mut choice = CaptureChoice::new(&settings);
    let mut chosen = |outcome, margin, at| {
        choice.choose(outcome, Signs { margin: Some(margin), ..Signs::default() }, now(at))
    };
    assert_eq!(chosen(Predicted, 0.3, 0), None);
    assert_eq!(chosen(Predicted, 0.1, 0), Some(Trigger::Margin));
    assert_eq!(chosen(Disagreed, 0.1, 0), Some(Trigger::Disagree));
    assert_eq!(chosen(Disagreed, 0.3, 0), Some(Trigger::Disagree));
    assert_eq!(chosen(Disagreed, 0.1, 0), Some(Trigger::Margin), "the next trigger takes it");
    assert_eq!(chosen(Disagreed, 0.1, 0), None);
    assert_eq!(chosen(Failed, 0.3, 0), Some(Trigger::Reject));
    assert_eq!(chosen(Disagreed, 0.1, DAY), Some(Trigger::Disagree), "another day");
}

#[test]
fn an_operator_gets_what_was_asked_for() {
    let mut choice = CaptureChoice::new(&capture());
    choice.request(2);
    let chosen: Vec<_> =
        (0..3).map(|_| choice.choose(Predicted, Signs::default(), now(0))).collect();
    assert_eq!(chosen, [Some(Trigger::Command), Some(Trigger::Command), None]);
}

#[test]
fn inputs_in_drift_and_outside_of_the_range_are_captured_within_their_budgets() {
    let settings = Capture { outside: true, drift: true, per_day: 3, ..capture() };
    let mut choice = CaptureChoice::new(&settings);
    let quiet = Signs::default();
    let drifting = Signs { is_drifting: true, ..quiet };
    let outside = Signs { is_outside: true, is_drifting: true, ..quiet };
    let mut chosen = |outcome, signs, at| choice.choose(outcome, signs, now(at));
    assert_eq!(chosen(Predicted, quiet, 0), None);
    assert_eq!(chosen(Predicted, drifting, 0), Some(Trigger::Drift));
    assert_eq!(chosen(Failed, drifting, 0), None, "that would be of `reject`");
    for _ in 0..3 {
        assert_eq!(chosen(Predicted, outside, 0), Some(Trigger::Outside));
    }
    assert_eq!(chosen(Predicted, outside, 0), Some(Trigger::Drift), "the next trigger takes it");
    assert_eq!(chosen(Predicted, outside, 0), Some(Trigger::Drift));
    assert_eq!(chosen(Predicted, outside, 0), None);
    assert_eq!(chosen(Predicted, drifting, DAY), Some(Trigger::Drift), "another day");
}

#[test]
fn an_alarm_captures_the_next_inputs_and_no_more_than_the_budget() {
    let mut choice = CaptureChoice::new(&capture());
    let drifting = Signs { is_drifting: true, ..Signs::default() };
    assert_eq!(choice.choose(Predicted, drifting, now(0)), None, "only alarms capture");
    choice.request_after_alarm(1);
    assert_eq!(choice.choose(Predicted, Signs::default(), now(0)), Some(Trigger::Drift));
    assert_eq!(choice.choose(Predicted, drifting, now(0)), None);
    choice.request_after_alarm(5);
    let chosen: Vec<_> = (0..3).map(|_| choice.choose(Predicted, drifting, now(0))).collect();
    assert_eq!(chosen, [Some(Trigger::Drift), None, None]);
    assert_eq!(choice.choose(Predicted, drifting, now(DAY)), None, "nothing is made up for");
}

/// Whatever the rate of inputs, as many are chosen as there are parts of the day.
#[test]
fn random_inputs_are_spread_over_the_day() {
    for step in [1, 60, 600] {
        let mut choice = CaptureChoice::new(&Capture { random: 24, ..capture() });
        let days = 20;
        let times = (0..days * DAY).step_by(step);
        let mut by_hour = [0; 24];
        for at in times {
            if choice.choose(Predicted, Signs::default(), now(at)).is_some() {
                by_hour[usize::try_from(at % DAY / 3600).unwrap()] += 1;
            }
        }
        let all: u64 = by_hour.iter().sum();
        assert!((24 * days - 24..=24 * days).contains(&all), "step {step}: {all}");
        assert!(by_hour.iter().all(|count| *count >= days / 2), "step {step}: {by_hour:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_stops_no_random_capture() {
    let mut choice = CaptureChoice::new(&Capture { random: 24, ..capture() });
    let mut count = |from: u64| {
        let times = (from..from + DAY).step_by(60);
        times.filter(|at| choice.choose(Predicted, Signs::default(), now(*at)).is_some()).count()
    };
    assert!(count(100 * DAY) >= 22);
    assert!(count(0) >= 20);
}

#[test]
fn a_captured_input_is_what_the_model_saw() {
    let mut stream = stream();
    stream.capture = Some(Capture { margin: Some(0.9), hash_device: true, ..capture() });
    let mut bench = Harness::new(stream, labelled(2), classifier(2, &[0.07, 0.93]));
    bench.step("sensors/watch-7/imu", r#"{"a":1,"b":2}"#);
    bench.step("sensors/watch-7/imu", r#"{"a":3,"b":4}"#);
    let (captured, dropped) = bench.pipeline.take_captured();
    assert_eq!((captured.len(), dropped), (1, 0));
    let input = &captured[0];
    assert_eq!(input.trigger, Trigger::Margin);
    assert_eq!(input.id.as_deref(), Some("gw-17-3f2a-0"));
    assert_eq!((input.label.as_deref(), input.score), (Some("running"), Some(0.93)));
    assert_eq!((input.model.as_str(), input.version.as_str()), ("motion", "1.4.0"));
    let digest = Digest::of(b"watch-7").to_string();
    assert_eq!(input.device, &digest[..16]);
    let [(spec, tensor)] = &input.inputs[..] else { panic!("{input:?}") };
    assert_eq!(spec.shape, tensor.shape);
    assert_eq!(tensor.data, crate::tensor::Data::F32(vec![1.0, 2.0, 3.0, 4.0]));
    assert!(bench.pipeline.take_captured().0.is_empty());
}
