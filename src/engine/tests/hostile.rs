//! Mutated models: whatever the bytes are, loading ends in a model or a refusal.
//!
//! `INFERD_FUZZ_SECONDS=3600 cargo test --release --lib hostile` goes on for an hour.

use super::generate::{Dialect, dynamic, quantized};
use super::load;
use crate::tensor::Tensor;
use fastrand::Rng;
use prost::Message;
use std::time::{Duration, Instant};
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

/// Mutants tried where no time is given.
const MUTANTS: usize = 400;

#[test]
fn mutated_models_never_panic() {
    let seconds = std::env::var("INFERD_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    let until = seconds.map(|s| Instant::now() + Duration::from_secs(s));
    let mut rng = Rng::with_seed(seconds.unwrap_or(7));
    let mut tried = 0;
    while until.map_or(tried < MUTANTS, |until| Instant::now() < until) {
        let seed = rng.u64(..1000);
        let mut model = match rng.u8(..3) {
            0 => quantized(seed, Dialect::Qdq).0.model(),
            1 => quantized(seed, Dialect::QOperator).0.model(),
            _ => dynamic(seed).model(),
        };
        for _ in 0..rng.usize(1..4) {
            mutate(&mut model, &mut rng);
        }
        let mut bytes = model.encode_to_vec();
        if rng.u8(..4) == 0 {
            scramble(&mut bytes, &mut rng);
        }
        if seconds.is_some() {
            // For the case that no panic can be caught: the one that did it.
            std::fs::write(std::env::temp_dir().join("inferd-mutant.onnx"), &bytes).unwrap();
        }
        try_it(&bytes);
        tried += 1;
    }
    assert!(tried > 0);
}

/// Loads and, where that works, runs once.
fn try_it(bytes: &[u8]) {
    let Ok(model) = load(bytes) else { return };
    let tensors = |specs: &[crate::tensor::TensorSpec]| -> Vec<Tensor> {
        specs.iter().map(|s| Tensor::zeros(s.dtype, &s.shape)).collect()
    };
    // A run may fail in the float runtime, but not panic.
    if let Err(error) = model.session().run(&tensors(model.inputs()), &mut tensors(model.outputs()))
    {
        assert!(!error.to_string().is_empty());
    }
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
    let name = |rng: &mut Rng| names[rng.usize(..names.len())].clone();
    match rng.u8(..10) {
        0..=3 => {
            let at = rng.usize(..graph.node.len());
            mutate_node(&mut graph.node[at], &name(rng), rng);
        }
        4..=6 if !graph.initializer.is_empty() => {
            let at = rng.usize(..graph.initializer.len());
            mutate_tensor(&mut graph.initializer[at], rng);
        }
        7 => {
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
            let dims = &mut t.shape.as_mut().unwrap().dim;
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
        _ => rng.i64(1..9),
    }
}
