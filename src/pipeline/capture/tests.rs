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
    let mut chosen = |outcome, margin, at| choice.choose(outcome, Some(margin), now(at));
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
    let chosen: Vec<_> = (0..3).map(|_| choice.choose(Predicted, None, now(0))).collect();
    assert_eq!(chosen, [Some(Trigger::Command), Some(Trigger::Command), None]);
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
            if choice.choose(Predicted, None, now(at)).is_some() {
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
        times.filter(|at| choice.choose(Predicted, None, now(*at)).is_some()).count()
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
