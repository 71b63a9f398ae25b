//! Classical models of exporters (`tests/models/exported/make.py`) against ONNX Runtime's values,
//! and mutants of their attributes. `INFERD_CLASSICAL=FOLDER` adds a folder of such files.

use super::{load, run_model};
use crate::engine::LoadError;
use crate::tensor::{Data, Dtype, Tensor};
use fastrand::Rng;
use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tract_onnx::pb::{AttributeProto, ModelProto};

/// Largest difference from ONNX Runtime, whose sums may be in another order.
const TOLERANCE: f64 = 2e-5;

#[derive(serde::Deserialize)]
struct Expected {
    x: Vec<Vec<Option<f64>>>,
    y: BTreeMap<String, Vec<Vec<Option<f64>>>>,
    classes: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/exported")
}

/// The models in a folder, with their expected values.
fn models(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "onnx")).collect();
    models.sort();
    models
}

fn data(row: &[Option<f64>], dtype: Dtype) -> Data {
    let reals = row.iter().map(|x| x.unwrap_or(f64::NAN));
    match dtype {
        Dtype::F32 => Data::F32(reals.map(|x| x as f32).collect()),
        Dtype::F64 => Data::F64(reals.collect()),
        Dtype::I64 => Data::I64(reals.map(|x| x as i64).collect()),
        other => panic!("an input of {other}"),
    }
}

fn reals(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Data::F64(v) => v.clone(),
        Data::I64(v) => v.iter().map(|x| *x as f64).collect(),
        Data::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Data::Bool(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
        other => panic!("an output of {}", other.dtype()),
    }
}

/// What differs from ONNX Runtime.
fn difference(path: &Path) -> Result<(), String> {
    let model = load(&fs::read(path).unwrap()).map_err(|error| format!("refused: {error}"))?;
    let text = fs::read_to_string(path.with_extension("json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    for (fact, spec) in model.facts().iter().zip(model.outputs()) {
        if fact.label.is_some() && !fact.classes.is_empty() && fact.classes != expected.classes {
            return Err(format!("{}: classes {:?}", spec.name, fact.classes));
        }
    }
    for (place, row) in expected.x.iter().enumerate() {
        let input = data(row, model.inputs()[0].dtype);
        for (spec, output) in model.outputs().iter().zip(run_model(&model, &[input])) {
            let wanted = &expected.y[&spec.name][place];
            let found = reals(&output.data);
            let near = |(a, b): (&f64, &Option<f64>)| match b {
                None => a.is_nan(),
                Some(b) => (a - b).abs() <= TOLERANCE * b.abs().max(1.0),
            };
            if found.len() != wanted.len() || !found.iter().zip(wanted).all(near) {
                return Err(format!("row {place}: {} is {found:?}, not {wanted:?}", spec.name));
            }
        }
    }
    Ok(())
}

#[test]
fn exported_models_give_the_values_of_onnx_runtime() {
    let all = models(&folder());
    assert!(all.len() > 40, "{all:?}");
    let given = std::env::var_os("INFERD_CLASSICAL").map(PathBuf::from);
    let more = given.iter().flat_map(|folder| models(folder));
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in all.into_iter().chain(more) {
        count += 1;
        if let Err(why) = difference(&path) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!("{name}: {}", why.chars().take(300).collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Scores are related to the label where the graph shows that it is the highest; those of support
/// vectors without probabilities are the wrong way round.
#[test]
fn labels_agree_with_scores() {
    let mut seen = 0;
    for path in models(&folder()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let model = load(&fs::read(&path).unwrap()).unwrap();
        let facts = model.facts();
        let Some(label) = facts.first().and_then(|fact| fact.label.clone()) else { continue };
        assert!(label.scores.is_empty() || !name.contains("svc"), "{name}");
        assert_eq!(label.against.is_empty(), !name.starts_with("svc"), "{name}");
        seen += usize::from(!label.scores.is_empty());
    }
    assert!(seen > 5, "{seen} classifiers");
}

/// Changes one number or length in one attribute.
fn mutate(rng: &mut Rng, attribute: &mut AttributeProto) {
    let odd = [-1, 0, 1, 2, 7, 255, 65_536, i64::from(i32::MAX), i64::MAX, i64::MIN];
    match rng.u8(..6) {
        0 if !attribute.ints.is_empty() => {
            let at = rng.usize(..attribute.ints.len());
            attribute.ints[at] = odd[rng.usize(..odd.len())];
        }
        1 if !attribute.ints.is_empty() => {
            let (a, b) = (rng.usize(..attribute.ints.len()), rng.usize(..attribute.ints.len()));
            attribute.ints.swap(a, b);
        }
        2 => {
            let shorter = |n: usize, rng: &mut Rng| if n > 0 { rng.usize(..n) } else { 0 };
            attribute.ints.truncate(shorter(attribute.ints.len(), rng));
            attribute.floats.truncate(shorter(attribute.floats.len(), rng));
            attribute.strings.truncate(shorter(attribute.strings.len(), rng));
        }
        3 if !attribute.floats.is_empty() => {
            let at = rng.usize(..attribute.floats.len());
            let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1.0, 0.0];
            attribute.floats[at] = odd[rng.usize(..odd.len())];
        }
        4 if !attribute.strings.is_empty() => {
            let at = rng.usize(..attribute.strings.len());
            let odd: [&[u8]; 4] = [b"LEAF", b"BRANCH_EQ", b"BRANCH_GTE", b"\xff"];
            attribute.strings[at] = odd[rng.usize(..odd.len())].to_vec();
        }
        _ => attribute.i = odd[rng.usize(..odd.len())],
    }
}

/// Loads and runs a mutant; true if it runs.
fn survives(bytes: &[u8]) -> bool {
    let model = match load(bytes) {
        Ok(model) => model,
        Err(LoadError::Node { node, operator, reason }) => {
            assert!(!node.is_empty() && !operator.is_empty() && reason.len() > 10, "{reason}");
            return false;
        }
        Err(_) => return false,
    };
    let inputs: Vec<Tensor> =
        model.inputs().iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
    let mut outputs: Vec<_> =
        model.outputs().iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
    model.session().run(&inputs, &mut outputs).is_ok()
}

#[test]
fn mutants_of_attributes_are_refused_or_run() {
    let names = ["forest", "lightgbm-multiclass", "imputed-svc", "texts-forest", "xgboost-binary"];
    let mut rng = Rng::with_seed(20);
    let (mut ran, mut refused) = (0, 0);
    for name in names {
        let bytes = fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        let model = ModelProto::decode(bytes.as_slice()).unwrap();
        for _ in 0..120 {
            let mut mutant = model.clone();
            let nodes = &mut mutant.graph.as_mut().unwrap().node;
            let at = rng.usize(..nodes.len());
            let attributes = &mut nodes[at].attribute;
            if attributes.is_empty() {
                continue;
            }
            for _ in 0..rng.usize(1..3) {
                let at = rng.usize(..attributes.len());
                mutate(&mut rng, &mut attributes[at]);
            }
            if survives(&mutant.encode_to_vec()) { ran += 1 } else { refused += 1 }
        }
    }
    assert!(ran > 20 && refused > 100, "{ran} ran, {refused} are refused");
}
