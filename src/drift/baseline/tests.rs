use proptest::prelude::*;

use super::*;
use crate::drift::tests::source::Source;
use crate::drift::{Channel, Features, Output};

fn quantities() -> Quantities {
    let output = |name: &str| Output { name: name.to_owned(), resolution: 0.01 };
    Quantities {
        channels: vec![Channel { name: "x".to_owned(), limits: Some([-3.0, 3.0]) }],
        outputs: vec![output("score")],
        labels: (0..20).map(|label| format!("label-{label}")).collect(),
    }
}

fn features(quantities: &Quantities, numbers: &[f64], label: usize) -> Features {
    let mut features = Features::new(quantities);
    features.set_channel(0, numbers.iter().copied());
    features.numbers[2] = numbers[0];
    features.label = Some(label);
    features
}

fn made(windows: usize) -> Baseline {
    let quantities = quantities();
    let mut builder = BaselineBuilder::new(quantities.clone());
    let mut source = Source::new(3, 4, 0.0, 0.0);
    for window in 0..windows {
        let mut numbers = [0.0; 4];
        source.fill(&mut numbers);
        builder.add(&features(&quantities, &numbers, window % 17));
    }
    builder.build().unwrap()
}

/// The blocks of an AR(1) process with a daily sine, from so many windows.
fn blocks(correlation: f64, daily: f64, windows: usize) -> Blocks {
    let mut means = blocks::BlockMeans::default();
    let mut source = Source::new(5, 1, correlation, daily);
    let mut number = [0.0];
    for _ in 0..windows {
        source.fill(&mut number);
        means.add(number[0]);
    }
    means.finish().choose(0.01)
}

#[test]
fn blocks_are_as_long_as_windows_depend_on_each_other() {
    let independent = blocks(0.0, 0.0, 86_400);
    assert_eq!((independent.length, independent.wander), (8, [0.0; 2]));
    assert!((independent.sd - 1.0 / 8.0_f64.sqrt()).abs() < 0.02, "{independent:?}");
    let dependent = blocks(0.9, 0.0, 86_400);
    assert!((32..=128).contains(&dependent.length), "{dependent:?}");
    // The standard deviation of the mean of many windows is sqrt((1 + r) / (1 - r)) times that of
    // independent ones.
    let scaled = dependent.sd * f64::from(dependent.length).sqrt() / 19.0_f64.sqrt();
    assert!((0.9..1.2).contains(&scaled), "{scaled}");
    let daily = blocks(0.0, 1.0, 3 * 86_400);
    assert!(daily.wander.iter().all(|side| (1.0..1.4).contains(side)), "{daily:?}");
    assert!((daily.sd - 1.0 / 8.0_f64.sqrt()).abs() < 0.02, "{daily:?}");
}

#[test]
fn a_baseline_reads_back_and_numpy_sees_its_arrays() {
    let baseline = made(3_000);
    let bytes = baseline.write().unwrap();
    let read = Baseline::read(&bytes).unwrap();
    assert_eq!(format!("{read:?}"), format!("{baseline:?}"), "NaN is not equal to itself");
    assert!(bytes.len() < 16 << 10, "{} bytes", bytes.len());
    let number = read.number("score").unwrap();
    assert_eq!((number.edges.len(), number.shape.counts.len()), (15, 16));
    assert!(number.shape.counts.iter().all(|count| (187.0..=188.0).contains(count)));
    let labels = read.labels.unwrap();
    assert_eq!(labels.bins.iter().filter(|bin| **bin == 15).count(), 5, "the rare ones together");
}

#[test]
fn a_number_with_few_values_has_few_bins() {
    let quantities = quantities();
    let mut builder = BaselineBuilder::new(quantities.clone());
    for window in 0..600_u32 {
        let step = f64::from(window % 3);
        builder.add(&features(&quantities, &[step, step], 0));
    }
    let baseline = builder.build().unwrap();
    let number = baseline.number("x.mean").unwrap();
    assert_eq!(number.edges, [1.0, 2.0]);
    assert_eq!(number.shape.counts, [200.0; 3]);
    assert_eq!(baseline.channel("x").unwrap().constant, 1.0);
    assert_eq!(baseline.channel("x").unwrap().range, [0.0, 2.0]);
}

#[test]
fn too_few_windows_and_foreign_quantities_are_refused() {
    let quantities = quantities();
    let mut builder = BaselineBuilder::new(quantities.clone());
    (0..63).for_each(|_| builder.add(&features(&quantities, &[1.0], 0)));
    assert!(builder.build().unwrap_err().contains("63 windows are too few"));
    let baseline = made(100);
    assert_eq!(baseline.check(&quantities), Ok(()));
    let mut other = quantities.clone();
    other.channels[0].name = "y".to_owned();
    let why = baseline.check(&other).unwrap_err();
    assert!(why.contains("x.mean") && why.contains("y.mean"), "{why}");
    let mut other = quantities;
    other.labels.pop();
    assert!(baseline.check(&other).unwrap_err().contains("labels"));
}

/// A file with one array in the place of another.
fn with(name: &str, tensor: crate::tensor::Tensor) -> String {
    let mut arrays = crate::npz::read(&made(100).write().unwrap(), 1 << 20).unwrap();
    arrays.insert(name.to_owned(), tensor);
    let arrays = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Baseline::read(&crate::npz::write(arrays).unwrap()).unwrap_err().to_string()
}

#[test]
fn arrays_that_no_baseline_has_are_refused_by_name() {
    use crate::tensor::{Data, Tensor};
    let reals = |values: Vec<f64>| Tensor { shape: vec![values.len()], data: Data::F64(values) };
    let whole = |values: Vec<i64>| Tensor { shape: vec![values.len()], data: Data::I64(values) };
    let text =
        |text: &str| Tensor { shape: vec![text.len()], data: Data::U8(text.as_bytes().to_vec()) };
    assert!(with("format", whole(vec![2])).contains("format is 2"));
    assert!(with("mean", reals(vec![0.0])).contains("\"mean\": 1 numbers instead of 3"));
    assert!(with("mean", reals(vec![0.0, f64::NAN, 0.0])).contains("not finite"));
    assert!(with("mean", whole(vec![1, 2, 3])).contains("i64 instead of f64"));
    assert!(with("count", reals(vec![-1.0; 3])).contains("not a count"));
    assert!(with("block_sd", reals(vec![-1.0; 33])).contains("negative"));
    assert!(with("edges", reals(vec![1.0; 45])).contains("not ascending"));
    assert!(with("names", text(&"x\n".repeat(41))).contains("41 names; at most 40"));
    assert!(with("label_bins", whole(vec![99; 20])).contains("no such bin"));
    assert!(with("channel_constant", reals(vec![2.0])).contains("not a share"));
    assert!(with("channel_low", reals(vec![9e9])).contains("above channel_high"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_baseline_and_no_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        prop_assert!(Baseline::read(&bytes).is_err());
    }

    #[test]
    fn a_damaged_file_is_refused_or_can_be_watched_with(at in 0_usize..4000, bit in 0_u8..8) {
        let mut bytes = made(100).write().unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(baseline) = Baseline::read(&bytes) {
            for number in &baseline.numbers {
                let blocks = number.blocks.choose(0.01);
                prop_assert!(blocks.length >= 8);
            }
        }
    }
}
