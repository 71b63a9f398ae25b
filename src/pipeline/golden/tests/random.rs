//! Random cards and models: their recordings hold, and refuse every mistake in the card.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    ColumnNames, MAX_GOLDEN_ROWS, channels, check, golden_file, prove, read_recordings, record,
    undetected_changes,
};
use super::{altered, motion, onnx, proved};
use crate::bundle::GoldenSamples;
use crate::bundle::card::{
    Activation, AnomalyScore, Card, InputSpec, Layout, Normalize, OutputKind, WindowSpec,
};
use crate::engine::{LoadOptions, Model};
use crate::pipeline::Recording;
use crate::pipeline::tests::fixture;

const LENGTH: usize = 4;
const CHANNELS: [&str; 4] = ["ax", "ay", "temperature", "gas"];
const OUTPUTS: usize = 3;

fn kinds() -> Vec<(OutputKind, Activation, usize)> {
    let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let labels = || names.clone();
    vec![
        (
            OutputKind::Classification { labels: labels(), top_k: 3, threshold: 0.0 },
            Activation::Softmax,
            OUTPUTS,
        ),
        (
            OutputKind::MultiLabel { labels: labels(), thresholds: vec![0.5; 3] },
            Activation::Sigmoid,
            OUTPUTS,
        ),
        (
            OutputKind::Regression {
                names: labels(),
                units: Vec::new(),
                scale: vec![0.01; 3],
                offset: vec![7.0; 3],
            },
            Activation::None,
            OUTPUTS,
        ),
        (
            OutputKind::Anomaly { score: AnomalyScore::Output, threshold: 0.5 },
            Activation::Sigmoid,
            1,
        ),
        (OutputKind::Raw, Activation::None, OUTPUTS),
    ]
}

/// A random model of flat windows, which hold either layout, with recordings of it.
fn random(seed: u64, kind: usize) -> (Card, Arc<Model>, Vec<Recording>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (kind, activation, outputs) = kinds().swap_remove(kind % kinds().len());
    let width = LENGTH * CHANNELS.len();
    let weights: Vec<f32> = (0..width * outputs).map(|_| random.f32() * 0.4 - 0.2).collect();
    let model =
        Model::load(&onnx::product(width, outputs, &weights), &LoadOptions::default()).unwrap();
    let mut card = fixture::card(None, &CHANNELS, kind);
    card.window = Some(WindowSpec { length: LENGTH, hop: 2, max_gap: None, lead: 0 });
    card.inputs = vec![InputSpec {
        layout: if random.bool() { Layout::TIME_CHANNEL } else { Layout::CHANNEL_TIME },
        normalize: Normalize::MeanStd {
            mean: vec![1.0, -2.0, 20.0, 400.0],
            std: vec![2.0, 3.0, 5.0, 90.0],
        },
        ..card.inputs[0].clone()
    }];
    card.output.activation = activation;
    let around = [1.0, -2.0, 20.0, 400.0].into_iter().zip([2.0, 3.0, 5.0, 90.0]);
    let mut row = || {
        Value::Array(
            around
                .clone()
                .map(|(m, s)| json!(((m + s * (random.f64() * 4.0 - 2.0)) * 1e3).round() / 1e3))
                .collect(),
        )
    };
    let recording = Recording {
        name: "one".into(),
        channels: CHANNELS.map(str::to_owned).to_vec(),
        rows: (0..12).map(|_| row()).collect(),
        ..Recording::default()
    };
    (card, Arc::new(model), vec![recording])
}

type Mistake = (&'static str, fn(&mut Card));

const MISTAKES: [Mistake; 9] = [
    ("normalize is dropped", |card| card.inputs[0].normalize = Normalize::None),
    ("the layout is the other one", |card| {
        let Layout::Series(order) = card.inputs[0].layout;
        card.inputs[0].layout = Layout::Series(order.reversed());
    }),
    ("two channels are exchanged", |card| card.inputs[0].channels.swap(0, 1)),
    ("channels are turned round", |card| card.inputs[0].channels.rotate_left(1)),
    ("labels are turned round", |card| match &mut card.output.kind {
        OutputKind::Classification { labels, .. } | OutputKind::MultiLabel { labels, .. } => {
            labels.rotate_left(1)
        }
        OutputKind::Regression { names, .. } => names.rotate_left(1),
        // Without labels, something else that is named.
        _ => card.inputs[0].channels.swap(2, 3),
    }),
    ("the hop is longer", |card| card.window.as_mut().unwrap().hop = 3),
    ("the hop is shorter", |card| card.window.as_mut().unwrap().hop = 1),
    ("the window is shorter, with more channels to fit", |card| {
        card.window.as_mut().unwrap().length = 2;
    }),
    ("the activation is another", |card| {
        card.output.activation = match card.output.activation {
            Activation::None => Activation::Sigmoid,
            _ => Activation::None,
        };
    }),
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn recorded_samples_hold_and_refuse_every_mistake(seed in any::<u64>(), kind in 0..5_usize) {
        let (card, model, mut recordings) = random(seed, kind);
        let right = Arc::new(card.clone());
        record(&right, &model, &mut recordings, 0.0).unwrap();
        let file = golden_file(&recordings);
        let tolerance = 1e-5;
        let names = channels(&card);
        let again = read_recordings(&file, ColumnNames::Channels(&names), MAX_GOLDEN_ROWS).unwrap();
        prop_assert_eq!(&again, &recordings);
        prop_assert_eq!(check(&right, &model, &again, tolerance), Ok(()));
        for (mistake, make) in MISTAKES {
            let wrong = Arc::new(altered(&card, make));
            let samples = GoldenSamples { bytes: &file, tolerance };
            prop_assert!(prove(&wrong, &model, samples).is_err(), "{} and it holds", mistake);
        }
    }

    #[test]
    fn damaged_files_never_panic(
        damage in prop::collection::vec((0usize..18_000, any::<u8>()), 1..20),
    ) {
        let (card, model, mut samples) = motion();
        for (at, byte) in damage {
            samples[at] = byte;
        }
        // Refused or, where a digit far behind was hit, held: either way it comes to an end.
        drop(proved(&card, &model, &samples));
    }
}

#[test]
fn what_recordings_do_not_prove_is_told() {
    let (card, model, mut recordings) = random(7, 0);
    let card = Arc::new(card);
    let told = |recordings: &mut Vec<Recording>| {
        record(&card, &model, recordings, 0.0).unwrap();
        undetected_changes(&card, &model, recordings, 1e-5)
    };
    assert_eq!(told(&mut recordings), [""; 0]);
    // One window does not prove the hop; a column that is always its mean proves nothing of another.
    recordings[0].expected.clear();
    recordings[0].rows.truncate(LENGTH);
    for row in &mut recordings[0].rows {
        (row[0], row[1]) = (json!(3.0), json!(3.0));
    }
    let told = told(&mut recordings);
    assert_eq!(
        told,
        [
            "they come out the same with the channels \"ax\" and \"ay\" exchanged",
            "they come out the same with another hop than 2"
        ]
    );
}
