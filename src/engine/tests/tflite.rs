//! Files of TensorFlow Lite, against LiteRT. `tests/models/tflite/make.py` makes
//! the small ones and what LiteRT gives for them.

use super::hostile::try_it;
use super::reference::{array, models, reals, row};
use super::{load, refusal, run_model};
use crate::tensor::{Data, Tensor};
use fastrand::Rng;
use std::path::{Path, PathBuf};

/// Mutants of each file that are tried.
const MUTANTS: usize = 8;

/// The small files, in order.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tflite");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "tflite")).collect();
    paths.sort();
    assert!(paths.len() > 20, "{} files", paths.len());
    paths
}

/// The largest difference of a result: in steps for integers, else as a part of the largest value.
fn difference(ours: &Data, theirs: &Data) -> f64 {
    let (a, b) = (reals(ours), reals(theirs));
    assert_eq!(a.len(), b.len());
    let largest = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let scale = b.iter().map(|b| b.abs()).fold(1e-6, f64::max);
    if matches!(ours, Data::F32(_)) { largest / scale } else { largest }
}

/// Runs of a file, compared with those in the archive beside it.
fn worst(path: &Path) -> f64 {
    let model = load(&std::fs::read(path).unwrap()).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let archive = path.with_extension("npz");
    let inputs: Vec<Tensor> =
        (0..model.inputs().len()).map(|i| array(&archive, &format!("x{i}"))).collect();
    let expected = array(&archive, "y");
    let mut worst = 0.0f64;
    for run in 0..expected.shape[0] {
        let given: Vec<Data> = inputs.iter().map(|input| row(input, run)).collect();
        let outputs = run_model(&model, &given);
        assert_eq!(outputs[0].shape, expected.shape[1..], "{path:?}");
        worst = worst.max(difference(&outputs[0].data, &row(&expected, run)));
    }
    worst
}

#[test]
fn every_operator_is_within_one_step_of_litert() {
    for path in files() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "refused" {
            continue;
        }
        let worst = worst(&path);
        let bound = match name.rsplit_once('.').map(|(_, kind)| kind) {
            Some("int8") => 1.0,
            // LiteRT rounds the activations of a layer with 8-bit weights to 8 bits.
            Some("dyn") => 0.02,
            _ => 1e-5,
        };
        assert!(worst <= bound, "{name} differs by {worst}");
    }
}

#[test]
fn published_files_are_within_one_step_of_exact_arithmetic() {
    let Some(folder) = models() else { return };
    for name in ["ad01_int8", "kws_int8", "ic_int8"] {
        let model = load(&std::fs::read(folder.join(format!("{name}.tflite"))).unwrap()).unwrap();
        let archive = folder.join(format!("{name}.ref.npz"));
        let (inputs, expected) = (array(&archive, "x"), array(&archive, "y"));
        for run in 0..inputs.shape[0] {
            let outputs = run_model(&model, &[row(&inputs, run)]);
            let worst = difference(&outputs[0].data, &row(&expected, run));
            assert!(worst <= 1.0, "{name}: run {run} differs by {worst}");
        }
        let softmax = usize::from(name != "ad01_int8");
        assert_eq!(model.nodes().float, softmax, "{name}: {:?}", model.explain());
    }
}

#[test]
fn what_does_not_run_is_refused_by_name() {
    let file = |name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/tflite");
        std::fs::read(folder.join(name)).unwrap()
    };
    let told = refusal(&file("refused.tflite"));
    assert!(told.contains("operator WHERE") && told.contains("tf2onnx"), "{told}");
    let whole = file("fc_chain.int8.tflite");
    let told = refusal(&whole[..whole.len() / 2]);
    assert!(told.contains("damaged or cut off") && told.contains("TensorFlow Lite"), "{told}");
    let told = refusal(&whole[..8]);
    assert!(told.contains("damaged or cut off"), "{told}");
}

#[test]
fn mutated_files_are_models_or_refusals() {
    let mut rng = Rng::with_seed(5);
    for path in files() {
        let bytes = std::fs::read(path).unwrap();
        for _ in 0..MUTANTS {
            let mut mutant = bytes.clone();
            for _ in 0..rng.usize(1..4) {
                change(&mut mutant, &mut rng);
            }
            try_it(&mutant);
        }
    }
}

/// Changes a byte, an offset or number of 32 bits, or cuts the file off. The mark stays.
fn change(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.usize(8..bytes.len() - 4);
    match rng.u8(..8) {
        0 => bytes.truncate(at.max(16)),
        1 | 2 => bytes[at] = rng.u8(..),
        3 => bytes[at] ^= 1 << rng.u8(..8),
        kind => {
            let at = at / 4 * 4;
            let own = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let new = match kind {
                4 => rng.u32(..64),
                5 => u32::MAX - rng.u32(..4),
                6 => 1 << rng.u8(16..32),
                _ => own.wrapping_add(rng.u32(..16)).wrapping_sub(8),
            };
            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
        }
    }
}
