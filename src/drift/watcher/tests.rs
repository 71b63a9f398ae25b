use super::*;
use crate::drift::tests::source::{Fault, Sensor, Source};
use crate::drift::{BaselineBuilder, Channel, Output};

const NUMBERS: usize = 8;

fn at(second: u64) -> Now {
    let micros = i64::try_from(second).unwrap() * 1_000_000;
    Now { wall: Timestamp(1_800_000_000_000_000 + micros), mono: Mono(second * 1_000_000) }
}

fn settings() -> Settings {
    Settings {
        false_alarms: FalseAlarms::default(),
        learn: Duration::from_secs(3600),
        reasons: &["syntax", "stale"],
    }
}

fn numbers() -> Arc<Quantities> {
    let output = |i| Output { name: format!("n{i}"), resolution: 0.01 };
    let outputs = (0..NUMBERS).map(output).collect();
    Arc::new(Quantities { channels: Vec::new(), outputs, labels: Vec::new() })
}

/// A watcher of independent numbers whose baseline has so many windows.
fn watcher(windows: u32) -> Watcher {
    let quantities = numbers();
    let mut builder = BaselineBuilder::new((*quantities).clone());
    let mut source = Source::new(11, NUMBERS, 0.0, 0.0);
    let mut features = Features::new(&quantities);
    for _ in 0..windows {
        source.fill(&mut features.numbers);
        builder.add(&features);
    }
    Watcher::new(settings(), quantities, Some(Arc::new(builder.build().unwrap())))
}

/// Windows from `from` to `to` with a shift of the first number; the events and their seconds.
fn run(
    watcher: &mut Watcher,
    source: &mut Source,
    (from, to): (u64, u64),
    shift: f64,
) -> Vec<(u64, DriftEvent)> {
    let mut features = Features::new(&watcher.quantities);
    let mut events = Vec::new();
    for second in from..to {
        source.fill(&mut features.numbers);
        features.numbers[0] += shift;
        events.extend(watcher.window(&features, at(second)).event.map(|event| (second, event)));
    }
    events
}

#[test]
fn a_shift_is_found_named_and_over_when_it_ends() {
    let (mut watcher, mut source) = (watcher(10_000), Source::new(12, NUMBERS, 0.0, 0.0));
    let quiet = run(&mut watcher, &mut source, (0, 20_000), 0.0);
    let [(255, DriftEvent { kind: EventKind::Steady, .. })] = &quiet[..] else {
        panic!("{quiet:?}")
    };
    let events = run(&mut watcher, &mut source, (20_000, 21_000), -1.0);
    let [(second, DriftEvent { kind: EventKind::Drift, alarm: Some(alarm), .. })] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(*second < 20_100, "after {}", second - 20_000);
    assert_eq!((alarm.quantity.as_str(), alarm.statistic), ("n0", "cusum"));
    assert!((-1.6..-0.6).contains(&alarm.shift.unwrap()), "{alarm:?}");
    assert!(alarm.from >= at(19_900).wall && alarm.to == at(*second).wall, "{alarm:?}");
    assert!(alarm.message.contains("below its baseline"), "{}", alarm.message);
    let report = watcher.report(at(21_000).mono);
    assert_eq!((report.state, report.alarms), (DriftState::Drift, 1));
    let first = &report.quantities[0];
    assert!(first.state == DriftState::Drift && first.level >= 1.0, "{first:?}");
    assert!(report.quantities[1..].iter().all(|other| other.state != DriftState::Drift));
    assert_eq!(first.expected.len(), 16);
    let events = run(&mut watcher, &mut source, (21_000, 24_000), 0.0);
    let [(_, DriftEvent { kind: EventKind::Recovered, alarm: None, .. })] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(watcher.report(at(24_000).mono).last_alarm.as_ref(), Some(alarm));
}

#[test]
fn a_drift_that_lasts_is_told_again_once_a_day() {
    let (mut watcher, mut source) = (watcher(10_000), Source::new(13, NUMBERS, 0.0, 0.0));
    let events = run(&mut watcher, &mut source, (0, 3 * 86_400), 2.0);
    let days: Vec<u64> = events.iter().map(|(second, _)| second / 86_400).collect();
    assert_eq!(days, [0, 1, 2], "{events:?}");
    assert!(events.iter().all(|(_, event)| event.kind == EventKind::Drift));
}

#[test]
fn one_window_whatever_it_holds_is_no_drift() {
    let (mut watcher, mut source) = (watcher(10_000), Source::new(14, NUMBERS, 0.0, 0.0));
    let mut features = Features::new(&watcher.quantities);
    for second in 0..5_000 {
        source.fill(&mut features.numbers);
        if second % 1_000 == 500 {
            features.numbers[3] = 1e9;
            features.numbers[4] = f64::NAN;
        }
        let event = watcher.window(&features, at(second)).event;
        assert!(event.is_none_or(|event| event.kind == EventKind::Steady), "at {second}");
    }
}

#[test]
fn a_baseline_is_learned_and_then_compared_with() {
    let quantities = numbers();
    let mut watcher = Watcher::new(settings(), quantities.clone(), None);
    let mut source = Source::new(15, NUMBERS, 0.5, 0.0);
    let mut features = Features::new(&quantities);
    let mut learned = None;
    for second in 0..10_000 {
        source.fill(&mut features.numbers);
        let outcome = watcher.window(&features, at(second));
        if let Some(baseline) = outcome.learned {
            assert_eq!(outcome.event.unwrap().kind, EventKind::Learned);
            learned = Some((second, baseline));
            break;
        }
        assert_eq!(watcher.state(), DriftState::Learning);
        assert_eq!(outcome.event, None);
    }
    let (second, baseline) = learned.unwrap();
    assert!((3_600..3_700).contains(&second), "after {second}");
    let report = watcher.report(at(second).mono);
    assert_eq!((report.state, report.baseline), (DriftState::Ok, BaselineSource::Learned));
    // About as many windows are in each bin, though the bounds were found on the way.
    for number in &baseline.numbers {
        let (all, most) = number
            .shape
            .counts
            .iter()
            .fold((0.0, 0.0_f64), |(all, most), count| (all + count, most.max(*count)));
        assert!(most < all * 2.5 / 16.0, "{:?}", number.shape.counts);
    }
    let next = second + 1;
    let quiet = run(&mut watcher, &mut source, (next, next + 10_000), 0.0);
    assert!(quiet.iter().all(|(_, event)| event.kind == EventKind::Steady), "{quiet:?}");
    let found = run(&mut watcher, &mut source, (next + 10_000, next + 11_000), 2.0);
    assert_eq!(found.first().map(|(_, event)| event.kind), Some(EventKind::Drift));
}

#[test]
fn what_was_learned_before_a_restart_counts() {
    let quantities = numbers();
    let run = |restarts: &[u64]| {
        let mut watcher = Watcher::new(settings(), quantities.clone(), None);
        let mut source = Source::new(15, NUMBERS, 0.5, 0.0);
        let mut features = Features::new(&quantities);
        for second in 0..10_000 {
            if restarts.contains(&second) {
                let saved = watcher.learning(at(second).mono).unwrap();
                let mut next = Watcher::new(settings(), quantities.clone(), None);
                assert!(next.resume_learning(&saved));
                let learned = |of: &Watcher| of.report(at(second).mono).learned;
                assert_eq!(learned(&next), learned(&watcher));
                for damage in [0, 1, saved.len() / 2, saved.len() - 1] {
                    let mut damaged = saved.clone();
                    damaged[damage] ^= 1;
                    assert!(!next.clone().resume_learning(&damaged), "at {damage}");
                }
                assert!(!next.clone().resume_learning(&saved[..saved.len() - 1]));
                let mut other = (*quantities).clone();
                other.outputs[0].name = "other".to_owned();
                let mut other = Watcher::new(settings(), Arc::new(other), None);
                assert!(!other.resume_learning(&saved), "of another model");
                watcher = next;
            }
            source.fill(&mut features.numbers);
            if let Some(baseline) = watcher.window(&features, at(second)).learned {
                return (second, baseline);
            }
        }
        panic!("nothing was learned")
    };
    let (whole, baseline) = run(&[]);
    let (second, interrupted) = run(&[10, 500, 3_000]);
    // Between two windows there is a second, and at a restart none.
    assert!((whole..=whole + 64).contains(&second), "{second} instead of {whole}");
    let windows = |baseline: &Baseline| baseline.windows;
    assert!(windows(&interrupted) - windows(&baseline) <= 64);
    assert_eq!(interrupted.numbers[0].edges, baseline.numbers[0].edges);
}

fn sensor_watcher() -> Watcher {
    let channels = ["x", "y", "z"].map(|name| Channel { name: name.to_owned(), limits: None });
    let labels = ["a", "b"].map(str::to_owned).to_vec();
    let quantities = Quantities { channels: channels.to_vec(), outputs: Vec::new(), labels };
    let mut builder = BaselineBuilder::new(quantities.clone());
    let mut sensor = Sensor::new(16);
    for window in 0..3_000 {
        builder.add(&features_of(&quantities, &sensor.window(Fault::None), window));
    }
    let baseline = Arc::new(builder.build().unwrap());
    Watcher::new(settings(), Arc::new(quantities), Some(baseline))
}

/// Of the labels `a` is three times as frequent as `b`.
fn features_of(quantities: &Quantities, window: &[Vec<f64>; 3], n: u64) -> Features {
    let mut features = Features::new(quantities);
    for (channel, values) in window.iter().enumerate() {
        features.set_channel(channel, values.iter().copied());
    }
    features.label = Some(usize::from((n * 7).is_multiple_of(4)));
    features
}

#[test]
fn faults_of_a_sensor_are_named_within_64_windows() {
    for (fault, names) in [
        (Fault::Dead, &["x.constant"][..]),
        (Fault::Unit, &["x.log_std", "y.log_std", "z.log_std", "z.mean"]),
        (Fault::Axes, &["y.mean", "z.mean", "y.outside", "z.outside"]),
        (Fault::Variance, &["x.log_std"]),
    ] {
        let mut watcher = sensor_watcher();
        let mut sensor = Sensor::new(17);
        let alarm = (0..400).find_map(|second| {
            let fault = if second < 300 { Fault::None } else { fault };
            let window = sensor.window(fault);
            let features = features_of(&watcher.quantities, &window, second);
            let event = watcher.window(&features, at(second)).event;
            event.and_then(|event| event.alarm).map(|alarm| (second, alarm))
        });
        let (second, alarm) = alarm.unwrap_or_else(|| panic!("{fault:?} is not found"));
        assert!((300..364).contains(&second), "{fault:?} at {second}: {alarm:?}");
        assert!(names.contains(&alarm.quantity.as_str()), "{fault:?}: {alarm:?}");
    }
}

#[test]
fn labels_that_swap_their_shares_are_found_in_four_periods() {
    let mut watcher = sensor_watcher();
    let mut sensor = Sensor::new(18);
    let mut found = None;
    for second in 0..4_000 {
        let mut features = features_of(&watcher.quantities, &sensor.window(Fault::None), second);
        if second >= 2_048 {
            features.label = features.label.map(|label| 1 - label);
        }
        if let Some(alarm) = watcher.window(&features, at(second)).event.and_then(|e| e.alarm) {
            found = Some((second, alarm));
            break;
        }
    }
    let (second, alarm) = found.unwrap();
    assert_eq!((alarm.quantity.as_str(), alarm.statistic), ("labels", "psi"));
    assert!((2_048..2_048 + 1_024).contains(&second), "{second}");
}

#[test]
fn rejected_inputs_are_found_by_their_reason() {
    let mut watcher = watcher(1_000);
    let mut inputs = |range: std::ops::Range<u64>, stale_every: u64| {
        let mut found = None;
        for n in range {
            let is_stale = n % stale_every == 0;
            let rejected = is_stale.then_some((1, 1));
            let taken = u32::from(!is_stale);
            let event = watcher.inputs(taken, rejected, at(n));
            found = found.or(event.and_then(|event| event.alarm).map(|alarm| (n, alarm)));
        }
        found
    };
    assert_eq!(inputs(1..10_000, 400), None, "as usual");
    let (n, alarm) = inputs(10_000..12_000, 10).unwrap();
    assert_eq!(alarm.quantity, "rejects.stale");
    assert!(n < 10_400, "{n}");
}

#[test]
fn a_stream_of_six_channels_takes_4_kib() {
    let channel = |i: usize| Channel { name: format!("c{i}"), limits: None };
    let output = |name: &str| Output { name: name.to_owned(), resolution: 0.01 };
    let quantities = Quantities {
        channels: (0..6).map(channel).collect(),
        outputs: ["score", "margin", "entropy"].map(output).to_vec(),
        labels: (0..4).map(|i| format!("l{i}")).collect(),
    };
    let numbers = quantities.len() * size_of::<Option<comparison::PlacedNumber>>();
    let channels = quantities.channels.len() * size_of::<Option<channel::ChannelWatch>>();
    let rest = size_of::<Watcher>() + size_of::<Comparison>();
    let all = numbers + channels + rest;
    assert!(all <= 4096, "{numbers} + {channels} + {rest} = {all}");
}
