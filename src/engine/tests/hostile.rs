//! Mutated models: whatever the bytes are, loading ends in a model or a refusal.
//!
//! `INFERD_FUZZ_SECONDS=3600 cargo test --release --lib hostile` goes on for an hour. The mutant at
//! work lies in the temporary directory as `inferd-fuzz/now.onnx`, in case it ends the process, and
//! beside it the first of every kind of refusal, which later mutants start from.

use super::generate::{Dialect, dynamic, quantized};
use super::load;
use crate::tensor::Tensor;
use fastrand::Rng;
use prost::Message;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

/// Mutants tried where no time is given.
const MUTANTS: usize = 400;

/// A mutant that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Mutants kept because they taught something: each once broke the loader or is refused in its own
/// way.
pub(super) fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
}

#[test]
fn kept_mutants_are_models_or_refusals() {
    let corpus = corpus();
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|bytes| drop(try_it(bytes)));
}

#[test]
fn mutated_models_are_models_or_refusals() {
    let mut rng = Rng::with_seed(7);
    let corpus = corpus();
    for _ in 0..MUTANTS {
        try_it(&mutant(&corpus, &mut rng));
    }
}

/// The same for as long as one likes.
#[test]
fn mutated_models_are_models_or_refusals_for_hours() {
    let Some(seconds) = std::env::var("INFERD_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok())
    else {
        eprintln!("SKIPPED: INFERD_FUZZ_SECONDS says for how long");
        return;
    };
    let until = Instant::now() + Duration::from_secs(seconds);
    let folder = std::env::temp_dir().join("inferd-fuzz");
    std::fs::create_dir_all(&folder).unwrap();
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (mut rng, mut corpus, mut kinds) = (Rng::with_seed(seed), corpus(), BTreeSet::new());
    let (word, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || watch(&done));
    let (mut tried, mut loaded, mut slowest) = (0, 0, Duration::ZERO);
    while Instant::now() < until {
        let bytes = mutant(&corpus, &mut rng);
        std::fs::write(folder.join("now.onnx"), &bytes).unwrap();
        let began = Instant::now();
        let refusal = try_it(&bytes);
        slowest = slowest.max(began.elapsed());
        tried += 1;
        word.send(()).unwrap();
        let Some(refusal) = refusal else {
            loaded += 1;
            continue;
        };
        let kind: String = refusal.chars().filter(|c| !c.is_ascii_digit()).collect();
        if bytes.len() < 4000 && kinds.len() < 1000 && kinds.insert(kind) {
            std::fs::write(folder.join(format!("kind-{:04}.onnx", kinds.len())), &bytes).unwrap();
            corpus.push(bytes);
        }
    }
    println!(
        "seed {seed}: {tried} mutants, {loaded} of them loaded; {} kinds of refusal; the slowest \
         took {slowest:?}",
        kinds.len()
    );
    assert!(tried > 0);
}

/// Ends the process when one mutant takes too long; each that does not sends a word.
fn watch(done: &Receiver<()>) {
    loop {
        match done.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("a mutant hangs: see inferd-fuzz/now.onnx in the temporary directory");
                std::process::abort();
            }
        }
    }
}

/// A random model or a kept one, changed.
pub(super) fn mutant(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let seed = rng.u64(..1000);
    let mut model = match rng.u8(..4) {
        0 => quantized(seed, Dialect::Qdq).0.model(),
        1 => quantized(seed, Dialect::QOperator).0.model(),
        2 => dynamic(seed).model(),
        _ => {
            let bytes = &corpus[rng.usize(..corpus.len())];
            match ModelProto::decode(bytes.as_slice()) {
                Ok(model) => model,
                Err(_) => {
                    let mut bytes = bytes.clone();
                    scramble(&mut bytes, rng);
                    return bytes;
                }
            }
        }
    };
    for _ in 0..rng.usize(1..4) {
        mutate(&mut model, rng);
    }
    let mut bytes = model.encode_to_vec();
    if rng.u8(..4) == 0 {
        scramble(&mut bytes, rng);
    }
    bytes
}

/// Loads and, where that works, runs once; returns the refusal of what was refused.
pub(super) fn try_it(bytes: &[u8]) -> Option<String> {
    let model = match load(bytes) {
        Ok(model) => model,
        Err(refusal) => return Some(refusal.to_string()),
    };
    let tensors = |specs: &[crate::tensor::TensorSpec]| -> Vec<Tensor> {
        specs.iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect()
    };
    // Large inputs take long and teach nothing more.
    if model.inputs().iter().map(crate::tensor::TensorSpec::len).sum::<usize>() > 1 << 16 {
        return None;
    }
    // A run may fail in the float runtime, but not panic.
    if let Err(error) = model.session().run(&tensors(model.inputs()), &mut tensors(model.outputs()))
    {
        assert!(!error.to_string().is_empty());
    }
    None
}

/// Bytes changed, put in, taken out, cut off.
fn scramble(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..8) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(..bytes.len());
        match rng.u8(..8) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, rng.u8(..)),
            2 => bytes.truncate(at),
            _ => bytes[at] = rng.u8(..),
        }
    }
}

/// A change that leaves a well-formed protobuf.
fn mutate(model: &mut ModelProto, rng: &mut Rng) {
    let Some(graph) = &mut model.graph else { return };
    let names: Vec<String> = graph
        .node
        .iter()
        .flat_map(|n| n.output.clone())
        .chain(graph.initializer.iter().map(|i| i.name.clone()))
        .collect();
    if names.is_empty() || graph.input.is_empty() || graph.output.is_empty() {
        return;
    }
    let name = |rng: &mut Rng| names[rng.usize(..names.len())].clone();
    match rng.u8(..10) {
        0..=3 if !graph.node.is_empty() => {
            let at = rng.usize(..graph.node.len());
            mutate_node(&mut graph.node[at], &name(rng), rng);
        }
        4..=6 if !graph.initializer.is_empty() => {
            let at = rng.usize(..graph.initializer.len());
            mutate_tensor(&mut graph.initializer[at], rng);
        }
        7 if !graph.node.is_empty() => {
            let at = rng.usize(..graph.node.len());
            let node = graph.node.remove(at);
            if rng.bool() {
                graph.node.insert(rng.usize(..=graph.node.len()), node);
            }
        }
        8 => graph.output[0].name = name(rng),
        _ => {
            let value = graph.input[0].r#type.as_mut().and_then(|t| t.value.as_mut());
            let Some(tract_onnx::pb::type_proto::Value::TensorType(t)) = value else { return };
            if rng.u8(..4) == 0 {
                t.elem_type = rng.i32(0..24);
            }
            let Some(dims) = t.shape.as_mut().map(|s| &mut s.dim).filter(|d| !d.is_empty()) else {
                return;
            };
            let at = rng.usize(..dims.len());
            let size = odd(rng);
            dims[at].value =
                Some(tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue(size));
        }
    }
    if graph.node.is_empty() {
        graph.node.push(NodeProto::default());
    }
}

fn mutate_node(node: &mut NodeProto, name: &str, rng: &mut Rng) {
    const OPERATORS: &[&str] = &[
        "Conv",
        "MatMul",
        "Gemm",
        "Add",
        "Mul",
        "Relu",
        "Clip",
        "Softmax",
        "Reshape",
        "Transpose",
        "Concat",
        "Slice",
        "Split",
        "Pad",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "Flatten",
        "ReduceMean",
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "Squeeze",
        "MatMulInteger",
        "ConvInteger",
        "QLinearConv",
        "QLinearMatMul",
        "Unsqueeze",
        "Cast",
        "Shape",
    ];
    match rng.u8(..6) {
        0 => node.op_type = OPERATORS[rng.usize(..OPERATORS.len())].into(),
        1 if !node.input.is_empty() => {
            let at = rng.usize(..node.input.len());
            node.input[at] = if rng.bool() { name.into() } else { String::new() };
        }
        2 => drop(node.input.pop()),
        3 => node.input.push(name.into()),
        4 => {
            node.output.pop();
            node.output.extend(rng.bool().then(|| name.to_owned()));
        }
        _ if !node.attribute.is_empty() => {
            let at = rng.usize(..node.attribute.len());
            let attribute = &mut node.attribute[at];
            attribute.i = odd(rng);
            if let Some(value) = attribute.ints.first_mut() {
                *value = odd(rng);
            }
            if rng.u8(..4) == 0 {
                attribute.ints.pop();
            }
        }
        _ => {}
    }
}

fn mutate_tensor(tensor: &mut TensorProto, rng: &mut Rng) {
    match rng.u8(..5) {
        0 => tensor.data_type = rng.i32(0..24),
        1 => tensor.dims.push(odd(rng)),
        2 if !tensor.dims.is_empty() => {
            let at = rng.usize(..tensor.dims.len());
            tensor.dims[at] = odd(rng);
        }
        3 => drop(tensor.raw_data.pop()),
        _ if !tensor.raw_data.is_empty() => {
            let at = rng.usize(..tensor.raw_data.len());
            tensor.raw_data[at] = rng.u8(..);
        }
        _ => {}
    }
}

/// A number that code may stumble over.
fn odd(rng: &mut Rng) -> i64 {
    match rng.u8(..8) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => -1,
        3 => 0,
        4 => i64::from(rng.i32(..)),
        // Cut to 32 bits it looks sensible.
        5 => (1 << 32) + rng.i64(1..9),
        _ => rng.i64(1..9),
    }
}
