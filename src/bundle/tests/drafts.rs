//! First cards of models: they fit, and name what the model shows.

use crate::bundle::Bundle;
use crate::bundle::draft::Draft;
use crate::engine::{LoadOptions, Model};

const MOTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/motion/model.onnx");

#[test]
fn the_first_card_of_the_demo_model_fits_it() {
    let bytes = std::fs::read(MOTION).unwrap();
    let model = Model::load(&bytes, &LoadOptions::default()).unwrap();
    let draft =
        Draft { name: "motion", file: "model.onnx", dims: "", constants: "", model: &model };
    let text = draft.card();
    for part in [
        "length = 40",
        "layout = \"channel-time\"",
        "channels = [\"c0\", \"c1\", \"c2\", \"c3\", \"c4\", \"c5\"]",
        "kind = \"classification\"",
        "activation = \"softmax\"",
        "\"class 3\"",
        "# [[stream]]",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let files = [("card.toml", text.into_bytes()), ("model.onnx", bytes)];
    let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    let (card, _) = Bundle::from_files(files, None).unwrap().card_and_model().unwrap();
    assert_eq!(card.output.labels().len(), 4);
}

#[test]
#[cfg(feature = "tflite")]
fn the_first_card_of_a_file_of_tensorflow_lite_fits_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/tflite/fc_chain.int8.tflite");
    let bytes = std::fs::read(path).unwrap();
    let model = Model::load(&bytes, &LoadOptions::default()).unwrap();
    let draft =
        Draft { name: "chain", file: "model.tflite", dims: "", constants: "", model: &model };
    let text = draft.card();
    assert!(text.contains("ends in a softmax") && text.contains("\"class 2\""), "{text}");
    let files = [("card.toml", text.into_bytes()), ("model.tflite", bytes)];
    let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    let (card, model) = Bundle::from_files(files, None).unwrap().card_and_model().unwrap();
    assert_eq!((card.output.labels().len(), model.nodes().float), (3, 1));
}
