//! Which output a card is about, and the activation that fits it. The models are made by
//! `tests/models/make.py`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::bundle::{Bundle, BundleError, VerifiedModel};

const THREE: &str = "kind = \"classification\"\nlabels = [\"a\", \"b\", \"c\"]";
const TWO: &str = "kind = \"classification\"\nlabels = [\"ok\", \"fault\"]";

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/models/{name}.onnx"))
}

fn bundle(name: &str, output: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(model(name), folder.path().join("model.onnx")).unwrap();
    let card = format!(
        "format = 1\n[model]\nname = \"m\"\nversion = \"1\"\n[[input]]\nname = \
         \"x\"\n[output]\n{output}\n"
    );
    fs::write(folder.path().join("card.toml"), card).unwrap();
    folder
}

fn load(name: &str, output: &str) -> Result<VerifiedModel, BundleError> {
    let folder = bundle(name, output);
    Bundle::open(folder.path()).and_then(|bundle| bundle.load(|_, _, _| Ok(())))
}

fn loaded(name: &str, output: &str) -> (Option<String>, String) {
    let loaded = load(name, output).unwrap();
    (loaded.card.output.name.clone(), loaded.warnings.join("\n"))
}

fn refused(name: &str, output: &str) -> String {
    load(name, output).unwrap_err().to_string()
}

#[test]
fn scores_are_taken_where_the_first_output_is_a_class() {
    for name in ["forest-binary", "boosted-binary"] {
        let (output, warning) = loaded(name, TWO);
        assert_eq!(output.as_deref(), Some("probabilities"), "{name}");
        assert!(warning.contains("write output.name = \"probabilities\""), "{warning}");
        let (output, warning) = loaded(name, &format!("{TWO}\nname = \"label\""));
        assert_eq!(output.as_deref(), Some("probabilities"), "{name}");
        assert!(warning.contains("the class with the highest score"), "{warning}");
        let (output, warning) = loaded(name, &format!("{TWO}\nname = \"probabilities\""));
        assert_eq!((output.as_deref(), warning.as_str()), (Some("probabilities"), ""), "{name}");
    }
    let (output, _) = loaded("forest-ids", THREE);
    assert_eq!(output.as_deref(), Some("probabilities"));
}

#[test]
fn a_class_that_may_contradict_the_scores_is_refused_by_name() {
    let why = refused("own-rule", &format!("{THREE}\nname = \"label\""));
    assert!(why.contains("does not show that the two agree"), "{why}");
    assert!(why.contains("write output.name = \"probabilities\""), "{why}");
    let (output, warning) = loaded("own-rule", THREE);
    assert_eq!(output.as_deref(), Some("probabilities"));
    assert!(warning.contains("names no output"), "{warning}");
}

#[test]
fn class_ids_stand_for_labels_in_their_order() {
    let alone = load("forest-label-only", TWO).unwrap();
    assert_eq!(alone.card.output.class_ids, [1, 2]);
    let why = refused("forest-label-only", THREE);
    assert!(why.contains("one of 2 classes [1, 2], and the card has 3 labels"), "{why}");
    let why = refused("forest-label-only", &format!("{TWO}\nthreshold = 0.5"));
    assert!(why.contains("a class without a score"), "{why}");
    let why = refused("forest-label-only", &format!("{TWO}\nactivation = \"sigmoid\""));
    assert!(why.contains("a class, not a score"), "{why}");
}

#[test]
fn an_activation_is_applied_once() {
    let with = |activation: &str| format!("{THREE}\nactivation = \"{activation}\"");
    for (name, made_by) in
        [("softmax", "softmax"), ("sigmoid", "sigmoid"), ("forest-ids", "0 and 1")]
    {
        for activation in ["softmax", "sigmoid"] {
            let why = refused(name, &with(activation));
            assert!(why.contains(made_by) && why.contains("write activation = \"none\""), "{why}");
        }
        let (_, warning) = loaded(name, &with("none"));
        assert!(!warning.contains("activation"), "{warning}");
    }
    let why = refused("logsoftmax", &with("sigmoid"));
    assert!(why.contains("write activation = \"softmax\""), "{why}");
    for name in ["logsoftmax", "logits"] {
        assert_eq!(loaded(name, &with("softmax")).1, "");
        let (_, warning) = loaded(name, &with("none"));
        assert!(warning.contains("write activation = \"softmax\""), "{warning}");
    }
    let labels = "kind = \"multi-label\"\nlabels = [\"a\", \"b\", \"c\"]";
    assert!(loaded("logits", labels).1.contains("write activation = \"sigmoid\""));
    assert_eq!(loaded("sigmoid", labels).1, "");
    for kind in ["raw", "regression\"\nnames = [\"a\", \"b\", \"c\"]\nactivation = \"softmax"] {
        let kind = format!("kind = \"{kind}\"");
        let output =
            if kind.contains("raw") { format!("{kind}\nactivation = \"softmax\"") } else { kind };
        assert!(refused("softmax", &output).contains("write activation = \"none\""));
    }
}

/// Everything that is wrong with a bundle is said at once.
#[test]
fn missing_golden_vectors_hide_nothing() {
    let golden = "[golden]\nfile = \"golden.npz\"";
    let all = |name: &str, output: &str| refused(name, &format!("{output}\n{golden}"));
    let why = all("softmax", &format!("{TWO}\nactivation = \"softmax\""));
    assert!(why.contains("golden vectors are named in the card and not in the bundle"), "{why}");
    assert!(why.contains("2 labels, and the model gives 3 elements"), "{why}");
    assert!(why.contains("write activation = \"none\""), "{why}");
    let why = all("softmax", &format!("{TWO}\nactivaton = \"softmax\"\ntop_k = 9"));
    for part in ["activaton", "top_k", "golden.npz"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let folder = bundle("softmax", &format!("{THREE}\n{golden}"));
    fs::write(folder.path().join("model.onnx"), b"no model").unwrap();
    fs::write(folder.path().join("golden.npz"), b"no arrays").unwrap();
    let why = Bundle::open(folder.path())
        .and_then(|bundle| bundle.load(|_, _, _| Ok(())))
        .unwrap_err()
        .to_string();
    assert!(why.contains("model.onnx") && why.contains("golden vectors"), "{why}");
    fs::remove_file(folder.path().join("model.onnx")).unwrap();
    fs::remove_file(folder.path().join("golden.npz")).unwrap();
    fs::create_dir(folder.path().join("golden.npz")).unwrap();
    let why = Bundle::open(folder.path())
        .and_then(|bundle| bundle.load(|_, _, _| Ok(())))
        .unwrap_err()
        .to_string();
    assert!(why.contains("model.onnx: named in the card"), "{why}");
    assert!(
        why.contains("golden.npz: these golden vectors") && why.contains("cannot be read"),
        "{why}"
    );
}

#[test]
fn texts_of_the_model_are_the_labels_of_a_card_without_labels() {
    let without = "kind = \"classification\"";
    let name = "exported/lightgbm-texts";
    let card = load(name, without).unwrap().card;
    assert_eq!(card.output.labels(), ["fault", "ok", "wear"]);
    let turned = format!("{without}\nlabels = [\"wear\", \"ok\", \"fault\"]");
    assert!(refused(name, &turned).contains("in its order"));
    let many = refused(name, &format!("{without}\ntop_k = 4"));
    assert!(many.contains("top_k = 4 is more than the 3 labels"), "{many}");
    assert!(refused("softmax", without).contains("output.labels is missing"));
}

/// Without probabilities, the scores of two classes are the wrong way round.
#[test]
fn the_label_of_support_vectors_is_taken_instead_of_their_scores() {
    for (name, label, scores) in [
        ("exported/svc", "label", "probabilities"),
        ("exported/svc-zipmap", "output_label", "output_probability"),
    ] {
        let (output, _) = loaded(name, TWO);
        assert_eq!(output.as_deref(), Some(label), "{name}");
        let why = refused(name, &format!("{TWO}\nname = \"{scores}\""));
        assert!(why.contains("at another class than the model's own label"), "{why}");
    }
}

#[test]
fn the_scores_of_exported_classifiers_are_taken_without_a_name() {
    for (name, output) in [
        ("exported/tree-zipmap", "output_probability"),
        ("exported/lightgbm-binary-zipmap", "probabilities"),
        ("exported/xgboost-binary", "probabilities"),
        ("exported/gradient-boosting", "probabilities"),
        ("exported/logistic-regression-zipmap", "output_probability"),
        ("exported/scaled-mlp-zipmap", "output_probability"),
        ("exported/knn", "probabilities"),
    ] {
        let (found, _) = loaded(name, TWO);
        assert_eq!(found.as_deref(), Some(output), "{name}");
    }
}
