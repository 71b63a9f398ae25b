//! ONNX's own node cases (PyPI `onnx`): each is answered rightly or refused, and which are refused
//! is written down beside this file.

use super::model::{code, declare};
use super::same_bits;
use crate::engine::graph::{ElementType, Graph, TensorData, integers, reals};
use crate::engine::onnx::{decode_tensor, encode_tensor};
use crate::engine::rewrite;
use crate::engine::{LoadOptions, Model, RunError};
use crate::tensor::{Data, Tensor};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tract_onnx::pb::{ModelProto, TensorProto};

const REFUSED: &str = include_str!("onnx-refused.txt");

/// ONNX's runner compares within these.
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;

/// Cases whose results are differences of numbers of about 1: what is left of those is rounding, in
/// ONNX's data as here.
const CANCELLED: &[(&str, f64)] = &[("test_dft_inverse", 1e-6), ("test_gru_seq_length", 2e-6)];

/// Cases whose data contradict the operator: sums beyond a signed byte wrap around in them, where
/// QLinearMatMul is defined to saturate.
const CONTRADICTED: &[&str] = &[
    "test_qlinearmatmul_2D_int8_float16",
    "test_qlinearmatmul_2D_int8_float32",
    "test_qlinearmatmul_3D_int8_float16",
    "test_qlinearmatmul_3D_int8_float32",
];

#[derive(Clone)]
enum Outcome {
    Right,
    Refused(String),
    /// Another answer than ONNX's, or a panic.
    Wrong(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Right => write!(f, "right"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Wrong(reason) => write!(f, "WRONG: {reason}"),
        }
    }
}

/// The folder of the node cases, by the Python that has `tests/requirements.txt`.
fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("INFERD_TEST_ONNX_CASES") {
        return Some(folder.into());
    }
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
    // Found without importing onnx, which takes seconds.
    let script =
        "import importlib.util as u; print(u.find_spec('onnx').submodule_search_locations[0])";
    let output = std::process::Command::new(python).args(["-c", script]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let folder = path.join("backend/test/data/node");
    (output.status.success() && folder.is_dir()).then_some(folder)
}

/// A tensor file of a case, where it is of a type that models here can have. Floats of 16 bits are
/// widened, as they are in models.
fn tensor(path: &Path) -> Option<Tensor> {
    let tensor = TensorProto::decode(std::fs::read(path).ok()?.as_slice()).ok()?;
    let initializers = vec![decode_tensor(tensor).ok()?];
    let mut graph = Graph { initializers, ..Graph::default() };
    rewrite::widen(&mut graph);
    graph.initializers.pop()?.to_tensor()
}

/// The precision of the least precise tensor file of a case: ONNX's data of 16-bit floats are
/// rounded, and here they are computed in 32 bits.
fn precision(folder: &Path) -> f64 {
    let of_file = |entry: std::io::Result<std::fs::DirEntry>| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let element = TensorProto::decode(bytes.as_slice()).map_or(0, |tensor| tensor.data_type);
        match ElementType::from_code(element) {
            ElementType::FLOAT16 => 2e-3,
            ElementType::BFLOAT16 => 1e-2,
            _ => RELATIVE,
        }
    };
    let files = std::fs::read_dir(folder.join("test_data_set_0")).unwrap();
    files.map(of_file).fold(RELATIVE, f64::max)
}

fn tensors(folder: &Path, prefix: &str) -> Vec<Option<Tensor>> {
    let path = |i: usize| folder.join(format!("test_data_set_0/{prefix}_{i}.pb"));
    (0..).map(path).take_while(|p| p.exists()).map(|p| tensor(&p)).collect()
}

/// A case as it is, or with all inputs but the first as constants of the model: exporters write the
/// shapes, axes and weights so that ONNX's cases give as inputs.
fn outcome(folder: &Path, constants: bool) -> Option<Outcome> {
    let mut proto =
        ModelProto::decode(std::fs::read(folder.join("model.onnx")).unwrap().as_slice()).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let inputs = tensors(folder, "input");
    for (info, tensor) in graph.input.iter_mut().zip(&inputs) {
        if let Some(tensor) = tensor {
            *info = declare(&info.name, code(tensor.dtype()), &tensor.shape);
        }
    }
    let mut given = inputs;
    if constants {
        let rest = graph.input.iter().zip(&given).skip(1);
        let message = |name: &str, t| encode_tensor(&mut TensorData::from_tensor(name.into(), t));
        let values: Option<Vec<_>> =
            rest.map(|(info, t)| t.as_ref().map(|t| message(&info.name, t))).collect();
        let values = values.filter(|v| !v.is_empty())?;
        graph.initializer.extend(values);
        graph.input.truncate(1);
        given.truncate(1);
    }
    let name = folder.file_name().unwrap().to_str().unwrap();
    let slack = CANCELLED.iter().find(|(n, _)| name.starts_with(n)).map_or(ABSOLUTE, |(_, s)| *s);
    let relative = precision(folder);
    // A rounded operand of about 1.
    let slack = if relative > RELATIVE { relative } else { slack };
    let mut right = tensors(folder, "output");
    if CONTRADICTED.contains(&name) {
        right.clear();
    }
    let run = || answer(&proto, given, &right, (slack, relative));
    Some(catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Outcome::Wrong(format!("panic: {}", text.unwrap_or_default()))
    }))
}

fn answer(
    proto: &ModelProto,
    given: Vec<Option<Tensor>>,
    right: &[Option<Tensor>],
    tolerance: (f64, f64),
) -> Outcome {
    let model = match Model::load(&proto.encode_to_vec(), &LoadOptions::default()) {
        Ok(model) => std::sync::Arc::new(model),
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let Some(given) = given.into_iter().collect::<Option<Vec<_>>>() else {
        return Outcome::Wrong("an input of another type is taken".into());
    };
    let specs = model.outputs();
    let mut found: Vec<_> = specs.iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
    match model.session().run(&given, &mut found) {
        Ok(()) => {}
        // A dimension of zero is one that is not known, so what has no elements is never taken.
        Err(error @ RunError::Input { .. }) => return Outcome::Refused(error.to_string()),
        Err(error) => return Outcome::Wrong(format!("run: {error}")),
    }
    for (i, (right, found)) in right.iter().zip(&found).enumerate() {
        let Some(right) = right else {
            return Outcome::Wrong(format!("output {i} is of another type"));
        };
        if let Some(reason) = difference(right, found, tolerance) {
            return Outcome::Wrong(format!("output {i}: {reason}"));
        }
    }
    if !right.is_empty() && right.len() != found.len() {
        return Outcome::Wrong(format!("{} outputs, not {}", found.len(), right.len()));
    }
    same_bits::check(&model, &[given]);
    Outcome::Right
}

fn difference(right: &Tensor, found: &Tensor, (slack, relative): (f64, f64)) -> Option<String> {
    if (right.dtype(), &right.shape) != (found.dtype(), &found.shape) {
        let of = |t: &Tensor| format!("{} of {:?}", t.dtype(), t.shape);
        return Some(format!("{}, not {}", of(found), of(right)));
    }
    let close = |(a, b): (f64, f64)| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= slack + relative * a.abs()
    };
    let pairs = numbers(right).into_iter().zip(numbers(found));
    let off = pairs.enumerate().find(|(_, pair)| !close(*pair));
    off.map(|(i, (right, found))| format!("element {i} is {found}, not {right}"))
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    match &tensor.data {
        Data::Bool(v) => v.iter().map(|&b| f64::from(u8::from(b))).collect(),
        _ => reals(tensor)
            .or_else(|| Some(integers(tensor)?.iter().map(|&i| i as f64).collect()))
            .unwrap_or_default(),
    }
}

/// Every case in both forms, on all cores.
fn outcomes(folder: &Path) -> BTreeMap<String, Outcome> {
    let only = std::env::var("INFERD_TEST_ONNX_ONLY").unwrap_or_default();
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(&only))
        .collect();
    names.sort();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            for (constants, suffix) in [(false, ""), (true, " (constants)")] {
                if let Some(outcome) = outcome(&folder.join(name), constants) {
                    found.lock().unwrap().insert(format!("{name}{suffix}"), outcome);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().unwrap()
}

#[test]
fn node_cases_are_answered_rightly_or_refused() {
    let Some(folder) = folder() else {
        eprintln!("SKIPPED: no ONNX node cases: INFERD_TEST_PYTHON needs tests/requirements.txt");
        return;
    };
    let outcomes = outcomes(&folder);
    let mut text = String::new();
    for (name, outcome) in &outcomes {
        text.push_str(&format!("{name}\t{outcome}\n"));
    }
    if let Some(path) = std::env::var_os("INFERD_TEST_ONNX_REPORT") {
        std::fs::write(path, text).unwrap();
    }
    let is = |test: fn(&Outcome) -> bool| {
        outcomes.iter().filter(|(_, o)| test(o)).map(|(n, _)| n.as_str()).collect::<BTreeSet<_>>()
    };
    let wrong = is(|o| matches!(o, Outcome::Wrong(_)));
    let report: Vec<_> = wrong.iter().map(|n| format!("{n}: {}", outcomes[*n])).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), report.join("\n"));
    let refused = is(|o| matches!(o, Outcome::Refused(_)));
    let listed: BTreeSet<_> = REFUSED.lines().collect();
    let more: Vec<_> = refused.difference(&listed).collect();
    assert!(more.is_empty(), "refused, and not in onnx-refused.txt: {more:#?}");
    let fewer: Vec<_> = listed.difference(&refused).collect();
    assert!(fewer.is_empty(), "answered now, so take them out of onnx-refused.txt: {fewer:#?}");
    assert!(outcomes.len() > 1615, "only {} cases", outcomes.len());
}
