//! Every operator that is said to run in integers, by itself: nothing of it in float, and its
//! result what its definition says.

use super::model::{Build, build};
use super::{load, run_model};
use crate::tensor::{Data, Dtype, Tensor};
use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};

/// Gives the last node an attribute of text.
fn text(build: Build, name: &str, value: &str) -> Build {
    build.attribute(AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..AttributeProto::default()
    })
}

/// A function of `x`, quantized before and after, for every stored byte.
fn expect_function(
    name: &str,
    zero: u8,
    node: impl Fn(Build) -> Build,
    definition: impl Fn(f64) -> f64,
) {
    let (from, to) = (0.05f32, 0.0173f32);
    let graph = build()
        .input("x", Dtype::U8, &[256])
        .scale("xs", from)
        .constant("xz", &[], Data::U8(vec![zero]))
        .node("DequantizeLinear", &["x", "xs", "xz"], &["d"]);
    let graph = node(graph)
        .scale("ys", to)
        .constant("yz", &[], Data::I8(vec![-20]))
        .node("QuantizeLinear", &["r", "ys", "yz"], &["y"])
        .output("y", Dtype::I8, &[256]);
    let model = load(&graph.bytes()).unwrap();
    assert!(model.explain().is_empty(), "{name}: {:?}", model.explain());
    let y = run_model(&model, &[Data::U8((0..=255).collect())]);
    let Data::I8(ours) = &y[0].data else { panic!("{:?}", y[0].data) };
    for (stored, &got) in ours.iter().enumerate() {
        // As a float, which is what a function that jumps looks at.
        let x = f64::from(from * (stored as f32 - f32::from(zero)));
        let steps = definition(x) / f64::from(to);
        let exact = if steps.is_nan() { -128.0 } else { steps.round_ties_even() - 20.0 };
        // Beside the middle between two steps the float and the number behind it may differ.
        let sure = (steps - steps.floor() - 0.5).abs() > 1e-4 || !steps.is_finite();
        let bound = if sure { 0.0 } else { 1.0 };
        let exact = exact.clamp(-128.0, 127.0);
        assert!((f64::from(got) - exact).abs() <= bound, "{name}({x}) is {exact}, not {got}");
    }
}

/// The integral of the bell curve, by Simpson's rule.
fn erf(x: f64) -> f64 {
    let n = 2000;
    let (h, bell) = (x / f64::from(n), |t: f64| (-t * t).exp());
    let weight = |i: i32| if i == 0 || i == n { 1.0 } else { 2.0 + 2.0 * f64::from(i % 2) };
    let sum: f64 = (0..=n).map(|i| weight(i) * bell(f64::from(i) * h)).sum();
    sum * h / 3.0 * 2.0 / std::f64::consts::PI.sqrt()
}

fn softplus(x: f64) -> f64 {
    x.exp().ln_1p()
}

#[test]
fn functions_of_one_number_are_exact_tables() {
    type Definition = fn(f64) -> f64;
    let elu = |x: f64| if x < 0.0 { x.exp_m1() } else { x };
    let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    let table: &[(&str, Definition)] = &[
        ("Identity", |x| x),
        ("Dropout", |x| x),
        ("Relu", |x| x.max(0.0)),
        ("Sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
        ("Tanh", f64::tanh),
        ("HardSigmoid", |x| (f64::from(0.2f32) * x + 0.5).clamp(0.0, 1.0)),
        ("HardSwish", |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        ("LeakyRelu", |x| if x < 0.0 { f64::from(0.01f32) * x } else { x }),
        ("Elu", elu),
        ("Selu", |x| 1.050_701 * if x < 0.0 { 1.673_263_2 * x.exp_m1() } else { x }),
        ("Erf", erf),
        ("Gelu", |x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt()))),
        ("Mish", |x| x * softplus(x).tanh()),
        ("Exp", f64::exp),
        ("Abs", f64::abs),
        ("Neg", |x| -x),
        ("Round", f64::round_ties_even),
        ("Floor", f64::floor),
        ("Ceil", f64::ceil),
        ("Sign", sign),
        ("Sin", f64::sin),
        ("Cos", f64::cos),
        ("Softplus", softplus),
        ("Softsign", |x| x / (1.0 + x.abs())),
        ("ThresholdedRelu", |x| if x > 1.0 { x } else { 0.0 }),
    ];
    for (op, definition) in table {
        expect_function(op, 128, |b| b.node(op, &["d"], &["r"]), definition);
    }
    let positive: [(&str, Definition); 3] =
        [("Log", f64::ln), ("Sqrt", f64::sqrt), ("Reciprocal", |x| 1.0 / x)];
    for (op, definition) in positive {
        expect_function(op, 0, |b| b.node(op, &["d"], &["r"]), definition);
    }
    let node = |b: Build| text(b.node("Gelu", &["d"], &["r"]), "approximate", "tanh");
    let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
    expect_function("Gelu by tanh", 128, node, |x| 0.5 * x * (1.0 + inner(x).tanh()));
}

#[test]
fn functions_with_a_constant_are_exact_tables() {
    type Definition = fn(f64) -> f64;
    const C: f64 = 0.7f32 as f64;
    let table: &[(&str, Definition, Definition)] = &[
        ("Add", |x| x + C, |x| C + x),
        ("Sub", |x| x - C, |x| C - x),
        ("Mul", |x| x * C, |x| C * x),
        ("Div", |x| x / C, |x| C / x),
        ("Min", |x| x.min(C), |x| C.min(x)),
        ("Max", |x| x.max(C), |x| C.max(x)),
    ];
    for (op, right, left) in table {
        let with = |b: Build| b.scale("c", 0.7);
        expect_function(op, 128, |b| with(b).node(op, &["d", "c"], &["r"]), right);
        expect_function(op, 128, |b| with(b).node(op, &["c", "d"], &["r"]), left);
    }
    let with = |b: Build| b.scale("c", 0.7);
    let prelu = |x: f64| if x < 0.0 { C * x } else { x };
    expect_function("PRelu", 128, |b| with(b).node("PRelu", &["d", "c"], &["r"]), prelu);
    expect_function("Pow", 0, |b| with(b).node("Pow", &["d", "c"], &["r"]), |x| x.powf(C));
    let clip = |b: Build| b.scale("low", -0.5).scale("high", 1.3);
    let clip = |b: Build| clip(b).node("Clip", &["d", "low", "high"], &["r"]);
    expect_function("Clip", 128, clip, |x| x.clamp(-0.5, f64::from(1.3f32)));
    // Five nodes, one table.
    let swish = |b: Build| {
        let b = b.scale("three", 3.0).scale("zero", 0.0).scale("six", 6.0);
        b.node("Add", &["d", "three"], &["a"])
            .node("Clip", &["a", "zero", "six"], &["b"])
            .node("Div", &["b", "six"], &["c"])
            .node("Mul", &["d", "c"], &["r"])
    };
    expect_function("hard swish", 128, swish, |x| x * ((x + 3.0).clamp(0.0, 6.0) / 6.0));
}

#[test]
fn a_constant_of_several_numbers_runs_in_float_and_says_so() {
    let graph = build()
        .input("x", Dtype::U8, &[1, 2])
        .scale("s", 0.5)
        .constant("z", &[], Data::U8(vec![0]))
        .node("DequantizeLinear", &["x", "s", "z"], &["d"])
        .constant("c", &[2], Data::F32(vec![1.0, 2.0]))
        .node("Mul", &["d", "c"], &["r"])
        .node("QuantizeLinear", &["r", "s", "z"], &["y"])
        .output("y", Dtype::U8, &[1, 2]);
    let model = load(&graph.bytes()).unwrap();
    let reasons: Vec<_> = model.explain().iter().map(|f| (&*f.node, &*f.reason)).collect();
    assert_eq!(reasons, [("r_node", "its constant is not one number")]);
    assert_eq!(run_model(&model, &[Data::U8(vec![3, 5])])[0].data, Data::U8(vec![3, 10]));
}

/// `x` is 0, 1, 2, … of shape [1, 2, 4], one step a unit; so are the results.
fn moved(node: impl Fn(Build) -> Build, outputs: &[&str]) -> Vec<Tensor> {
    let mut graph = build()
        .input("x", Dtype::U8, &[1, 2, 4])
        .scale("s", 1.0)
        .constant("z", &[], Data::U8(vec![0]))
        .node("DequantizeLinear", &["x", "s", "z"], &["d"]);
    graph = node(graph);
    for name in outputs {
        let stored = format!("{name}_stored");
        graph = graph.node("QuantizeLinear", &[name, "s", "z"], &[&stored]);
        graph = graph.output(&stored, Dtype::U8, &[]);
    }
    let mut proto = graph.model();
    // What the shapes are is for the engine to find out.
    proto.graph.as_mut().unwrap().output.iter_mut().for_each(|o| o.r#type = None);
    let model = load(&prost::Message::encode_to_vec(&proto)).unwrap();
    assert!(model.explain().is_empty(), "{:?}", model.explain());
    run_model(&model, &[Data::U8((0..8).collect())])
}

fn whole(values: &[i64]) -> Data {
    Data::I64(values.to_vec())
}

fn expect_moved(node: impl Fn(Build) -> Build, shape: &[usize], values: &[u8]) {
    let y = moved(node, &["r"]);
    assert_eq!(y, [Tensor { shape: shape.to_vec(), data: Data::U8(values.to_vec()) }]);
}

#[test]
fn parts_and_shapes_are_exact() {
    let split = |b: Build| {
        let b = b.constant("sizes", &[2], whole(&[1, 3]));
        b.node("Split", &["d", "sizes"], &["left", "right"]).int("axis", 2)
    };
    let y: Vec<Data> = moved(split, &["left", "right"]).into_iter().map(|t| t.data).collect();
    assert_eq!(y, [Data::U8(vec![0, 4]), Data::U8(vec![1, 2, 3, 5, 6, 7])]);
    let slice = |b: Build| {
        let parts = [("start", -1), ("end", -100), ("axis", -1), ("step", -2)];
        let b = parts.iter().fold(b, |b, (name, v)| b.constant(name, &[1], whole(&[*v])));
        b.node("Slice", &["d", "start", "end", "axis", "step"], &["r"])
    };
    expect_moved(slice, &[1, 2, 2], &[3, 1, 7, 5]);
    let squeezed = |b: Build| {
        let b = b.constant("out", &[2], whole(&[0, -1])).constant("in", &[1], whole(&[1]));
        b.node("Unsqueeze", &["d", "out"], &["u"]).node("Squeeze", &["u", "in"], &["r"])
    };
    expect_moved(squeezed, &[1, 2, 4, 1], &[0, 1, 2, 3, 4, 5, 6, 7]);
    let flat = |b: Build| b.node("Flatten", &["d"], &["r"]).int("axis", 2);
    expect_moved(flat, &[2, 4], &[0, 1, 2, 3, 4, 5, 6, 7]);
    let turned = |b: Build| b.node("Transpose", &["d"], &["r"]);
    expect_moved(turned, &[4, 2, 1], &[0, 4, 1, 5, 2, 6, 3, 7]);
    let padded = |b: Build| {
        let b = b.constant("pads", &[6], whole(&[0, 0, 1, 0, 0, 0])).scale("with", 9.0);
        b.node("Pad", &["d", "pads", "with"], &["r"])
    };
    expect_moved(padded, &[1, 2, 5], &[9, 0, 1, 2, 3, 9, 4, 5, 6, 7]);
}

#[test]
fn windows_of_every_padding_are_exact() {
    let pool = |op: &'static str, kernel: i64, stride: i64, padding: &'static str| {
        move |b: Build| {
            let b = text(b.node(op, &["d"], &["r"]), "auto_pad", padding);
            b.ints("kernel_shape", &[kernel]).ints("strides", &[stride])
        }
    };
    expect_moved(pool("MaxPool", 2, 1, "SAME_UPPER"), &[1, 2, 4], &[1, 2, 3, 3, 5, 6, 7, 7]);
    expect_moved(pool("MaxPool", 2, 1, "SAME_LOWER"), &[1, 2, 4], &[0, 1, 2, 3, 4, 5, 6, 7]);
    expect_moved(pool("MaxPool", 3, 1, "VALID"), &[1, 2, 2], &[2, 3, 6, 7]);
    // Means of 0 1 2, 2 3 and 4 5 6, 6 7: to even. What pads does not count.
    expect_moved(pool("AveragePool", 3, 2, "SAME_UPPER"), &[1, 2, 2], &[1, 2, 5, 6]);
    let global = |b: Build| b.node("GlobalMaxPool", &["d"], &["r"]);
    expect_moved(global, &[1, 2, 1], &[3, 7]);
    let mean = |b: Build| b.node("ReduceMean", &["d"], &["r"]).ints("axes", &[-1]);
    expect_moved(|b| mean(b).int("keepdims", 0), &[1, 2], &[2, 6]);
    // Sums of 0 1 2 and 2 3, or of 0 1 and 1 2 3.
    for (padding, expected) in [("SAME_UPPER", [3, 5, 15, 13]), ("SAME_LOWER", [1, 6, 9, 18])] {
        let conv = |b: Build| {
            let b = b.constant("w", &[2, 1, 3], Data::I8(vec![1; 6]));
            let b = b.node("DequantizeLinear", &["w", "s"], &["wd"]);
            let b = b.node("Conv", &["d", "wd"], &["r"]).ints("strides", &[2]).int("group", 2);
            text(b, "auto_pad", padding)
        };
        expect_moved(conv, &[1, 2, 2], &expected);
    }
    let dense = |b: Build| {
        let b = b.constant("w", &[3, 4], Data::I8(vec![1, 0, 0, 0, 0, 2, 0, 0, 1, 1, 1, 1]));
        let b = b.constant("two", &[2], whole(&[2, 4]));
        b.node("DequantizeLinear", &["w", "s"], &["wd"])
            .node("Reshape", &["d", "two"], &["m"])
            .node("Gemm", &["m", "wd"], &["r"])
            .int("transB", 1)
    };
    expect_moved(dense, &[2, 3], &[0, 2, 6, 4, 10, 22]);
}

#[test]
fn qlinearmatmul_has_a_scale_for_each_column() {
    let graph = build()
        .input("x", Dtype::U8, &[1, 2])
        .scale("xs", 0.1)
        .constant("xz", &[], Data::U8(vec![128]))
        .constant("w", &[2, 2], Data::I8(vec![10, 20, 30, 40]))
        .constant("ws", &[2], Data::F32(vec![0.05, 0.1]))
        .constant("wz", &[2], Data::I8(vec![0, 10]))
        .scale("ys", 0.2)
        .constant("yz", &[], Data::U8(vec![128]))
        .node("QLinearMatMul", &["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], &["y"])
        .output("y", Dtype::U8, &[1, 2]);
    let model = load(&graph.bytes()).unwrap();
    assert!(model.explain().is_empty(), "{:?}", model.explain());
    let y = run_model(&model, &[Data::U8(vec![130, 125])]);
    // (2 * 10 - 3 * 30) * 0.005 / 0.2 = -1.75; (2 * 10 - 3 * 30) * 0.01 / 0.2 = -3.5, to even.
    assert_eq!(y[0].data, Data::U8(vec![126, 124]));
}
