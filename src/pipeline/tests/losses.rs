//! Windows that start over: why, and that nothing of before stays in them.

use std::time::Duration;

use super::fixture::{Harness, SECOND, echo, prediction, stream, windowed};
use crate::clock::Clock as _;
use crate::config::Stream;
use crate::pipeline::{StepReport, WindowLoss};

fn timed() -> Stream {
    let mut config = stream();
    config.payload.time = Some("t".into());
    config
}

fn only_loss(outcome: &StepReport) -> WindowLoss {
    let losses: Vec<_> = outcome.losses.iter().collect();
    assert_eq!(losses.len(), 1, "{outcome:?}");
    losses[0].0.clone()
}

/// A sample at so many seconds, whose first channel is the number of the sample.
fn sample(second: i64, number: i64) -> String {
    format!("[{},{number},0]", SECOND.0 / 1_000_000 + second)
}

#[test]
fn samples_further_apart_than_max_gap_are_named_with_what_to_do() {
    let mut card = windowed(50, 50);
    card.window.as_mut().unwrap().max_gap = Some(Duration::from_secs(2));
    let mut bench = Harness::new(stream(), card, echo(&[50, 2]));
    let mut step = || {
        bench.clock.pass(Duration::from_secs(5));
        bench.step("sensors/press-7/imu", "[1,2]").0
    };
    let first = step();
    assert_eq!((first.losses.iter().count(), first.fill.unwrap().filled), (0, 1));
    step();
    step();
    let fourth = step();
    assert_eq!((fourth.gaps, fourth.losses.count("gap")), (1, 1));
    assert_eq!((fourth.fill.unwrap().filled, fourth.fill.unwrap().missing), (1, 49));
    assert_eq!(
        only_loss(&fourth).to_string(),
        "the window of device \"press-7\" starts over with 1 of 50 samples: two samples are 5s \
         apart by their arrival, window.max_gap is 2s; this is the case 3 times in a row, so its \
         windows never fill: raise window.max_gap in the model's card, or have it send more often"
    );
}

#[test]
fn devices_evicted_before_their_first_prediction_are_counted_and_others_are_not() {
    let mut config = stream();
    config.max_keys = 2;
    let mut bench = Harness::new(config, windowed(2, 2), echo(&[2, 2]));
    let mut step = |device: &str| bench.step(&format!("sensors/{device}/imu"), "[1,2]").0;
    for device in ["a", "a", "b", "c"] {
        assert_eq!(step(device).losses.count("evicted"), 0, "{device}");
    }
    let outcome = step("d");
    assert_eq!((outcome.evicted, outcome.losses.count("evicted")), (1, 1));
    assert_eq!(
        only_loss(&outcome).to_string(),
        "the window of device \"b\" was dropped with 1 of 2 samples: more than max_keys = 2 \
         devices send in turn"
    );
}

#[test]
fn a_device_slower_than_its_time_to_live_is_told_from_one_that_is_gone() {
    let mut config = stream();
    config.key_ttl = Duration::from_secs(10);
    let mut bench = Harness::new(config, windowed(3, 3), echo(&[3, 2]));
    bench.step("sensors/a/imu", "[1,2]");
    bench.step("sensors/b/imu", "[1,2]");
    bench.clock.pass(Duration::from_secs(11));
    let (outcome, _) = bench.step("sensors/b/imu", "[1,2]");
    let counts = (outcome.losses.count("expired"), outcome.losses.count("silence"));
    assert_eq!((outcome.expired, counts), (2, (1, 1)));
}

/// What a stream of windows of four gives, sample by sample: the number of rejects, the losses by
/// the clock, and the first channel of the window that was run.
fn steps(bench: &mut Harness, samples: &[(i64, i64)]) -> Vec<(usize, u32, Vec<f64>)> {
    let steps = samples.iter().map(|&(second, number)| {
        bench.clock.pass(Duration::from_millis(10));
        let (outcome, out) = bench.step("sensors/x/imu", &sample(second, number));
        let window = out.first().map(|f| prediction(&f.message.payload)["tensor"]["data"].clone());
        let numbers: Vec<f64> = window.map_or(Vec::new(), |w| serde_json::from_value(w).unwrap());
        let firsts = numbers.into_iter().step_by(2).collect();
        (outcome.rejects.len(), outcome.losses.count("clock"), firsts)
    });
    steps.collect()
}

#[test]
fn a_clock_that_was_set_back_begins_a_window_with_all_samples_since() {
    let mut bench = Harness::new(timed(), windowed(4, 4), echo(&[4, 2]));
    let before = [(-10, 1), (-9, 2), (-8, 3)];
    assert!(steps(&mut bench, &before).iter().all(|step| *step == (0, 0, vec![])));
    let after = steps(&mut bench, &[(-3600, 4), (-3599, 5), (-3598, 6), (-3597, 7)]);
    assert_eq!(after[0], (1, 0, vec![]), "refused until the next one tells");
    assert_eq!(after[1], (0, 1, vec![]));
    assert_eq!(after[2], (0, 0, vec![]));
    assert_eq!(after[3], (0, 0, vec![4.0, 5.0, 6.0, 7.0]), "none of before, none is missing");
}

#[test]
fn late_and_repeated_samples_leave_the_window_alone() {
    let mut bench = Harness::new(timed(), windowed(4, 4), echo(&[4, 2]));
    let samples = [(-20, 1), (-19, 2), (-18, 3), (-19, 2), (-20, 1), (-3600, 9), (-17, 4)];
    let steps = steps(&mut bench, &samples);
    let refused: Vec<_> = steps.iter().map(|(rejects, ..)| *rejects).collect();
    assert_eq!(refused, [0, 0, 0, 1, 1, 1, 0]);
    assert_eq!(steps[6], (0, 0, vec![1.0, 2.0, 3.0, 4.0]));
}

#[test]
fn old_data_in_a_row_is_never_in_a_window_with_new_data() {
    let mut bench = Harness::new(timed(), windowed(4, 4), echo(&[4, 2]));
    let old = [(-20, 1), (-19, 2), (-3600, 8), (-3599, 9)];
    steps(&mut bench, &old);
    let new = steps(&mut bench, &[(-18, 3), (-17, 4), (-16, 5), (-15, 6)]);
    assert_eq!(new[0], (0, 1, vec![]));
    assert_eq!(new[3], (0, 0, vec![3.0, 4.0, 5.0, 6.0]));
}

#[test]
fn a_journal_gives_the_window_of_after_a_clock_was_set_back() {
    let mut bench = Harness::new(timed(), windowed(4, 4), echo(&[4, 2]));
    let base = bench.pipeline.base(7, bench.clock.now());
    steps(&mut bench, &[(-10, 1), (-9, 2), (-3600, 4), (-3599, 5), (-3598, 6)]);
    let addition = bench.pipeline.addition(bench.clock.now()).unwrap();
    let mut again = Harness::new(timed(), windowed(4, 4), echo(&[4, 2]));
    let (now, mut input_ids) = (again.clock.now(), Vec::new());
    let restored =
        again.pipeline.replay(&base, [&addition.bytes[..]], now, &mut input_ids).unwrap();
    assert_eq!((restored.devices, restored.left_out), (1, 0));
    assert_eq!(steps(&mut again, &[(-3597, 7)]), [(0, 0, vec![4.0, 5.0, 6.0, 7.0])]);
}
