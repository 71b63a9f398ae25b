//! Classifiers of scikit-learn, LightGBM and XGBoost as their exporters write them
//! (`tests/models/exported/make.py`) with a card that names neither output nor labels: the scores
//! are published, no label contradicts them, and text labels are the model's. The values are
//! compared with ONNX Runtime's in `src/engine/tests/classical.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use inferd::bundle::{Bundle, VerifiedModel};
use inferd::pipeline;
use serde::Deserialize;

/// What ONNX Runtime made of rows of inputs, by the name of the output.
#[derive(Deserialize)]
struct Expected {
    y: BTreeMap<String, Vec<Vec<f64>>>,
    /// The texts of the classes, if they are texts.
    classes: Vec<String>,
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
    assert!(names.len() > 40, "{names:?}");
    names
}

fn expected(name: &str) -> Expected {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Opens a classifier with a card that names no output; `labels` may be empty.
fn classifier(name: &str, labels: &[String]) -> Result<VerifiedModel, String> {
    let folder_of_bundle = tempfile::tempdir().unwrap();
    let model = folder().join(format!("{name}.onnx"));
    fs::copy(model, folder_of_bundle.path().join("model.onnx")).unwrap();
    let labels = if labels.is_empty() { String::new() } else { format!("labels = {labels:?}\n") };
    let card = format!(
        "format = 1\n[model]\nname = \"m\"\nversion = \"1\"\n[[input]]\nname = \"x\"\n\
         [output]\nkind = \"classification\"\n{labels}"
    );
    fs::write(folder_of_bundle.path().join("card.toml"), card).unwrap();
    Bundle::open(folder_of_bundle.path())
        .and_then(|bundle| pipeline::load(&bundle))
        .map_err(|error| error.to_string())
}

/// `c0`, `c1`, …
fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("c{class}")).collect()
}

#[test]
fn the_label_of_an_exported_classifier_is_the_class_with_the_highest_score() {
    let mut seen = 0;
    for name in names() {
        let expected = expected(&name);
        let of = |names: [&str; 2]| {
            names.iter().find_map(|n| expected.y.get(*n).map(|values| (*n, values)))
        };
        let (Some((label, labels)), Some((output, scores))) =
            (of(["output_label", "label"]), of(["output_probability", "probabilities"]))
        else {
            continue;
        };
        let classes = scores[0].len();
        seen += 1;
        if classes == 1 {
            let why = classifier(&name, &numbered(2)).unwrap_err();
            assert!(why.contains("2 labels"), "{name}: {why}");
            continue;
        }
        let card = classifier(&name, &numbered(classes)).unwrap_or_else(|w| panic!("{name}: {w}"));
        let chosen = card.card.output.name.clone();
        // Two classes of support vectors without probabilities: the scores are the wrong way round.
        if name.starts_with("svc") {
            assert_eq!(chosen.as_deref(), Some(label), "{name}");
            continue;
        }
        assert_eq!(chosen.as_deref(), Some(output), "{name}");
        if name.contains("svc") {
            continue;
        }
        for (label, scores) in labels.iter().zip(scores) {
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let class = scores.iter().position(|score| *score == most).unwrap();
            assert_eq!(label[0], class as f64, "{name}: {scores:?}");
        }
    }
    assert!(seen >= 20, "{seen} classifiers");
}

#[test]
fn texts_of_the_model_are_the_labels_of_a_card_without_labels() {
    let texts = names().into_iter().filter(|name| name.contains("texts"));
    for name in texts {
        let classes = expected(&name).classes;
        let card = classifier(&name, &[]).unwrap_or_else(|why| panic!("{name}: {why}")).card;
        assert_eq!(card.output.labels(), classes, "{name}");
        let turned: Vec<String> = classes.iter().rev().cloned().collect();
        let why = classifier(&name, &turned).unwrap_err();
        assert!(why.contains("in its order"), "{name}: {why}");
    }
    let why = classifier("linear-svc", &[]).unwrap_err();
    assert!(why.contains("output.labels is missing"), "{why}");
}
