mod onnx;
mod random;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::*;
use crate::bundle::card::{Activation, Layout, Normalize, OutputKind};
use crate::engine::LoadOptions;
use crate::pipeline::tests::fixture;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion")
}

/// The demonstration model with its golden samples.
fn motion() -> (Arc<Card>, Arc<Model>, Vec<u8>) {
    let bundle = Bundle::open(&shipped()).unwrap();
    let samples = fs::read(shipped().join("golden_samples.json")).unwrap();
    (bundle.card().clone(), bundle.model().unwrap(), samples)
}

fn proved(card: &Card, model: &Arc<Model>, bytes: &[u8]) -> Result<(), String> {
    prove(&Arc::new(card.clone()), model, GoldenSamples { bytes, tolerance: 0.001 })
}

fn altered(card: &Card, change: impl FnOnce(&mut Card)) -> Card {
    let mut card = card.clone();
    change(&mut card);
    card
}

#[test]
fn the_demonstration_model_is_proved_by_samples_that_another_program_wrote() {
    let (card, model, samples) = motion();
    assert_eq!(proved(&card, &model, &samples), Ok(()));
    let names = channels(&card);
    let found = read_recordings(&samples, ColumnNames::Channels(&names), MAX_GOLDEN_ROWS).unwrap();
    assert_eq!(found.len(), 4, "one for each label");
    assert_eq!(
        undetected_changes(&card, &model, &found, 0.001),
        [""; 0],
        "no mistake goes unnoticed"
    );
}

#[test]
fn every_mistake_in_the_card_is_refused_with_its_likely_cause() {
    let (card, model, samples) = motion();
    let labels = |card: &mut Card| match &mut card.output.kind {
        OutputKind::Classification { labels, .. } => labels.swap(0, 3),
        other => panic!("{other:?}"),
    };
    let refused = |change: &dyn Fn(&mut Card), why: &str| {
        let told = proved(&altered(&card, change), &model, &samples).unwrap_err();
        assert!(told.contains(why), "{told}\nhas no {why:?}");
        told
    };
    let told = refused(
        &|card| card.inputs[0].normalize = Normalize::None,
        "normalize (the card has none)",
    );
    assert!(
        told.starts_with("recording badminton-30, row 39, score: expected 0.731305, got "),
        "{told}"
    );
    refused(
        &|card| card.inputs[0].channels.swap(1, 4),
        r#"with the channels "gy" and "ay" exchanged"#,
    );
    refused(&|card| card.inputs[0].channels.reverse(), "the order of channels");
    refused(&labels, r#"with the labels "walking" and "badminton" exchanged"#);
    refused(&|card| card.output.activation = Activation::None, r#"with activation = "softmax""#);
    refused(&|card| card.output.activation = Activation::Sigmoid, r#"with activation = "softmax""#);
    refused(&|card| card.window.as_mut().unwrap().hop = 11, "window.hop");
    refused(&|card| card.window.as_mut().unwrap().hop = 9, "next is expected at row 49");
    refused(&|card| card.window.as_mut().unwrap().length = 39, "window.length");
    refused(&|card| card.inputs[0].layout = Layout::TIME_CHANNEL, "input.layout");
    refused(
        &|card| card.inputs[0].channels[2] = "vertical".into(),
        "no column for the card's channels",
    );
    let mean_of = |normalize: &mut Normalize| match normalize {
        Normalize::MeanStd { mean, .. } => mean.swap(0, 1),
        other => panic!("{other:?}"),
    };
    refused(&|card| mean_of(&mut card.inputs[0].normalize), "likely cause: normalize");
    // The gap between two samples is a tenth of a second.
    let gap = std::time::Duration::from_millis(99);
    refused(&|card| card.window.as_mut().unwrap().max_gap = Some(gap), "window.max_gap");
    // What is no mistake is none.
    let top = |card: &mut Card| match &mut card.output.kind {
        OutputKind::Classification { top_k, .. } => *top_k = 2,
        other => panic!("{other:?}"),
    };
    assert_eq!(proved(&altered(&card, top), &model, &samples), Ok(()));
}

#[test]
fn a_bundle_is_refused_by_its_golden_samples_and_one_without_loads() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.onnx", "golden.npz", "golden_samples.json"] {
        fs::copy(shipped().join(name), folder.path().join(name)).unwrap();
    }
    let card = fs::read_to_string(shipped().join("card.toml")).unwrap();
    let load = |card: &str| {
        fs::write(folder.path().join("card.toml"), card).unwrap();
        load(&Bundle::open(folder.path()).unwrap()).map_err(|error| error.to_string())
    };
    load(&card).unwrap();
    let raw: String =
        card.lines().filter(|l| !l.starts_with("normalize")).map(|l| format!("{l}\n")).collect();
    let told = load(&raw).unwrap_err();
    let head = "model motion is refused by its golden samples (golden_samples.json): recording ";
    assert!(told.starts_with(head), "{told}");
    let former: String =
        card.lines().filter(|l| !l.starts_with("samples")).map(|l| format!("{l}\n")).collect();
    load(&former).unwrap();
    fs::remove_file(folder.path().join("golden_samples.json")).unwrap();
    load(&former).unwrap();
    let told = load(&card).unwrap_err();
    assert!(
        told.contains("golden_samples.json: these golden samples are named in the card"),
        "{told}"
    );
    // Vectors that the card does not name are optional beside samples, and run where they are.
    fs::copy(shipped().join("golden_samples.json"), folder.path().join("golden_samples.json"))
        .unwrap();
    let bare = card.replace("file = \"golden.npz\"\n", "");
    load(&bare).unwrap();
    fs::write(folder.path().join("golden.npz"), b"damaged").unwrap();
    assert!(load(&bare).unwrap_err().contains("golden vectors"));
    fs::remove_file(folder.path().join("golden.npz")).unwrap();
    load(&bare).unwrap();
    assert!(load(&card).unwrap_err().contains("golden.npz: these golden vectors are named"));
}

#[test]
fn a_file_that_proves_nothing_is_refused() {
    let (card, model, samples) = motion();
    let text = String::from_utf8(samples).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let told = |file: &Value| proved(&card, &model, file.to_string().as_bytes()).unwrap_err();
    file["recordings"].as_array_mut().unwrap().truncate(1);
    let recording = file["recordings"][0].clone();
    let with = |key: &str, value: Value| {
        let mut file = file.clone();
        file["recordings"][0][key] = value;
        told(&file)
    };
    assert!(told(&json!({"format": 1, "recordings": []})).contains("no recordings"));
    assert!(told(&json!({"format": 2, "recordings": []})).contains("its format is 2"));
    assert!(told(&json!({"format": 1, "recordings": [], "x": 1})).contains("\"x\" is not a field"));
    assert!(with("expected", json!([])).contains("expects no prediction"));
    assert!(
        with("expected", json!([{"row": 39, "labell": "x"}])).contains("\"labell\" is not one of")
    );
    assert!(with("expected", json!([{"row": 39}])).contains("it says nothing"));
    assert!(with("expected", json!([{"row": 60, "label": "x"}])).contains("names row 60"));
    assert!(with("expectd", json!([])).contains("unknown field `expectd`"));
    let first = |row: Value| {
        let mut rows = recording["rows"].clone();
        rows[0] = row;
        with("rows", rows)
    };
    assert!(with("rows", json!([[1, 2]])).contains("60 times for 1 rows"));
    assert!(first(json!([1, 2])).contains("row 0: 2 cells for 6 columns"));
    assert!(first(json!("x")).contains("row 0: neither a list nor an object"));
    assert!(with("times", json!([1, 2])).contains("2 times for 60 rows"));
    assert!(with("channels", json!(["ax", "ax", "az", "gx", "gy", "gz"])).contains("two columns"));
    let mut rows = recording["rows"].clone();
    rows[3][2] = json!("high");
    assert!(with("rows", rows.clone()).contains("row 3 is rejected: az is the text \"high\""));
    rows[3][2] = Value::Null;
    assert!(with("rows", rows).contains("row 3 is rejected: az is missing"));
    let mut many = recording;
    many["expected"] =
        json!((0..60).map(|row| json!({"row": row, "label": "x"})).collect::<Vec<_>>());
    let many = json!({"format": 1, "recordings": vec![many; 17]});
    assert!(told(&many).contains("1020 expected predictions; at most 1000"));
    assert!(proved(&card, &model, b"\xff\xfe").unwrap_err().contains("not UTF-8"));
    assert!(proved(&card, &model, b"{\"recordings\": [").unwrap_err().contains("not JSON"));
}

#[test]
fn whole_inputs_are_proved_as_well() {
    let mut card = fixture::card(None, &["a", "b"], fixture::two_labels());
    let weights = [0.5, -0.25, 1.0, 0.125];
    let model =
        Arc::new(Model::load(&onnx::product(2, 2, &weights), &LoadOptions::default()).unwrap());
    card.inputs[0].normalize = Normalize::ScaleOffset { scale: vec![2.0], offset: vec![1.0] };
    let csv = "b,other,a\n1,x,2\n3,x,4\n";
    let names = channels(&card);
    let mut recordings =
        read_recordings(csv.as_bytes(), ColumnNames::Channels(&names), 10).unwrap();
    record(&Arc::new(card.clone()), &model, &mut recordings, 0.0).unwrap();
    // a = 2 -> 5, b = 1 -> 3: 5 * .5 + 3 * 1, 5 * -.25 + 3 * .125.
    assert_eq!(
        recordings[0].expected[0].says["scores"],
        json!({"walking": 5.5, "running": -0.875})
    );
    let file = golden_file(&recordings);
    assert_eq!(proved(&card, &model, &file), Ok(()));
    let swapped = altered(&card, |card| card.inputs[0].channels.swap(0, 1));
    let told = proved(&swapped, &model, &file).unwrap_err();
    assert!(told.contains(r#"with the channels "b" and "a" exchanged"#), "{told}");
    // Channels as lists, and without names.
    let flat = altered(&card, |card| card.inputs[0].channels.clear());
    for (card, text) in [(&card, "{\"a\": [2], \"b\": [1]}\n"), (&flat, "[[2, 1]]\n")] {
        let names = channels(card);
        let mut lines =
            read_recordings(text.as_bytes(), ColumnNames::Channels(&names), 10).unwrap();
        record(&Arc::new(card.clone()), &model, &mut lines, 0.0).unwrap();
        assert_eq!(lines[0].expected[0].says, recordings[0].expected[0].says, "{text}");
    }
}

#[test]
fn expectations_that_are_given_are_verified_before_they_are_recorded() {
    let (card, model, samples) = motion();
    let names = channels(&card);
    let mut given =
        read_recordings(&samples, ColumnNames::Channels(&names), MAX_GOLDEN_ROWS).unwrap();
    record(&card, &model, &mut given, 0.001).unwrap();
    given[1].expected[2].says.insert("label".into(), json!("running"));
    let told = record(&card, &model, &mut given, 0.001).unwrap_err();
    let wanted = r#"recording resting-0, row 59, label: expected "running", got "resting""#;
    assert!(told.starts_with(wanted), "{told}");
}

#[test]
fn a_label_may_differ_only_where_its_scores_are_a_tie() {
    let card = fixture::card(None, &[], fixture::two_labels());
    let said = |label: &str, walking: f64, running: f64| {
        let scores = json!({"walking": walking, "running": running});
        let all = json!({"label": label, "score": walking.max(running), "scores": scores});
        all.as_object().unwrap().clone()
    };
    let compare = |expected, got, tolerance| {
        compare::prediction(&card, &expected, &got, tolerance).map_err(|differs| differs.field)
    };
    let walking = || said("walking", 0.5001, 0.4999);
    assert_eq!(compare(walking(), said("running", 0.4999, 0.5001), 0.001), Ok(()));
    assert_eq!(
        compare(walking(), said("running", 0.4999, 0.5001), 0.0001),
        Err("scores.running".into())
    );
    let apart = said("walking", 0.9, 0.1);
    assert_eq!(compare(apart.clone(), said("running", 0.9, 0.1), 0.1), Err("label".into()));
    let mut alone = apart.clone();
    alone.remove("scores");
    assert_eq!(compare(alone, said("running", 0.9, 0.1), 0.1), Err("label".into()));
    let mut none = apart.clone();
    none.insert("label".into(), Value::Null);
    assert_eq!(compare(apart, none, 0.01), Err("label".into()), "0.9 is far from the threshold");
}
