//! Random small graphs of many operators with attributes, sizes and shapes of all kinds: few of them
//! have a meaning, and all must end in a model or a refusal.

use super::model::{Build, build};
use crate::tensor::{Data, Dtype};
use fastrand::Rng;

/// Operators with their attributes: `i` one integer, `l` a list of them.
const OPERATORS: &[(&str, &[(&str, char)])] = &[
    ("Transpose", &[("perm", 'l')]),
    ("Reshape", &[("allowzero", 'i')]),
    ("Flatten", &[("axis", 'i')]),
    ("Squeeze", &[]),
    ("Unsqueeze", &[]),
    ("Concat", &[("axis", 'i')]),
    ("Split", &[("axis", 'i')]),
    ("Slice", &[]),
    ("Gather", &[("axis", 'i')]),
    ("GatherElements", &[("axis", 'i')]),
    ("GatherND", &[("batch_dims", 'i')]),
    ("Tile", &[]),
    ("Expand", &[]),
    ("Pad", &[]),
    ("ConstantOfShape", &[]),
    ("Range", &[]),
    ("OneHot", &[("axis", 'i')]),
    ("Resize", &[]),
    ("DepthToSpace", &[("blocksize", 'i')]),
    ("SpaceToDepth", &[("blocksize", 'i')]),
    (
        "Conv",
        &[
            ("kernel_shape", 'l'),
            ("strides", 'l'),
            ("pads", 'l'),
            ("dilations", 'l'),
            ("group", 'i'),
        ],
    ),
    (
        "ConvTranspose",
        &[("strides", 'l'), ("pads", 'l'), ("output_padding", 'l'), ("output_shape", 'l')],
    ),
    ("MaxPool", &[("kernel_shape", 'l'), ("strides", 'l'), ("pads", 'l'), ("ceil_mode", 'i')]),
    ("AveragePool", &[("kernel_shape", 'l'), ("strides", 'l'), ("count_include_pad", 'i')]),
    ("LpPool", &[("kernel_shape", 'l'), ("p", 'i')]),
    ("CenterCropPad", &[("axes", 'l')]),
    ("ReduceMean", &[("axes", 'l'), ("keepdims", 'i')]),
    ("ArgMax", &[("axis", 'i')]),
    ("TopK", &[("axis", 'i')]),
    ("CumSum", &[]),
    ("Trilu", &[]),
    ("EyeLike", &[("k", 'i')]),
    ("Softmax", &[("axis", 'i')]),
    ("LSTM", &[("hidden_size", 'i'), ("layout", 'i')]),
    ("GRU", &[("hidden_size", 'i')]),
    ("MatMul", &[]),
    ("Gemm", &[("transA", 'i'), ("transB", 'i')]),
    ("Add", &[]),
    ("Mul", &[]),
    ("Where", &[]),
    ("HardSigmoid", &[]),
    ("Cast", &[("to", 'i')]),
    ("Shape", &[("start", 'i'), ("end", 'i')]),
    ("ScatterND", &[]),
    ("HannWindow", &[]),
    ("STFT", &[]),
    ("Einsum", &[]),
    ("BatchNormalization", &[]),
    ("LayerNormalization", &[("axis", 'i')]),
    ("InstanceNormalization", &[]),
    ("DequantizeLinear", &[("axis", 'i'), ("block_size", 'i')]),
    ("com.microsoft.FusedConv", &[("strides", 'l')]),
    ("com.microsoft.FusedMatMul", &[("transA", 'i')]),
    ("com.microsoft.MatMulNBits", &[("K", 'i'), ("N", 'i'), ("bits", 'i'), ("block_size", 'i')]),
];

/// A number that is small, or one that breaks arithmetic.
fn number(rng: &mut Rng) -> i64 {
    match rng.u8(..24) {
        0 => i64::MAX,
        1 => i64::MIN,
        2 => 1 << 31,
        3 => 65_536,
        4 => 1 << 20,
        5..9 => -rng.i64(1..5),
        _ => rng.i64(0..6),
    }
}

fn numbers(rng: &mut Rng) -> Vec<i64> {
    (0..rng.usize(0..6)).map(|_| number(rng)).collect()
}

/// A model of a few random nodes.
pub(super) fn wild(rng: &mut Rng) -> Build {
    let shape: Vec<usize> = (0..rng.usize(0..5)).map(|_| rng.usize(1..9)).collect();
    let mut build = build().input("x", Dtype::F32, &shape);
    let mut values = vec!["x".to_owned()];
    for i in 0..rng.usize(1..5) {
        let shape: Vec<usize> = (0..rng.usize(0..4)).map(|_| rng.usize(1..7)).collect();
        let size = shape.iter().product();
        let (data, shape) = match rng.u8(..3) {
            0 => (Data::F32((0..size).map(|_| rng.f32() - 0.5).collect()), shape),
            _ => {
                let list = numbers(rng);
                let shape = if list.len() == 1 && rng.bool() { vec![] } else { vec![list.len()] };
                (Data::I64(list), shape)
            }
        };
        build = build.constant(&format!("c{i}"), &shape, data);
        values.push(format!("c{i}"));
    }
    for i in 0..rng.usize(1..7) {
        build = node(build, &mut values, i, rng);
    }
    let last = values.last().cloned().unwrap_or_default();
    build.output(&last, Dtype::F32, &[1])
}

fn node(build: Build, values: &mut Vec<String>, i: usize, rng: &mut Rng) -> Build {
    // The newest values are read most, so that nodes form chains.
    let pick = |rng: &mut Rng| {
        let from = if rng.bool() { values.len().saturating_sub(2) } else { 0 };
        values[rng.usize(from..values.len())].clone()
    };
    match rng.u8(..12) {
        0 => return chain(build, values, i, rng),
        1 => return scan(build, values, i, rng),
        2 => return repeated(build, values, i, rng),
        _ => {}
    }
    let (op, attributes) = OPERATORS[rng.usize(..OPERATORS.len())];
    let inputs: Vec<String> = (0..rng.usize(1..5)).map(|_| pick(rng)).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let output = format!("v{i}");
    let mut build = build.node(op, &inputs, &[&output]);
    for (name, kind) in attributes {
        if rng.bool() {
            let list = numbers(rng);
            let one = if *name == "to" { rng.i64(0..24) } else { number(rng) };
            build = if *kind == 'l' { build.ints(name, &list) } else { build.int(name, one) };
        }
    }
    values.push(output);
    build
}

/// The form of hard-swish that exporters write, many times over values of other sizes.
fn chain(mut build: Build, values: &mut Vec<String>, i: usize, rng: &mut Rng) -> Build {
    let mut x = values[rng.usize(..values.len())].clone();
    let mut other = values[rng.usize(..values.len())].clone();
    for step in 0..rng.usize(1..40) {
        let (gate, y) = (format!("g{i}_{step}"), format!("v{i}_{step}"));
        build = build.node("Add", &[&x, &other], &[&gate]).node("Mul", &[&x, &gate], &[&y]);
        (other, x) = (gate, y);
    }
    values.push(x);
    build
}

fn scan(build: Build, values: &mut Vec<String>, i: usize, rng: &mut Rng) -> Build {
    let body = super::model::build()
        .input("s", Dtype::F32, &[2])
        .input("e", Dtype::F32, &[2])
        .node("Add", &["s", "e"], &["t"])
        .node("Identity", &["t"], &["u"])
        .output("t", Dtype::F32, &[2])
        .output("u", Dtype::F32, &[2]);
    let inputs: Vec<String> = (0..2).map(|_| values[rng.usize(..values.len())].clone()).collect();
    let output = format!("v{i}");
    let count = if rng.bool() { 1 } else { number(rng) };
    let build = build.node("Scan", &[&inputs[0], &inputs[1]], &[&format!("w{i}"), &output]);
    let build = build.inner("body", body.graph).int("num_scan_inputs", count);
    values.push(output);
    if rng.bool() { build.ints("scan_input_axes", &numbers(rng)) } else { build }
}

fn repeated(build: Build, values: &mut Vec<String>, i: usize, rng: &mut Rng) -> Build {
    let op = ["Add", "Mul", "MatMul", "Tile", "Concat"][rng.usize(..5)];
    let body = super::model::build()
        .input("i", Dtype::I64, &[])
        .input("go", Dtype::Bool, &[])
        .input("s", Dtype::F32, &[2])
        .node("Identity", &["go"], &["on"])
        .node(op, &["s", "s"], &["t"])
        .int("axis", 0);
    let mut body = body.output("on", Dtype::Bool, &[]).output("t", Dtype::F32, &[2]).graph;
    if op != "Concat" {
        body.node[1].attribute.clear();
    }
    let count = format!("count{i}");
    let turns = if rng.u8(..4) == 0 { number(rng) } else { rng.i64(0..60) };
    let state = values[rng.usize(..values.len())].clone();
    let output = format!("v{i}");
    values.push(output.clone());
    build
        .constant(&count, &[], Data::I64(vec![turns]))
        .node("Loop", &[&count, "", &state], &[&output])
        .inner("body", body)
}
