//! Quantized graphs in the forms that exporters write them in, where these are not the plain one.

use super::exact::{Exact, Values, evaluate};
use super::model::{Build, build, tensor};
use super::{load, run_model};
use crate::engine::NodeCounts;
use crate::tensor::{Data, Dtype, Tensor};
use fastrand::Rng;
use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};

/// A value as a node, as PyTorch writes most constants.
fn constant(build: Build, name: &str, shape: &[usize], data: &Data) -> Build {
    valued(build.node("Constant", &[], &[name]), shape, data)
}

fn valued(build: Build, shape: &[usize], data: &Data) -> Build {
    build.attribute(AttributeProto {
        name: "value".into(),
        r#type: AttributeType::Tensor as i32,
        t: Some(tensor("", shape, data)),
        ..AttributeProto::default()
    })
}

/// Scale and zero point of an activation.
fn amounts(build: Build, name: &str, scale: f32, zero: u8) -> Build {
    let build = constant(build, &format!("{name}_scale"), &[], &Data::F32(vec![scale]));
    constant(build, &format!("{name}_zero"), &[], &Data::U8(vec![zero]))
}

fn quantize(build: Build, from: &str, to: &str) -> Build {
    build.node("QuantizeLinear", &[from, &format!("{to}_scale"), &format!("{to}_zero")], &[to])
}

fn dequantize(build: Build, from: &str, as_if: &str, to: &str) -> Build {
    let amounts = [format!("{as_if}_scale"), format!("{as_if}_zero")];
    build.node("DequantizeLinear", &[from, &amounts[0], &amounts[1]], &[to])
}

fn floats(rng: &mut Rng, n: usize, range: f32) -> Vec<f32> {
    (0..n).map(|_| (rng.f32() * 2.0 - 1.0) * range).collect()
}

/// Float weights, a scale for each of `n` channels, and their quantization left to the graph: what
/// `fake_quantize_per_channel_affine` becomes.
fn fake_quantized(build: Build, shape: &[usize], weights: Vec<f32>) -> Build {
    let n = shape[0];
    let each = weights.len() / n;
    let largest = |row: &[f32]| row.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    let scales = weights.chunks(each).map(|row| largest(row) / 127.0).collect();
    let build = build
        .constant("w", shape, Data::F32(weights))
        .constant("w_q_scale", &[n], Data::F32(scales))
        .constant("w_q_zero", &[n], Data::I8(vec![0; n]));
    let build = quantize(build, "w", "w_q").int("axis", 0);
    dequantize(build, "w_q", "w_q", "w_real").int("axis", 0)
}

/// Loads, expects nothing in float, and holds outputs against exact arithmetic.
fn expect_integers_and_exact(build: &Build, seed: u64) {
    let model = load(&build.clone().bytes()).unwrap();
    assert!(model.explain().is_empty(), "{:?}", model.explain());
    assert!(model.nodes().integer > 0);
    let (mut rng, mut sure) = (Rng::with_seed(seed), 0);
    for _ in 0..40 {
        let spec = &model.inputs()[0];
        let data = Data::F32(floats(&mut rng, spec.len(), 1.2));
        let ours = &run_model(&model, std::slice::from_ref(&data))[0];
        let x = Exact::of(&Tensor { shape: spec.shape.clone(), data });
        let mut values = Values::from([("x".to_owned(), x)]);
        // Beside the middle between two steps a float may fall to the other side.
        if evaluate(&build.decoded(), &mut values) < 1e-4 {
            continue;
        }
        sure += 1;
        let exact = &values[&build.graph.output[0].name];
        assert_eq!(ours.shape, exact.shape);
        let pairs = Exact::of(ours).x.into_iter().zip(exact.x.iter().copied());
        for (a, b) in pairs {
            assert!((a - b).abs() < 1e-6, "{a} for {b}");
        }
    }
    assert!(sure > 10, "too few of the inputs tell anything: {sure}");
}

#[test]
fn pytorch_weights_that_the_graph_quantizes_run_in_integers() {
    let mut rng = Rng::with_seed(1);
    let graph = amounts(build().input("x", Dtype::F32, &[1, 2, 6]), "x_q", 0.0093, 64);
    let graph = dequantize(quantize(graph, "x", "x_q"), "x_q", "x_q", "x_real");
    let graph = fake_quantized(graph, &[4, 2, 3], floats(&mut rng, 24, 0.8));
    let graph = graph
        .constant("b", &[4], Data::F32(floats(&mut rng, 4, 0.5)))
        .node("Conv", &["x_real", "w_real", "b"], &["c"])
        .ints("kernel_shape", &[3])
        .ints("pads", &[1, 1])
        .node("Relu", &["c"], &["r"]);
    let graph = amounts(graph, "y_q", 0.017, 0);
    let graph = dequantize(quantize(graph, "r", "y_q"), "y_q", "y_q", "y");
    expect_integers_and_exact(&graph.output("y", Dtype::F32, &[1, 4, 6]), 2);
}

/// `quant_max = 127` of an unsigned type, as PyTorch's x86 and fbgemm settings have it.
#[test]
fn pytorch_seven_bit_activations_run_in_integers() {
    let mut rng = Rng::with_seed(3);
    let bounds = |graph: Build| {
        let graph = constant(graph, "low", &[], &Data::U8(vec![0]));
        constant(graph, "high", &[], &Data::U8(vec![127]))
    };
    let graph = bounds(build().input("x", Dtype::F32, &[3, 5]));
    let graph = quantize(amounts(graph, "x_q", 0.0093, 64), "x", "x_q");
    let graph = graph.node("Clip", &["x_q", "low", "high"], &["x_clipped"]);
    let graph = dequantize(graph, "x_clipped", "x_q", "x_real");
    // F.linear of more than two axes: the weights are transposed behind their dequantization.
    let graph = fake_quantized(graph, &[4, 5], floats(&mut rng, 20, 0.8));
    let graph = graph
        .constant("b", &[4], Data::F32(floats(&mut rng, 4, 0.5)))
        .node("Transpose", &["w_real"], &["w_turned"])
        .ints("perm", &[1, 0])
        .node("MatMul", &["x_real", "w_turned"], &["p"])
        .node("Add", &["b", "p"], &["s"]);
    let graph = quantize(amounts(graph, "y_q", 0.025, 60), "s", "y_q");
    let graph = graph.node("Clip", &["y_q", "low", "high"], &["y_clipped"]);
    let graph = dequantize(graph, "y_clipped", "y_q", "y");
    expect_integers_and_exact(&graph.output("y", Dtype::F32, &[3, 4]), 4);
}

/// A converted module (`torch.ao.quantization`, `quantized::conv1d`): casts to the type there is,
/// and the bias divided into steps by the graph.
#[test]
fn pytorch_converted_modules_run_in_integers() {
    let mut rng = Rng::with_seed(5);
    let weights = super::generate::stored(&mut rng, 24, false);
    let graph = amounts(build().input("x", Dtype::F32, &[1, 2, 6]), "x_q", 0.0093, 64);
    let graph = quantize(graph, "x", "x_q").node("Cast", &["x_q"], &["x_cast"]).int("to", 2);
    let graph = dequantize(graph, "x_cast", "x_q", "x_real");
    let graph = constant(graph, "w", &[4, 2, 3], &weights);
    let scales = (0..4).map(|_| 0.004 + rng.f32() * 0.004).collect();
    let graph = constant(graph, "w_scale", &[4], &Data::F32(scales))
        .constant("w_zero", &[4], Data::I8(vec![0; 4]))
        .node("Cast", &["w"], &["w_cast"])
        .int("to", 3);
    let graph = dequantize(graph, "w_cast", "w", "w_real")
        .int("axis", 0)
        .constant("b", &[4], Data::F32(floats(&mut rng, 4, 0.5)))
        .node("Mul", &["w_scale", "x_q_scale"], &["b_scale"])
        .node("Shape", &["b_scale"], &["b_shape"])
        .node("ConstantOfShape", &["b_shape"], &["b_zero"]);
    let graph = valued(graph, &[1], &Data::I32(vec![0]))
        .node("Div", &["b", "b_scale"], &["b_steps"])
        .node("Cast", &["b_steps"], &["b_q"])
        .int("to", 6);
    let graph = dequantize(graph, "b_q", "b", "b_real")
        .int("axis", 0)
        .node("Conv", &["x_real", "w_real", "b_real"], &["c"])
        .ints("kernel_shape", &[3]);
    let graph = quantize(amounts(graph, "y_q", 0.03, 120), "c", "y_q");
    let graph = graph.node("Cast", &["y_q"], &["y_cast"]).int("to", 2);
    let graph = dequantize(graph, "y_cast", "y_q", "y");
    let graph = graph.output("y", Dtype::F32, &[1, 4, 4]);
    expect_integers_and_exact(&graph, 6);
    let counts = load(&graph.bytes()).unwrap().nodes();
    assert_eq!(counts, NodeCounts { integer: 9, float: 0 }, "what is constant is computed at load");
}

#[test]
fn per_channel_scales_of_a_float_constant_are_held_against_its_shape() {
    let graph = amounts(build().input("x", Dtype::F32, &[1, 2, 6]), "x_q", 0.01, 64);
    let graph = dequantize(quantize(graph, "x", "x_q"), "x_q", "x_q", "x_real")
        .constant("w", &[4, 2, 3], Data::F32(vec![0.5; 24]))
        .constant("w_q_scale", &[3], Data::F32(vec![0.1; 3]))
        .constant("w_q_zero", &[3], Data::I8(vec![0; 3]));
    let graph = quantize(graph, "w", "w_q").int("axis", 0);
    let graph = dequantize(graph, "w_q", "w_q", "w_real")
        .int("axis", 0)
        .node("Conv", &["x_real", "w_real"], &["y"])
        .output("y", Dtype::F32, &[1, 4, 4]);
    let text = super::refusal(&graph.bytes());
    assert!(text.contains("\"w_q_node\" (QuantizeLinear)"), "{text}");
    assert!(text.contains("3 scales do not fit axis 0 of shape [4, 2, 3]"), "{text}");
}

#[test]
fn weights_of_4_bits_run_in_integers() {
    let graph = amounts(build().input("x", Dtype::F32, &[1, 2]), "x_q", 0.01, 64);
    let graph = dequantize(quantize(graph, "x", "x_q"), "x_q", "x_q", "x_real")
        .constant("w", &[2, 2], Data::I8(vec![0; 4]))
        .scale("w_scale", 0.1)
        .node("DequantizeLinear", &["w", "w_scale"], &["w_real"])
        .node("MatMul", &["x_real", "w_real"], &["y"])
        .output("y", Dtype::F32, &[1, 2]);
    let mut model = graph.model();
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    let weights = tensors.iter_mut().find(|t| t.name == "w").unwrap();
    // 1, -1, 2, -2, the lower half of a byte first.
    (weights.data_type, weights.raw_data) = (22, vec![0xf1, 0xe2]);
    let bytes = prost::Message::encode_to_vec(&model);
    assert_eq!(super::load(&bytes).unwrap().nodes().float, 0);
    let y = super::run(&bytes, &[Data::F32(vec![0.3, -0.2])]);
    let Data::F32(y) = &y[0].data else { panic!("{:?}", y[0].data) };
    assert!((y[0] + 0.01).abs() < 1e-6 && (y[1] - 0.01).abs() < 1e-6, "{y:?}");
}
