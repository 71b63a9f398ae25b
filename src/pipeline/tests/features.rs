//! Features between the window and the tensor.

use std::path::Path;

use super::fixture::{Harness, card, spec, stream, taking, windowed};
use crate::bundle::Bundle;
use crate::bundle::card::{
    AnomalyScore, Card, FeatureSpec, InputSpec, Normalize, OutputKind, WindowSpec,
};
use crate::config::{Format, Missing, Stream};
use crate::features::{FeatureBlock, Statistic};
use crate::pipeline::check_compatibility;
use crate::tensor::{Data, Dtype};

fn statistics() -> FeatureBlock {
    FeatureBlock::Statistics(vec![Statistic::Average, Statistic::Maximum])
}

/// A card whose only input is made by these blocks.
fn featured(card: Card, blocks: Vec<FeatureBlock>, samples: Option<usize>) -> Card {
    let features = FeatureSpec { blocks, rate: None, samples };
    let input = InputSpec { features, ..card.inputs[0].clone() };
    Card { inputs: vec![input], ..card }
}

fn send(bench: &mut Harness, rows: &[[f64; 2]]) -> usize {
    let sent = rows.iter().map(|[a, b]| {
        let (outcome, out) = bench.step("sensors/x/imu", &format!("{{\"a\":{a},\"b\":{b}}}"));
        assert!(outcome.rejects.is_empty(), "{:?}", outcome.rejects);
        out.len()
    });
    sent.sum()
}

/// The features of each window are those of its normalised samples.
#[test]
fn a_window_becomes_the_features_of_its_samples() {
    let mut card = featured(windowed(4, 2), vec![statistics()], None);
    card.inputs[0].normalize = Normalize::MeanStd { mean: vec![1.0, 0.0], std: vec![1.0, 10.0] };
    let (model, taken) = taking(vec![spec("x", Dtype::F32, &[1, 4])]);
    let mut bench = Harness::new(stream(), card, model);
    let rows = [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [6.0, 0.0], [1.0, -40.0], [2.0, 10.0]];
    assert_eq!(send(&mut bench, &rows[..4]), 1);
    assert_eq!(*taken.lock().unwrap(), [Data::F32(vec![2.0, 5.0, 1.5, 3.0])]);
    assert_eq!(send(&mut bench, &rows[4..]), 1);
    assert_eq!(*taken.lock().unwrap(), [Data::F32(vec![2.0, 5.0, 0.0, 3.0])]);
}

/// A series is laid out as the model has it.
#[test]
fn a_series_of_differences_keeps_the_layout() {
    let blocks = || vec![FeatureBlock::Difference { order: 1 }];
    let (model, taken) = taking(vec![spec("x", Dtype::F32, &[1, 2, 2])]);
    let mut bench = Harness::new(stream(), featured(windowed(3, 3), blocks(), None), model);
    assert_eq!(send(&mut bench, &[[1.0, 10.0], [2.0, 30.0], [4.0, 60.0]]), 1);
    assert_eq!(*taken.lock().unwrap(), [Data::F32(vec![1.0, 20.0, 2.0, 30.0])]);
}

#[test]
fn a_message_that_is_a_whole_input_has_features() {
    let mut config = stream();
    config.payload.fields = Vec::new();
    let whole = || featured(card(None, &[], OutputKind::Raw), vec![statistics()], Some(4));
    let (model, taken) = taking(vec![spec("x", Dtype::F32, &[2])]);
    let mut bench = Harness::new(config.clone(), whole(), model);
    let (outcome, out) = bench.step("sensors/x/imu", "[1,2,3,6]");
    assert_eq!((outcome.rejects.len(), out.len()), (0, 1));
    assert_eq!(*taken.lock().unwrap(), [Data::F32(vec![3.0, 6.0])]);
    let (outcome, _) = bench.step("sensors/x/imu", "[1,2,3]");
    assert_eq!(outcome.rejects[0].reject.code(), "wrong-length");
    // A raw payload is samples, and not the model's input.
    config.payload.format = Format::Raw(Dtype::F32);
    let (model, taken) = taking(vec![spec("x", Dtype::F32, &[2])]);
    let mut bench = Harness::new(config, whole(), model);
    let bytes: Vec<u8> = [1.0_f32, 2.0, 3.0, 6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let incoming = bench.incoming("sensors/x/imu", &bytes);
    bench.pipeline.step(&incoming, &bench.clock, &mut Vec::new());
    assert_eq!(*taken.lock().unwrap(), [Data::F32(vec![3.0, 6.0])]);
}

/// Channels in rows of a whole input come sample by sample.
#[test]
fn a_whole_input_of_channels_has_features_of_each() {
    let card = featured(card(None, &["a", "b"], OutputKind::Raw), vec![statistics()], Some(2));
    let (model, taken) = taking(vec![spec("x", Dtype::F32, &[4])]);
    let mut bench = Harness::new(stream(), card, model);
    let (outcome, _) = bench.step("sensors/x/imu", "[[1,10],[3,30]]");
    assert!(outcome.rejects.is_empty(), "{:?}", outcome.rejects);
    assert_eq!(*taken.lock().unwrap(), [Data::F32(vec![2.0, 3.0, 20.0, 30.0])]);
}

#[test]
fn features_that_are_not_finite_are_rejected() {
    let rms = FeatureBlock::Statistics(vec![Statistic::Rms]);
    let (model, _) = taking(vec![spec("x", Dtype::F64, &[2])]);
    let mut bench = Harness::new(stream(), featured(windowed(2, 2), vec![rms], None), model);
    bench.step("sensors/x/imu", "{\"a\":1e200,\"b\":1}");
    let (outcome, out) = bench.step("sensors/x/imu", "{\"a\":1e200,\"b\":1}");
    assert_eq!((outcome.rejects[0].reject.code(), out.len()), ("not-finite", 0));
}

/// A reconstruction is compared with the features.
#[test]
fn an_autoencoder_of_features_is_compared_with_them() {
    let kind = OutputKind::Anomaly { score: AnomalyScore::ReconstructionMse, threshold: 1.0 };
    let window = WindowSpec { length: 2, hop: 2, max_gap: None, lead: 0 };
    let card = featured(card(Some(window), &["a", "b"], kind), vec![statistics()], None);
    let model = super::fixture::constant(&[4], &[2.0, 3.0, 20.0, 34.0]);
    let mut bench = Harness::new(stream(), card, model);
    bench.step("sensors/x/imu", "{\"a\":1,\"b\":10}");
    let (_, out) = bench.step("sensors/x/imu", "{\"a\":3,\"b\":30}");
    let prediction = super::fixture::prediction(&out[0].message.payload);
    assert_eq!(prediction["score"], 4.0);
}

/// scipy made the features that these golden samples were predicted from.
#[test]
fn the_vibration_model_predicts_its_golden_samples() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/vibration");
    let loaded = crate::pipeline::load(&Bundle::open(&folder).unwrap()).unwrap();
    assert_eq!(loaded.card.inputs[0].features.blocks.len(), 3);
}

/// What is wrong with a stream of a card and an input of the model.
fn misfits(stream: &Stream, card: &Card, shape: &[usize], dtype: Dtype) -> String {
    let (inputs, outputs) = ([spec("x", dtype, shape)], [spec("y", Dtype::F32, &[1])]);
    let problems = check_compatibility(stream, card, &inputs, &outputs).unwrap_err();
    problems.iter().map(|it| format!("{it}\n")).collect()
}

#[test]
fn what_features_do_not_fit_is_refused() {
    let card = featured(windowed(4, 2), vec![statistics()], None);
    let message = misfits(&stream(), &card, &[1, 5], Dtype::F32);
    assert!(message.contains("2 features of each of 2 channels, [2, 2]"), "{message}");
    let message = misfits(&stream(), &card, &[1, 4], Dtype::I8);
    assert!(message.contains("set quantize = true"), "{message}");
    let mut config = stream();
    config.payload.reading.missing.default = Missing::Nan;
    let message = misfits(&config, &card, &[1, 4], Dtype::F32);
    assert!(message.contains("there are none of NaN"), "{message}");
}
