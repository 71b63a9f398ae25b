//! What the detection of drift finds, how soon, and how often it is wrong:
//! `cargo run --release --example drift_simulation`. Arguments: the number of seeds, 10 by default, and
//! the first of them, 0 by default: `-- 10 1000` runs ten that nothing was tuned with.
//!
//! Prints a row for each promise of docs/monitoring.md. A window a second, one false alarm in 30
//! days.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "a simulation of fixed shapes"
)]

mod source;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use inferd::clock::{Mono, Now, Timestamp};
use inferd::drift::{
    Baseline, BaselineBuilder, Channel, DeviceRate, EventKind, FalseAlarms, Features, Output,
    Quantities, Settings, Watcher,
};
use source::{Fault, Random, Sensor, Source};

const DAY: u64 = 86_400;
const DAYS: u64 = 30;
/// Quantities that are watched at once.
const NUMBERS: usize = 8;

fn main() {
    let argument = |place| std::env::args().nth(place).and_then(|text| text.parse::<u64>().ok());
    let seeds = Seeds { count: argument(1).unwrap_or(10), first: argument(2).unwrap_or(0) };
    println!(
        "{:<54} {:>8} {:>8} {:>8}",
        "a lasting change is found after so many windows", "mean", "p95", "bound"
    );
    for (shift, bound) in [(0.5, "150/250"), (1.0, "50/70"), (2.0, "")] {
        row(
            &format!("{shift} sd, independent windows"),
            delays(0.0, shift, seeds.times(40)),
            bound,
        );
    }
    row("1 sd, AR(1) 0.9", delays(0.9, 1.0, seeds.times(10)), "");
    for (name, fault, bound) in [
        ("variance times 1.5, mean kept", Fault::Variance, "1024"),
        ("dead sensor", Fault::Dead, "64"),
        ("unit change, m/s2 to g", Fault::Unit, "64"),
        ("swapped axes", Fault::Axes, "64"),
    ] {
        let (found, named) = faults(fault, seeds.times(10));
        row(&format!("{name}: {named}"), found, bound);
    }
    row("two labels that swap shares", labels(seeds.times(10)), "1024");
    row("half rate of a device, in seconds", half_rate(seeds.times(10)), "60");
    println!("\nalarms without a reason in {DAYS} days, {} seeds", seeds.count);
    for (name, correlation, daily, baseline) in [
        ("independent", 0.0, 0.0, DAY),
        ("AR(1) 0.5", 0.5, 0.0, DAY),
        ("AR(1) 0.9", 0.9, 0.0, DAY),
        ("daily sine of 1 sd", 0.0, 1.0, 3 * DAY),
    ] {
        let alarms: Vec<u32> =
            seeds.times(1).map(|seed| false_alarms(seed, correlation, daily, baseline)).collect();
        println!("{name:<54} {alarms:?}");
    }
}

/// The seeds of all runs.
#[derive(Clone, Copy)]
struct Seeds {
    count: u64,
    first: u64,
}

impl Seeds {
    /// So many times more.
    fn times(self, factor: u64) -> Range<u64> {
        let first = self.first * factor;
        first..first + self.count * factor
    }
}

fn row(name: &str, mut found: Vec<u64>, bound: &str) {
    found.sort_unstable();
    let mean = found.iter().sum::<u64>() as f64 / found.len() as f64;
    println!("{name:<54} {mean:>8.0} {:>8} {bound:>8}", found[found.len() * 95 / 100]);
}

fn now(second: u64) -> Now {
    let micros = second * 1_000_000;
    Now { wall: Timestamp(1_800_000_000_000_000 + micros as i64), mono: Mono(micros) }
}

fn settings() -> Settings {
    Settings { false_alarms: FalseAlarms::default(), learn: Duration::from_secs(DAY), reasons: &[] }
}

fn numbers() -> Arc<Quantities> {
    let output = |i| Output { name: format!("number-{i}"), resolution: 0.01 };
    let outputs = (0..NUMBERS).map(output).collect();
    Arc::new(Quantities { channels: Vec::new(), outputs, labels: Vec::new() })
}

fn baseline(
    quantities: &Arc<Quantities>,
    windows: u64,
    mut fill: impl FnMut(&mut Features),
) -> Arc<Baseline> {
    let mut builder = BaselineBuilder::new((**quantities).clone());
    let mut features = Features::new(quantities);
    for _ in 0..windows {
        features.clear();
        fill(&mut features);
        builder.add(&features);
    }
    Arc::new(builder.build().unwrap())
}

/// Windows from a step of one of the numbers to the alarm.
fn delays(correlation: f64, shift: f64, runs: Range<u64>) -> Vec<u64> {
    let quantities = numbers();
    let run = |seed: u64| {
        let mut source = Source::new(7 * seed + 1, NUMBERS, correlation, 0.0);
        let known = baseline(&quantities, DAY / 4, |f| source.fill(&mut f.numbers));
        let mut source = Source::new(7 * seed + 2, NUMBERS, correlation, 0.0);
        let begin = 2_000 + seed % 64;
        first_alarm(&quantities, known, begin, |features, second| {
            source.fill(&mut features.numbers);
            if second >= begin {
                features.numbers[0] += shift;
            }
        })
        .0
    };
    runs.map(run).collect()
}

/// Windows from `begin` to the first alarm after it, and its quantity.
fn first_alarm(
    quantities: &Arc<Quantities>,
    known: Arc<Baseline>,
    begin: u64,
    mut fill: impl FnMut(&mut Features, u64),
) -> (u64, String) {
    let mut watcher = Watcher::new(settings(), quantities.clone(), Some(known));
    let mut features = Features::new(quantities);
    for second in 0..begin + DAY {
        features.clear();
        fill(&mut features, second);
        let event = watcher.window(&features, now(second)).event;
        if let Some(alarm) = event.and_then(|event| event.alarm)
            && second >= begin
        {
            return (second - begin + 1, alarm.quantity);
        }
    }
    (DAY, "nothing".to_owned())
}

/// Windows from a fault of a sensor to the alarm, and the quantities that were named.
fn faults(fault: Fault, runs: Range<u64>) -> (Vec<u64>, String) {
    let channels = ["x", "y", "z"].map(|name| Channel { name: name.to_owned(), limits: None });
    let quantities = Arc::new(Quantities {
        channels: channels.to_vec(),
        outputs: Vec::new(),
        labels: Vec::new(),
    });
    let set = |features: &mut Features, window: [Vec<f64>; 3]| {
        for (channel, values) in window.iter().enumerate() {
            features.set_channel(channel, values.iter().copied());
        }
    };
    let mut named = std::collections::BTreeSet::new();
    let mut run = |seed: u64| {
        let mut sensor = Sensor::new(7 * seed + 1);
        let known = baseline(&quantities, 10_000, |f| set(f, sensor.window(Fault::None)));
        let mut sensor = Sensor::new(7 * seed + 2);
        let begin = 300 + seed % 64;
        let (found, quantity) = first_alarm(&quantities, known, begin, |features, second| {
            let fault = if second >= begin { fault } else { Fault::None };
            set(features, sensor.window(fault));
        });
        named.insert(quantity);
        found
    };
    let found = runs.map(&mut run).collect();
    (found, named.into_iter().collect::<Vec<_>>().join(" "))
}

/// Windows from a change of the shares of labels to the alarm.
fn labels(runs: Range<u64>) -> Vec<u64> {
    let labels: Vec<String> = ["idle", "running", "fault", "off"].map(str::to_owned).to_vec();
    let quantities = Arc::new(Quantities { channels: Vec::new(), outputs: Vec::new(), labels });
    let label = |random: &mut Random, swapped: bool| {
        let drawn = random.unit();
        let place = [0.5, 0.8, 0.95, 1.0].iter().position(|below| drawn < *below);
        let place = place.unwrap_or(3);
        // Idle and running.
        if swapped && place < 2 { 1 - place } else { place }
    };
    let run = |seed: u64| {
        let mut random = Random::new(7 * seed + 1);
        let known = baseline(&quantities, 10_000, |f| f.label = Some(label(&mut random, false)));
        let mut random = Random::new(7 * seed + 2);
        let begin = 2_048;
        first_alarm(&quantities, known, begin, |features, second| {
            features.label = Some(label(&mut random, second >= begin));
        })
        .0
    };
    runs.map(run).collect()
}

/// Seconds from the change of a device that sends half as often until it is found.
fn half_rate(runs: Range<u64>) -> Vec<u64> {
    let run = |seed: u64| {
        let mut random = Random::new(7 * seed + 1);
        let mut rate = DeviceRate::default();
        let (mut time, mut windows, begin) = (0.0, 0, 100);
        let mut changed_at = 0.0;
        loop {
            let interval = if windows < begin { 1.0 } else { 2.0 };
            time += interval * (1.0 + 0.02 * random.normal());
            windows += 1;
            if windows == begin {
                changed_at = time;
            }
            let change = rate.window(Timestamp((time * 1e6) as i64));
            if windows > begin && change.is_some() {
                return ((time - changed_at).round() as i64).unsigned_abs();
            }
        }
    };
    runs.map(run).collect()
}

/// Alarms in thirty days in which nothing changes.
fn false_alarms(seed: u64, correlation: f64, daily: f64, windows: u64) -> u32 {
    let quantities = numbers();
    let mut source = Source::new(100 * seed + 1, NUMBERS, correlation, daily);
    let known = baseline(&quantities, windows, |f| source.fill(&mut f.numbers));
    let mut watcher = Watcher::new(settings(), quantities.clone(), Some(known));
    let mut source = Source::new(100 * seed + 2, NUMBERS, correlation, daily);
    let mut features = Features::new(&quantities);
    let mut alarms = 0;
    for second in 0..DAYS * DAY {
        source.fill(&mut features.numbers);
        let event = watcher.window(&features, now(second)).event;
        alarms += u32::from(event.is_some_and(|event| event.kind == EventKind::Drift));
    }
    alarms
}
