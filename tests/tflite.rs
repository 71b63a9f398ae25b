//! A file of TensorFlow Lite in place of an ONNX file, from its card to a run.
#![cfg(feature = "tflite")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use inferd::npz;
use inferd::tensor::Data;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tflite").join(name)
}

/// What `inferd` prints, which must succeed.
fn run(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_inferd")).args(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_tflite_file_goes_where_an_onnx_file_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (model, card) = (at("model.tflite"), at("card.toml"));
    fs::copy(fixture("fc_chain.int8.tflite"), &model).unwrap();
    run(&["card", &model, "--name", "chain", "--out", &card]);
    assert!(fs::read_to_string(&card).unwrap().contains("file = \"model.tflite\""));
    for path in [folder.path().to_str().unwrap(), &model] {
        run(&["infer", path, "--explain", "--json"]);
        let report = run(&["bench", path, "--json", "--iterations", "3"]);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["nodes"]["float"], 1, "the softmax");
    }
}

/// The inputs of the archive by the name that the model gives them, and LiteRT's output.
#[test]
fn a_run_is_within_one_step_of_litert() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (model, archive) = (fixture("resnet.int8.tflite"), fixture("resnet.int8.npz"));
    let mut arrays = npz::read(&fs::read(archive).unwrap(), 1 << 20).unwrap();
    let loaded = inferd::bundle::open_model(&model).unwrap();
    let (x, y) = (arrays.remove("x0").unwrap(), arrays.remove("y").unwrap());
    let bytes = npz::write([(loaded.inputs()[0].name.as_str(), &x)]).unwrap();
    fs::write(at("in.npz"), bytes).unwrap();
    run(&["infer", model.to_str().unwrap(), "--inputs", &at("in.npz"), "--outputs", &at("o.npz")]);
    let made = npz::read(&fs::read(at("o.npz")).unwrap(), 1 << 20).unwrap();
    let made = made.into_values().next().unwrap();
    assert_eq!(made.shape, y.shape);
    let (Data::I8(ours), Data::I8(theirs)) = (made.data, y.data) else { panic!("int8 outputs") };
    assert!(ours.iter().zip(&theirs).all(|(a, b)| a.abs_diff(*b) <= 1), "{ours:?} {theirs:?}");
}
