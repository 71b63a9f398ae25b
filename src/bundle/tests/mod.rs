mod drafts;
mod features;
mod inputs;
mod outputs;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::card::{Activation, AnomalyScore, Layout, Normalize, OutputKind};
use super::*;
use crate::config::problem::Problem;
use crate::ids::ModelName;
use crate::npz;
use crate::tensor::{Data, Tensor};

fn built_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion")
}

/// The demonstration model with one thing in its card changed.
fn altered(from: &str, to: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.onnx", "golden.npz", "golden_samples.json"] {
        fs::copy(built_in().join(name), folder.path().join(name)).unwrap();
    }
    let card = fs::read_to_string(built_in().join("card.toml")).unwrap();
    assert!(card.contains(from), "the card has no {from:?}");
    let card = card.replace(from, to);
    fs::write(folder.path().join("card.toml"), &card).unwrap();
    (folder, card)
}

/// Without the golden samples, which take a pipeline.
fn load(bundle: &Bundle) -> Result<VerifiedModel, BundleError> {
    bundle.load(|_, _, _| Ok(()))
}

fn refusal(from: &str, to: &str) -> String {
    let (folder, _) = altered(from, to);
    Bundle::open(folder.path()).and_then(|bundle| load(&bundle)).unwrap_err().to_string()
}

fn card(text: &str) -> Result<Card, Vec<Problem>> {
    Card::parse(text, |name| match name {
        "labels.txt" => Ok("a\nb\n".to_owned()),
        _ => Err("not in the bundle".to_owned()),
    })
}

fn with_output(output: &str) -> Result<Card, Vec<Problem>> {
    card(&format!(
        "format = 1\n[model]\nname = \"m\"\nversion = \"1\"\n[[input]]\nname = \
         \"x\"\n[output]\n{output}"
    ))
}

fn problems(output: &str) -> String {
    let problems = with_output(output).unwrap_err();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn the_demonstration_model_is_what_its_card_says() {
    let loaded = load(&Bundle::open(&built_in()).unwrap()).unwrap();
    assert_eq!(loaded.card.name.as_str(), "motion");
    let window = loaded.card.window.as_ref().unwrap();
    assert_eq!((window.length, window.hop), (40, 10));
    let [input] = &loaded.card.inputs[..] else { panic!("one input") };
    assert_eq!(input.layout, Layout::CHANNEL_TIME);
    assert!(
        matches!(&input.normalize, Normalize::MeanStd { mean, std } if mean.len() == std.len())
    );
    assert_eq!(loaded.card.output.activation, Activation::Softmax);
    assert_eq!(loaded.digest.to_string().len(), 64);
}

#[test]
fn a_bundle_is_a_folder_or_one_file() {
    let folder = Bundle::open(&built_in()).unwrap();
    let mut bytes = Vec::new();
    folder.write(&mut bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("motion.bundle"), &bytes).unwrap();
    let name = ModelName::parse("motion").unwrap();
    let file = Bundle::built_in(dir.path(), &name).unwrap();
    assert_eq!(file.card(), folder.card());
    assert_eq!(load(&file).unwrap().digest, folder.digest());
    let mut again = Vec::new();
    file.write(&mut again).unwrap();
    assert_eq!(bytes, again, "the same files, the same bytes");
    let other = ModelName::parse("other").unwrap();
    let missing = Bundle::built_in(dir.path(), &other).unwrap_err();
    assert!(missing.to_string().contains("no model other in"), "{missing}");
    fs::rename(dir.path().join("motion.bundle"), dir.path().join("other.bundle")).unwrap();
    assert!(matches!(Bundle::built_in(dir.path(), &other), Err(BundleError::OtherModel { .. })));
}

#[test]
fn golden_vectors_that_are_missing_hinder_no_trial_and_every_service() {
    let (folder, _) = altered("tolerance = 0.0307", "tolerance = 0.03");
    fs::remove_file(folder.path().join("golden.npz")).unwrap();
    open_model(folder.path()).unwrap();
    let bundle = Bundle::open(folder.path()).unwrap();
    let mut file = Vec::new();
    bundle.write(&mut file).unwrap();
    for bundle in [bundle, Bundle::read(&file).unwrap()] {
        let refused = load(&bundle).unwrap_err().to_string();
        assert!(refused.contains("golden.npz: these golden vectors are named"), "{refused}");
    }
}

#[test]
fn a_golden_mismatch_refuses_the_model_and_shows_where() {
    let (folder, _) = altered("tolerance = 0.0307", "tolerance = 0.0");
    let golden = fs::read(folder.path().join("golden.npz")).unwrap();
    let mut arrays = npz::read(&golden, 1 << 20).unwrap();
    let Data::F32(logits) = &mut arrays.get_mut("logits").unwrap().data else { panic!("f32") };
    logits[4 * 3 + 2] += 1.5;
    let pairs = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor));
    fs::write(folder.path().join("golden.npz"), npz::write(pairs).unwrap()).unwrap();
    let refused = load(&Bundle::open(folder.path()).unwrap()).unwrap_err();
    let BundleError::Golden { source: GoldenError::Differs { .. }, .. } = &refused else {
        panic!("{refused}");
    };
    // The tolerance of one step is back, so that only the altered element is over it.
    let card = fs::read_to_string(folder.path().join("card.toml")).unwrap();
    let card = card.replace("tolerance = 0.0", "tolerance = 0.0307");
    fs::write(folder.path().join("card.toml"), card).unwrap();
    let refused = load(&Bundle::open(folder.path()).unwrap()).unwrap_err().to_string();
    assert!(refused.contains("run 3, output \"logits\", element 2: expected"), "{refused}");
    assert!(refused.contains("over the tolerance 0.0307 (1 of 4 elements"), "{refused}");
}

#[test]
fn golden_vectors_that_prove_nothing_are_refused() {
    let bundle = Bundle::open(&built_in()).unwrap();
    let model = bundle.model().unwrap();
    let prove = |arrays: &[(&str, &Tensor)]| {
        let bytes = npz::write(arrays.iter().copied()).unwrap();
        golden_vectors::prove(&model, &bytes, 0.1).unwrap_err().to_string()
    };
    let window = Tensor::zeros(crate::tensor::Dtype::F32, &[2, 1, 6, 40]);
    let logits = Tensor::zeros(crate::tensor::Dtype::F32, &[3, 1, 4]);
    let wide = Tensor::zeros(crate::tensor::Dtype::F64, &[2, 1, 6, 40]);
    assert!(prove(&[("window", &window)]).contains("no run with an output"));
    assert!(prove(&[("logits", &logits)]).contains("no array \"window\""));
    assert!(prove(&[("window", &window), ("y", &logits)]).contains("neither an input nor"));
    assert!(prove(&[("window", &window), ("logits", &logits)]).contains("has 3 runs"));
    assert!(prove(&[("window", &logits)]).contains("[N, 1, 6, 40]"));
    assert!(prove(&[("window", &wide)]).contains("has f64 elements, the model has f32"));
    assert!(golden_vectors::prove(&model, b"no zip", 0.1).is_err());
}

#[test]
fn a_card_that_speaks_of_another_model_is_refused() {
    let channels = "channels = [\"ax\", \"ay\", \"az\", \"gx\", \"gy\", \"gz\"]";
    assert!(refusal("length = 40", "length = 50").contains("50 samples of 6 channels"));
    assert!(refusal("\"channel-time\"", "\"time-channel\"").contains("layout is time-channel"));
    assert!(
        refusal("name = \"window\"", "name = \"x\"").contains("inputs in order: \"window\" f32")
    );
    assert!(refusal("name = \"logits\"", "name = \"y\"").contains("output.name is \"y\""));
    assert!(refusal("top_k = 4", "quantze = 1").contains("unknown option"));
    assert!(refusal(channels, &format!("{channels}\nquantize = true")).contains("takes f32"));
    let three = refusal("\"badminton\", ", "");
    assert!(three.contains("more than the 3 labels"), "{three}");
    assert!(refusal("file = \"model.onnx\"", "file = \"../m.onnx\"").contains("plain file name"));
    assert!(refusal("file = \"model.onnx\"", "file = \"m.onnx\"").contains("m.onnx"));
}

#[test]
fn five_mistakes_in_a_card_are_five_problems() {
    let (folder, text) = altered("layout = \"channel-time\"", "layout = \"rows\"\nscale = 2");
    let text = text.replace("hop = 10", "hop = 0").replace("format = 1", "format = 2");
    let text = text.replace("kind = \"mean-std\"", "kind = \"min-max\"");
    fs::write(folder.path().join("card.toml"), text).unwrap();
    let BundleError::Card(problems) = Bundle::open(folder.path()).unwrap_err() else {
        panic!("a bad card");
    };
    let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    for path in ["format", "window.hop", "input[0].layout", "input[0].scale"] {
        assert!(paths.contains(&path), "{path} of {paths:?}");
    }
    for key in ["mean", "std", "min", "max"] {
        let path = format!("input[0].normalize.{key}");
        assert!(paths.contains(&path.as_str()), "{path} of {paths:?}");
    }
}

#[test]
fn every_kind_of_output_is_read() {
    let kind = |output: &str| with_output(output).unwrap().output.kind;
    let labels = || vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(
        kind("kind = \"classification\"\nlabels_file = \"labels.txt\""),
        OutputKind::Classification { labels: labels(), top_k: 2, threshold: 0.0 }
    );
    assert_eq!(
        kind("kind = \"multi-label\"\nlabels = [\"a\", \"b\"]\nthreshold = 0.7"),
        OutputKind::MultiLabel { labels: labels(), thresholds: vec![0.7, 0.7] }
    );
    assert_eq!(
        kind("kind = \"regression\"\nnames = [\"a\", \"b\"]\nscale = 2.0\noffset = [0.5, 1]"),
        OutputKind::Regression {
            names: labels(),
            units: vec![String::new(); 2],
            scale: vec![2.0, 2.0],
            offset: vec![0.5, 1.0],
        }
    );
    assert_eq!(
        kind("kind = \"anomaly\"\nscore = \"reconstruction-mse\"\nthreshold = 9"),
        OutputKind::Anomaly { score: AnomalyScore::ReconstructionMse, threshold: 9.0 }
    );
    assert_eq!(kind("kind = \"raw\""), OutputKind::Raw);
}

#[test]
fn what_an_output_lacks_or_has_too_much_is_a_problem() {
    assert!(problems("").contains("output.kind: missing"));
    assert!(problems("kind = \"multi-label\"").contains("output.labels: missing"));
    let twice = "kind = \"classification\"\nlabels = [\"a\", \"a\"]";
    assert!(problems(twice).contains("\"a\" is there twice"));
    let file = "kind = \"classification\"\nlabels_file = \"../x\"";
    assert!(problems(file).contains("not a plain file name"));
    let none = "kind = \"classification\"\nlabels_file = \"none.txt\"";
    assert!(problems(none).contains("not in the bundle"));
    assert!(problems("kind = \"anomaly\"").contains("output.threshold: missing"));
    assert!(problems("kind = \"regression\"").contains("output.names: missing"));
    let foreign = problems("kind = \"raw\"\nlabels = [\"a\"]\nthreshold = 1");
    assert!(foreign.contains("output.labels = [\"a\"]: means nothing for kind = \"raw\""));
    assert!(foreign.contains("output.threshold = 1: means nothing"));
    let counts = problems("kind = \"multi-label\"\nlabels = [\"a\", \"b\"]\nthresholds = [1]");
    assert!(counts.contains("1 numbers for 2 labels"), "{counts}");
}

fn tar(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn files_of_a_bundle_stay_in_it() {
    let refused =
        |name: &str, kind| Bundle::read(&tar(&[(name, kind, b"x")])).unwrap_err().to_string();
    let regular = tar::EntryType::Regular;
    for name in ["../card.toml", "/etc/passwd", "a/b", ".hidden", "./../x"] {
        let why = refused(name, regular);
        assert!(why.contains("not a plain file name"), "{name}: {why}");
    }
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Char] {
        assert!(refused("card.toml", kind).contains("not a plain file"));
    }
    let twice = tar(&[("a", regular, b"x"), ("./a", regular, b"y")]);
    assert!(Bundle::read(&twice).unwrap_err().to_string().contains("there twice"));
    assert!(refused("other", regular).contains("card.toml: not in the bundle"));
}

#[test]
fn a_bundle_that_is_cut_off_is_refused() {
    let mut bytes = Vec::new();
    Bundle::open(&built_in()).unwrap().write(&mut bytes).unwrap();
    for length in [0, 1, 511, 512, 600, 3000, bytes.len() / 2] {
        assert!(Bundle::read(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
}

#[test]
fn a_bare_model_opens_without_a_card() {
    let model = open_model(&built_in().join("model.onnx")).unwrap();
    assert_eq!(model.inputs()[0].name, "window");
    assert_eq!(open_model(&built_in()).unwrap().outputs()[0].name, "logits");
    assert!(open_model(Path::new("/nowhere.onnx")).unwrap_err().is_io());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bad.onnx"), b"not a model").unwrap();
    let refused = open_model(&dir.path().join("bad.onnx")).unwrap_err();
    assert!(matches!(refused, BundleError::Model { .. }), "{refused}");
}

/// A length that 32 bits would make a small one.
#[test]
fn a_file_of_more_than_4_gib_is_refused_by_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    fs::File::create(&path).unwrap().set_len((1 << 32) + 16).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), (1 << 32) + 16);
    let error = open_model(&path).unwrap_err();
    assert!(matches!(error, BundleError::TooLarge { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bundles_never_panic(
        damage in prop::collection::vec((0usize..4096, any::<u8>()), 1..8),
    ) {
        let card = fs::read(built_in().join("card.toml")).unwrap();
        let mut bytes = tar(&[
            ("card.toml", tar::EntryType::Regular, &card),
            ("model.onnx", tar::EntryType::Regular, b"m"),
            ("golden.npz", tar::EntryType::Regular, b"g"),
        ]);
        for (at, byte) in damage {
            bytes[at] = byte;
        }
        if let Ok(bundle) = Bundle::read(&bytes) {
            prop_assert!(load(&bundle).is_err(), "\"m\" is no model");
        }
    }

    #[test]
    fn a_card_of_any_text_is_read_or_refused(text in "(format = 1\n)?(\\[|\\]|[a-z_]{1,8}| = \
                                                      |[0-9]|\n|\"|\\{|\\}|,){0,60}") {
        prop_assert!(card(&text).is_err(), "no such text is a whole card");
    }
}

#[test]
fn the_page_on_cards_is_that_of_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/model-card.md");
    if std::env::var_os("INFERD_WRITE_REFERENCE").is_some() {
        fs::write(&path, reference::page()).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == reference::page(),
        "docs/model-card.md is not what src/bundle/reference.rs says; write it again with \
         INFERD_WRITE_REFERENCE=1 cargo test --lib bundle"
    );
}
