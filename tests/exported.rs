//! Models of scikit-learn and LightGBM as their exporters write them (`tests/models/exported/make.py`):
//! each gives the values of ONNX Runtime or is refused with advice, and no label contradicts its
//! scores.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inferd::bundle::{Bundle, VerifiedModel};
use inferd::engine::{LoadOptions, Model, Session};
use inferd::pipeline;
use inferd::tensor::{Data, Tensor};
use serde::Deserialize;

/// Models that are refused, with a word of the advice.
const REFUSED: &[(&str, &str)] = &[
    ("gradient-boosting-regressor", "neural networks and tree classifiers"),
    ("scaled-mlp", "put its mean and scale into the model card"),
    ("scaled-mlp-zipmap", "put its mean and scale into the model card"),
    ("svc", "neural networks and tree classifiers"),
    ("svc-zipmap", "neural networks and tree classifiers"),
];
const ZIPMAP_ADVICE: &str = "export with skl2onnx options={'zipmap': False}";
/// Largest difference from ONNX Runtime, whose sums may be in another order.
const TOLERANCE: f64 = 2e-6;

/// What ONNX Runtime made of rows of inputs, by the name of the output.
#[derive(Deserialize)]
struct Expected {
    x: Vec<Vec<f32>>,
    y: BTreeMap<String, Vec<Vec<f64>>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/exported")
}

/// The names of the exported models.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    names
}

fn load(name: &str) -> Result<Model, String> {
    let onnx = fs::read(folder().join(format!("{name}.onnx"))).unwrap();
    Model::load(&onnx, &LoadOptions::default()).map_err(|error| error.to_string())
}

fn expected(name: &str) -> Expected {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The outputs for one row, by name.
fn run(session: &mut Session, row: &[f32]) -> BTreeMap<String, Vec<f64>> {
    let specs = session.model().outputs().to_vec();
    let mut outputs: Vec<Tensor> =
        specs.iter().map(|spec| Tensor::zeros(spec.dtype, &spec.shape)).collect();
    let input = Tensor { shape: vec![1, row.len()], data: Data::F32(row.to_vec()) };
    session.run(&[input], &mut outputs).unwrap();
    specs.into_iter().zip(outputs).map(|(spec, output)| (spec.name, reals(&output.data))).collect()
}

fn reals(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(values) => values.iter().map(|v| f64::from(*v)).collect(),
        Data::I64(values) => values.iter().map(|v| *v as f64).collect(),
        other => panic!("an output of {:?}", other.dtype()),
    }
}

#[test]
fn an_exported_model_gives_the_values_of_onnx_runtime_or_advice() {
    for name in names() {
        let advice =
            REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, advice)| *advice);
        let advice = advice.or_else(|| name.ends_with("-zipmap").then_some(ZIPMAP_ADVICE));
        let model = match (load(&name), advice) {
            (Err(why), Some(advice)) => {
                assert!(why.contains(advice), "{name}: {why}");
                continue;
            }
            (Ok(_), Some(_)) => panic!("{name} is no longer refused: correct the list"),
            (model, None) => model.unwrap_or_else(|why| panic!("{name}: {why}")),
        };
        let mut session = Arc::new(model).session();
        let expected = expected(&name);
        for (row, x) in expected.x.iter().enumerate() {
            for (output, got) in run(&mut session, x) {
                let wanted = &expected.y[&output][row];
                let near = |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * b.abs().max(1.0);
                assert!(
                    got.len() == wanted.len() && got.iter().zip(wanted).all(near),
                    "{name}, row {row}: {output} is {got:?}, ONNX Runtime has {wanted:?}"
                );
            }
        }
    }
}

/// Opens a classifier with a card that names no output.
fn classifier(name: &str, classes: usize) -> Result<VerifiedModel, String> {
    let folder_of_bundle = tempfile::tempdir().unwrap();
    let model = folder().join(format!("{name}.onnx"));
    fs::copy(model, folder_of_bundle.path().join("model.onnx")).unwrap();
    let labels: Vec<String> = (0..classes).map(|class| format!("c{class}")).collect();
    let card = format!(
        "format = 1\n[model]\nname = \"m\"\nversion = \"1\"\n[[input]]\nname = \"x\"\n\
         [output]\nkind = \"classification\"\nlabels = {labels:?}\n"
    );
    fs::write(folder_of_bundle.path().join("card.toml"), card).unwrap();
    Bundle::open(folder_of_bundle.path())
        .and_then(|bundle| pipeline::load(&bundle))
        .map_err(|error| error.to_string())
}

#[test]
fn the_label_of_an_exported_classifier_is_the_class_with_the_highest_score() {
    let mut seen = 0;
    for name in names().iter().filter(|name| load(name).is_ok()) {
        let expected = expected(name);
        let Some(labels) = expected.y.get("label") else { continue };
        let classes = expected.y["probabilities"][0].len();
        seen += 1;
        if classes == 1 {
            let why = classifier(name, 2).unwrap_err();
            assert!(why.contains("2 labels"), "{name}: {why}");
            continue;
        }
        let card = classifier(name, classes).unwrap().card;
        assert_eq!(card.output.name.as_deref(), Some("probabilities"), "{name}");
        for (label, scores) in labels.iter().zip(&expected.y["probabilities"]) {
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let class = scores.iter().position(|score| *score == most).unwrap();
            assert_eq!(label[0], class as f64, "{name}: {scores:?}");
        }
    }
    assert!(seen >= 9, "{seen} classifiers");
}
