//! Times what the detection of drift adds to a window: `cargo bench --bench drift`.
//!
//! Prints nanoseconds per window (median and fastest of many batches): the features of the input, and
//! the comparison with the baseline, for six channels and a classification.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark of fixed shapes"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inferd::clock::{Mono, Now, Timestamp};
use inferd::drift::{
    BaselineBuilder, Channel, FalseAlarms, Features, Output, Quantities, RESOLUTION, Settings,
    Watcher,
};

const CHANNELS: usize = 6;
const BATCHES: usize = 60;
const WINDOWS: usize = 4_000;

fn main() {
    let quantities = Arc::new(quantities());
    println!("{:<52} {:>10} {:>10}", "window", "median ns", "least ns");
    for length in [40, 128] {
        let name = format!("features of {CHANNELS} channels of {length} samples");
        let values: Vec<f64> = (0..CHANNELS * length).map(|n| wave(n as f64)).collect();
        let mut features = Features::new(&quantities);
        row(&name, |_| {
            features.clear();
            for (channel, of_channel) in black_box(&values).chunks_exact(length).enumerate() {
                features.set_channel(channel, of_channel.iter().copied());
            }
        });
        black_box(&features);
    }
    let mut builder = BaselineBuilder::new((*quantities).clone());
    (0..20_000).for_each(|n| builder.add(&window(&quantities, n)));
    let baseline = Arc::new(builder.build().unwrap());
    let settings = Settings {
        false_alarms: FalseAlarms::default(),
        learn: Duration::from_secs(86_400),
        reasons: &["syntax"],
    };
    let windows: Vec<Features> = (0..1_000).map(|n| window(&quantities, n)).collect();
    let mut watcher = Watcher::new(settings.clone(), quantities.clone(), Some(baseline));
    let name = format!("comparison of {} quantities and the labels", quantities.len());
    row(&name, |n| _ = watcher.window(&windows[n % windows.len()], at(n)));
    let mut learner = Watcher::new(settings, quantities, None);
    row("learning of the same", |n| _ = learner.window(&windows[n % windows.len()], at(n)));
}

fn quantities() -> Quantities {
    let output = |name: &str| Output { name: name.to_owned(), resolution: RESOLUTION };
    let channel = |n| Channel { name: format!("channel-{n}"), limits: Some([-2.0, 2.0]) };
    Quantities {
        channels: (0..CHANNELS).map(channel).collect(),
        outputs: ["score", "margin", "entropy"].map(output).to_vec(),
        labels: (0..4).map(|n| format!("label-{n}")).collect(),
    }
}

/// Some number between -1 and 1.
fn wave(n: f64) -> f64 {
    (n * 12.9898).sin()
}

fn window(quantities: &Quantities, n: usize) -> Features {
    let mut features = Features::new(quantities);
    for (place, number) in features.numbers.iter_mut().enumerate() {
        *number = wave((n * 31 + place) as f64);
    }
    features.extremes.fill([-1.0, 1.0]);
    features.label = Some(n % 4);
    features
}

fn at(n: usize) -> Now {
    let micros = u64::try_from(n).unwrap() * 10_000;
    Now { wall: Timestamp(i64::try_from(micros).unwrap()), mono: Mono(micros) }
}

fn row(name: &str, mut window: impl FnMut(usize)) {
    let mut n = 0;
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..WINDOWS {
                window(n);
                n += 1;
            }
            start.elapsed().as_secs_f64() * 1e9 / WINDOWS as f64
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    println!("{name:<52} {:>10.0} {:>10.0}", batches[BATCHES / 2], batches[0]);
}
