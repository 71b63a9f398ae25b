//! The property that every model has: the same input gives the same bits, in whatever order, on
//! whichever session, after whatever other input.

use super::load;
use crate::engine::graph::TensorData;
use crate::engine::{Model, RunError, Session};
use crate::tensor::{Data, Dtype, Tensor};
use fastrand::Rng;
use std::sync::Arc;

/// The outputs of a run as bytes, or that it failed.
type Bits = Result<Vec<Vec<u8>>, RunError>;

/// Holds the property for `model`: with `given`, and with numbers of every kind.
pub(super) fn check(model: &Arc<Model>, given: &[Vec<Tensor>]) {
    let mut rng = Rng::with_seed(7);
    let mut inputs = given.to_vec();
    inputs.push(others(model, |dtype, n| usual(&mut rng, dtype, n)));
    inputs.push(others(model, |dtype, n| usual(&mut rng, dtype, n)));
    inputs.push(others(model, extreme));
    inputs.push(others(model, Data::zeros));
    let first: Vec<Bits> = inputs.iter().map(|i| bits(&mut model.session(), i)).collect();
    let mut sessions = [model.session(), model.session()];
    let n = inputs.len();
    let order = (0..n).chain((0..n).rev()).chain((0..n).map(|i| i * 3 % n)).chain([0, 0]);
    for (turn, i) in order.enumerate() {
        for session in sessions.iter_mut().skip(turn % 2) {
            same(&first[i], &bits(session, &inputs[i]), i);
        }
    }
}

/// As [`check`], in short: `inputs` gave `outputs` in a session's first run; do they, after others?
pub(super) fn check_again(model: &Arc<Model>, inputs: &[Tensor], outputs: &[Tensor]) {
    let expected = Ok(outputs.iter().map(bytes).collect());
    let mut session = model.session();
    drop(bits(&mut session, &others(model, extreme)));
    same(&expected, &bits(&mut session, inputs), 0);
    same(&expected, &bits(&mut session, inputs), 0);
}

fn same(expected: &Bits, found: &Bits, input: usize) {
    match (expected, found) {
        (Ok(a), Ok(b)) => assert!(a == b, "input {input} gives other bits than in a first run"),
        (Err(_), Err(_)) => {}
        _ => panic!("input {input}: {expected:?} in a first run, {found:?} in a later one"),
    }
}

fn bits(session: &mut Session, inputs: &[Tensor]) -> Bits {
    let specs = session.model().outputs();
    let mut outputs: Vec<_> = specs.iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect();
    session.run(inputs, &mut outputs)?;
    Ok(outputs.iter().map(bytes).collect())
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    TensorData::from_tensor(String::new(), tensor).bytes
}

fn others(model: &Model, mut data: impl FnMut(Dtype, usize) -> Data) -> Vec<Tensor> {
    let inputs = model.inputs().iter();
    inputs.map(|s| Tensor { shape: s.shape.clone(), data: data(s.dtype, s.len()) }).collect()
}

fn usual(rng: &mut Rng, dtype: Dtype, n: usize) -> Data {
    let mut real = || rng.f32() * 4.0 - 2.0;
    match dtype {
        Dtype::F32 => Data::F32((0..n).map(|_| real()).collect()),
        Dtype::F64 => Data::F64((0..n).map(|_| f64::from(real())).collect()),
        Dtype::I8 => Data::I8((0..n).map(|_| rng.i8(..)).collect()),
        Dtype::U8 => Data::U8((0..n).map(|_| rng.u8(..)).collect()),
        // Small, because they may be indices.
        Dtype::I16 => Data::I16((0..n).map(|_| rng.i16(0..3)).collect()),
        Dtype::U16 => Data::U16((0..n).map(|_| rng.u16(0..3)).collect()),
        Dtype::I32 => Data::I32((0..n).map(|_| rng.i32(0..3)).collect()),
        Dtype::I64 => Data::I64((0..n).map(|_| rng.i64(0..3)).collect()),
        Dtype::Bool => Data::Bool((0..n).map(|_| rng.bool()).collect()),
    }
}

/// What poisons whatever is kept: infinities, no number, the largest.
fn extreme(dtype: Dtype, n: usize) -> Data {
    const REALS: [f32; 5] = [f32::NAN, f32::INFINITY, f32::MIN, f32::NEG_INFINITY, f32::MAX];
    let real = |i: usize| REALS[i % REALS.len()];
    let high = |i: usize| i.is_multiple_of(2);
    macro_rules! whole {
        ($kind:ident, $t:ty) => {
            Data::$kind((0..n).map(|i| if high(i) { <$t>::MAX } else { <$t>::MIN }).collect())
        };
    }
    match dtype {
        Dtype::F32 => Data::F32((0..n).map(real).collect()),
        Dtype::F64 => Data::F64((0..n).map(|i| f64::from(real(i))).collect()),
        Dtype::I8 => whole!(I8, i8),
        Dtype::U8 => whole!(U8, u8),
        Dtype::I16 => whole!(I16, i16),
        Dtype::U16 => whole!(U16, u16),
        Dtype::I32 => whole!(I32, i32),
        Dtype::I64 => whole!(I64, i64),
        Dtype::Bool => Data::Bool((0..n).map(high).collect()),
    }
}

/// Every ONNX file below `folder` that loads.
fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "onnx") {
            found.push(path);
        }
    }
}

fn check_folder(folder: &str) -> usize {
    let mut found = Vec::new();
    files(std::path::Path::new(folder), &mut found);
    let loaded = found.iter().filter(|path| {
        let model = load(&std::fs::read(path).unwrap());
        if let Ok(model) = &model {
            println!("{}", path.display());
            check(model, &[]);
        }
        model.is_ok()
    });
    loaded.count()
}

#[test]
fn models_of_the_repository_give_the_same_bits_in_every_order() {
    assert!(check_folder("models") > 0);
    assert!(check_folder("tests/corpus") > 0);
    assert!(check_folder("comparisons") > 0);
}

/// Models that are too large, or not ours, to be in the repository.
#[test]
fn models_beside_the_repository_give_the_same_bits_in_every_order() {
    for folder in ["../shared/models", "../shared/cases/models"] {
        if check_folder(folder) == 0 {
            eprintln!("SKIPPED: no model in {folder} loads, or it is not there");
        }
    }
}
