//! What is lowered, what stays in float and why, and what is refused.

use super::model::{Build, build};
use super::{load, refusal, run, run_model};
use crate::engine::NodeCounts;
use crate::tensor::{Data, Dtype, Quant, Tensor};
use prost::Message;
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, IntoTValue, tvec};

/// `x` (u8) -> dequantization `d`.
fn start(shape: &[usize]) -> Build {
    build()
        .input("x", Dtype::U8, shape)
        .scale("xs", 0.1)
        .constant("xz", &[], Data::U8(vec![128]))
        .node("DequantizeLinear", &["x", "xs", "xz"], &["d"])
}

/// Quantization of `r` to the output `y` (u8).
fn end(build: Build, shape: &[usize], scale: f32, zero: u8) -> Build {
    build
        .scale("ys", scale)
        .constant("yz", &[], Data::U8(vec![zero]))
        .node("QuantizeLinear", &["r", "ys", "yz"], &["y"])
        .output("y", Dtype::U8, shape)
}

/// A dense layer of two inputs and two outputs; the arguments are what can be wrong with it.
fn layer(scales: &[f32], zeros: Data, axis: i64, bias_scale: f32) -> Build {
    let n = scales.len();
    let shape: &[usize] = if n == 1 { &[] } else { &[n] };
    let zero_shape: &[usize] = if zeros.len() == 1 { &[] } else { &[2] };
    let graph = start(&[1, 2])
        .constant("w", &[2, 2], Data::I8(vec![10, 20, 30, 40]))
        .constant("ws", shape, Data::F32(scales.to_vec()))
        .constant("wz", zero_shape, zeros)
        .node("DequantizeLinear", &["w", "ws", "wz"], &["wd"])
        .int("axis", axis)
        .constant("b", &[2], Data::I32(vec![100, -100]))
        .scale("bs", bias_scale)
        .node("DequantizeLinear", &["b", "bs"], &["bd"])
        .node("MatMul", &["d", "wd"], &["p"])
        .node("Add", &["p", "bd"], &["r"]);
    end(graph, &[1, 2], 0.2, 128)
}

fn bytes_of(tensor: &Tensor) -> &[u8] {
    match &tensor.data {
        Data::U8(v) => v,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dense_layer_runs_in_integers() {
    let bytes = layer(&[0.05], Data::I8(vec![0]), 1, 0.005).bytes();
    let model = load(&bytes).unwrap();
    assert_eq!(model.nodes(), NodeCounts { integer: 6, float: 0 });
    assert_eq!(model.inputs()[0].quant, Some(Quant { scale: 0.1, zero: 128 }));
    assert_eq!(model.outputs()[0].quant, Some(Quant { scale: 0.2, zero: 128 }));
    // (2 * 10 - 3 * 30 + 100) * 0.005 / 0.2 = 0.75; (2 * 20 - 3 * 40 - 100) / 40 = -4.5, to even.
    let y = run_model(&model, &[Data::U8(vec![130, 125])]);
    assert_eq!(bytes_of(&y[0]), [129, 124]);
}

#[test]
fn scales_that_are_no_scales_are_refused() {
    for scale in [0.0, -0.05, f32::NAN, f32::INFINITY] {
        let text = refusal(&layer(&[scale], Data::I8(vec![0]), 1, 0.005).bytes());
        assert!(text.starts_with("node \"wd_node\" (DequantizeLinear): its scale is"), "{text}");
    }
}

#[test]
fn zero_points_of_another_type_or_number_are_refused() {
    let text = refusal(&layer(&[0.05], Data::U8(vec![0]), 1, 0.005).bytes());
    assert!(text.contains("wd_node") && text.contains("another type"), "{text}");
    let text = refusal(&layer(&[0.05], Data::I8(vec![0, 0]), 1, 0.005).bytes());
    assert!(text.contains("1 scales, but 2 zero points"), "{text}");
    let mut model = layer(&[0.05], Data::I8(vec![0]), 1, 0.005);
    let zero = super::model::tensor("xz", &[], &Data::I8(vec![0]));
    *model.graph.initializer.iter_mut().find(|t| t.name == "xz").unwrap() = zero;
    let text = refusal(&model.bytes());
    assert!(text.contains("d_node") && text.contains("zero point is of type i8"), "{text}");
}

#[test]
fn axes_and_counts_of_scales_that_do_not_fit_are_refused() {
    let zeros = || Data::I8(vec![0, 0]);
    let text = refusal(&layer(&[0.05, 0.06], zeros(), 2, 0.005).bytes());
    assert!(text.contains("wd_node") && text.contains("axis 2 is out of range"), "{text}");
    let three = layer(&[0.05, 0.06, 0.07], Data::I8(vec![0]), 1, 0.005);
    let text = refusal(&three.bytes());
    assert!(text.contains("wd_node") && text.contains("3 scales"), "{text}");
}

#[test]
fn weights_of_the_wrong_rank_are_refused() {
    let graph = start(&[1, 2, 4])
        .constant("w", &[2, 2], Data::I8(vec![1; 4]))
        .scale("ws", 0.1)
        .node("DequantizeLinear", &["w", "ws"], &["wd"])
        .node("Conv", &["d", "wd"], &["r"]);
    let text = refusal(&end(graph, &[1, 2, 4], 0.1, 0).bytes());
    assert!(text.contains("r_node") && text.contains("weights of shape [2, 2]"), "{text}");
}

#[test]
fn a_bias_in_other_units_runs_in_float_and_says_so() {
    let model = load(&layer(&[0.05], Data::I8(vec![0]), 1, 0.006).bytes()).unwrap();
    let floats = model.explain();
    assert!(
        floats.iter().any(|f| f.node == "r_node" && f.reason.contains("the scale of its bias"))
    );
    let y = run_model(&model, &[Data::U8(vec![130, 125])]);
    // (2 * 10 - 3 * 30) * 0.005 + 100 * 0.006 = 0.25, 1.25 steps.
    assert_eq!(bytes_of(&y[0]), [129, 123]);
}

#[test]
fn sums_that_could_overflow_run_in_float_and_say_so() {
    let k = 70_000;
    let graph = start(&[1, k])
        .constant("w", &[k, 1], Data::I8(vec![127; k]))
        .scale("ws", 0.001)
        .node("DequantizeLinear", &["w", "ws"], &["wd"])
        .node("MatMul", &["d", "wd"], &["r"]);
    // The weights have no zero point, so theirs is that of u8 in ONNX: 0, for any type.
    let model = load(&end(graph, &[1, 1], 10_000.0, 0).bytes()).unwrap();
    let floats = model.explain();
    assert!(
        floats.iter().any(|f| f.node == "r_node" && f.reason.contains("could overflow")),
        "{floats:?}"
    );
    // 70000 * 127 * 0.1 * 127 * 0.001 = 112903: 11 steps.
    assert_eq!(bytes_of(&run_model(&model, &[Data::U8(vec![255; k])])[0]), [11]);
}

/// The float runtime would let these go round.
#[test]
fn raw_sums_that_could_overflow_are_refused() {
    let k = 70_000;
    let sums = |graph: Build, right: &str| {
        let graph = graph.constant("z", &[], Data::U8(vec![0]));
        let graph = graph.node("MatMulInteger", &["x", right, "z"], &["y"]);
        graph.output("y", Dtype::I32, &[1, 1]).bytes()
    };
    let graph = build().input("x", Dtype::U8, &[1, k]);
    let text = refusal(&sums(graph.clone().constant("w", &[k, 1], Data::I8(vec![127; k])), "w"));
    assert_eq!(text, "node \"y_node\" (MatMulInteger): a 32-bit sum of it could overflow");
    let text = refusal(&sums(graph.clone().input("right", Dtype::U8, &[k, 1]), "right"));
    assert_eq!(text, "node \"y_node\" (MatMulInteger): a 32-bit sum of it could overflow");
    // As deep, and small enough.
    load(&sums(graph.constant("w", &[k, 1], Data::I8(vec![1; k])), "w")).unwrap();
    let graph = build()
        .input("x", Dtype::U8, &[1, 40_000, 2])
        .constant("w", &[1, 40_000, 1], Data::I8(vec![-128; 40_000]))
        .constant("wz", &[], Data::I8(vec![127]))
        .constant("z", &[], Data::U8(vec![0]))
        .node("ConvInteger", &["x", "w", "z", "wz"], &["y"])
        .output("y", Dtype::I32, &[1, 1, 2]);
    let text = refusal(&graph.bytes());
    assert!(text.contains("y_node") && text.contains("could overflow"), "{text}");
}

#[test]
fn a_model_with_an_operator_without_integer_form_is_split() {
    let graph = start(&[1, 4])
        .constant("axis", &[], Data::I64(vec![1]))
        .node("CumSum", &["d", "axis"], &["c"])
        .node("Abs", &["c"], &["a"])
        .scale("as", 0.1)
        .constant("az", &[], Data::U8(vec![0]))
        .node("QuantizeLinear", &["a", "as", "az"], &["q"])
        .node("DequantizeLinear", &["q", "as", "az"], &["e"])
        .node("Sigmoid", &["e"], &["r"]);
    let model = load(&end(graph, &[1, 4], 1.0 / 256.0, 0).bytes()).unwrap();
    assert_eq!(model.nodes(), NodeCounts { integer: 5, float: 2 });
    let floats = model.explain();
    assert_eq!(floats[0].node, "c_node");
    assert_eq!((floats[0].region, floats[1].region), (Some(0), Some(0)));
    assert!(floats[0].reason.contains("no integer form"), "{:?}", floats[0]);
    let y = run_model(&model, &[Data::U8(vec![138, 118, 118, 148])]);
    // Sums 1, 0, -1, 1 of steps of 0.1 times ten.
    let sigmoid = |x: f64| (256.0 / (1.0 + (-x).exp())).round() as u8;
    assert_eq!(bytes_of(&y[0]), [1.0, 0.0, 1.0, 1.0].map(sigmoid));
}

#[test]
fn two_regions_with_integers_between_them_run_in_order() {
    let scales = |b: Build, n: &str| {
        b.scale(&format!("{n}s"), 0.05).constant(&format!("{n}z"), &[], Data::U8(vec![100]))
    };
    let graph = start(&[1, 4]).constant("axis", &[], Data::I64(vec![1]));
    let graph = scales(graph, "m").node("CumSum", &["d", "axis"], &["c"]);
    let graph = graph
        .node("QuantizeLinear", &["c", "ms", "mz"], &["q"])
        .node("DequantizeLinear", &["q", "ms", "mz"], &["e"])
        .node("Relu", &["e"], &["p"])
        .node("QuantizeLinear", &["p", "ms", "mz"], &["q2"])
        .node("DequantizeLinear", &["q2", "ms", "mz"], &["e2"])
        .node("CumSum", &["e2", "axis"], &["r"]);
    let model = load(&end(graph, &[1, 4], 0.1, 0).bytes()).unwrap();
    assert_eq!(model.nodes(), NodeCounts { integer: 7, float: 2 });
    let y = run_model(&model, &[Data::U8(vec![138, 118, 118, 148])]);
    assert_eq!(bytes_of(&y[0]), [10, 10, 10, 20]);
}

#[test]
fn a_float_bias_goes_into_the_sum() {
    let graph = start(&[1, 2])
        .constant("w", &[2, 2], Data::I8(vec![10, 20, 30, 40]))
        .scale("ws", 0.05)
        .constant("wz", &[], Data::I8(vec![0]))
        .node("DequantizeLinear", &["w", "ws", "wz"], &["wd"])
        .constant("b", &[2], Data::F32(vec![0.5, -0.5]))
        .node("Gemm", &["d", "wd", "b"], &["g"])
        .node("Relu", &["g"], &["r"]);
    let model = load(&end(graph, &[1, 2], 0.2, 128).bytes()).unwrap();
    assert_eq!(model.nodes(), NodeCounts { integer: 5, float: 0 });
    let y = run_model(&model, &[Data::U8(vec![130, 125])]);
    assert_eq!(bytes_of(&y[0]), [129, 128]);
}

#[test]
fn floats_before_and_after_are_transposed_without_a_float_node() {
    // As PyTorch and ONNX Runtime export: float input, channels moved, float output.
    let model = build()
        .input("x", Dtype::F32, &[1, 2, 3])
        .node("Transpose", &["x"], &["t"])
        .ints("perm", &[0, 2, 1])
        .scale("s", 0.5)
        .constant("z", &[], Data::I8(vec![0]))
        .node("QuantizeLinear", &["t", "s", "z"], &["q"])
        .node("DequantizeLinear", &["q", "s", "z"], &["d"])
        .constant("w", &[1, 3, 1], Data::I8(vec![1, 2, 3]))
        .node("DequantizeLinear", &["w", "s", "z"], &["wd"])
        .node("Conv", &["d", "wd"], &["c"])
        .node("QuantizeLinear", &["c", "s", "z"], &["q2"])
        .node("DequantizeLinear", &["q2", "s", "z"], &["y"])
        .output("y", Dtype::F32, &[1, 1, 2]);
    let bytes = model.bytes();
    assert_eq!(load(&bytes).unwrap().nodes(), NodeCounts { integer: 7, float: 0 });
    let y = run(&bytes, &[Data::F32(vec![1.0, 2.0, 3.0, -1.0, -2.0, -3.0])]);
    assert_eq!(y[0].data, Data::F32(vec![7.0, -7.0]));
}

/// What makes it necessary to keep quantization away from the float runtime.
#[test]
fn stock_tract_turns_softmax_into_a_table_and_we_do_not() {
    let graph = start(&[1, 4]).node("Softmax", &["d"], &["r"]).int("axis", -1);
    let model = end(graph, &[1, 4], 1.0 / 256.0, 0).model();
    let input = vec![150u8, 140, 130, 120];
    let stock = tract_onnx::onnx().model_for_proto_model(&model).unwrap();
    let stock = stock.into_optimized().unwrap().into_runnable().unwrap();
    let tensor = tract_onnx::prelude::Tensor::from_shape(&[1, 4], &input).unwrap();
    let wrong = stock.run(tvec!(tensor.into_tvalue())).unwrap();
    let wrong = wrong[0].try_as_plain_ram().unwrap().as_slice::<u8>().unwrap().to_vec();
    let sum: f64 = [2.2, 1.2, 0.2, -0.8].iter().map(|x: &f64| x.exp()).sum();
    let exact = [2.2, 1.2, 0.2, -0.8].map(|x: f64| (256.0 * x.exp() / sum).round_ties_even() as u8);
    let ours = run(&model.encode_to_vec(), &[Data::U8(input)]);
    assert_eq!(bytes_of(&ours[0]), exact);
    assert_ne!(wrong, exact, "tract has repaired its table: the detour can go");
}

/// A softmax that only the float runtime can run must not become a table there either.
#[test]
fn quantizations_left_in_a_float_region_are_spelled_out() {
    // A scale that is computed keeps all of it in float.
    let graph = start(&[1, 4])
        .input("unit", Dtype::F32, &[])
        .node("Softmax", &["d"], &["p"])
        .int("axis", -1)
        .constant("z", &[], Data::U8(vec![0]))
        .node("QuantizeLinear", &["p", "unit", "z"], &["y"])
        .output("y", Dtype::U8, &[1, 4]);
    let model = load(&graph.bytes()).unwrap();
    assert!(model.explain().iter().any(|f| f.reason == "its scale is not a constant"));
    let unit = Data::F32(vec![1.0 / 256.0]);
    let y = run_model(&model, &[Data::U8(vec![128; 4]), unit]);
    assert_eq!(bytes_of(&y[0]), [64; 4]);
}

#[test]
fn windows_that_do_not_fit_never_reach_the_float_runtime() {
    let model = |kernel: i64, pads: i64| {
        build()
            .input("x", Dtype::F32, &[1, 2, 4])
            .constant("w", &[2, 2, kernel as usize], Data::F32(vec![0.5; 4 * kernel as usize]))
            .node("Conv", &["x", "w"], &["y"])
            .ints("pads", &[pads, pads])
            .output("y", Dtype::F32, &[1, 2, 1])
            .bytes()
    };
    load(&model(4, 0)).unwrap();
    let text = refusal(&model(7, 1));
    assert!(text.contains("y_node") && text.contains("larger than its padded input"), "{text}");
    let text = refusal(&model(3, -1));
    assert_eq!(text, "node \"y_node\" (Conv): its pads of -1 is not within 0..=65536");
}

#[test]
fn graphs_out_of_order_or_with_a_name_twice_are_refused() {
    let graph = start(&[1, 4]).node("Relu", &["later"], &["r"]);
    let text = refusal(&end(graph, &[1, 4], 0.1, 0).bytes());
    assert!(text.contains("\"later\", which no node before it makes"), "{text}");
    let graph = start(&[1, 4]).node("Relu", &["d"], &["r"]).node("Relu", &["d"], &["r"]);
    let text = refusal(&end(graph, &[1, 4], 0.1, 0).bytes());
    assert!(text.contains("\"r\" is made a second time"), "{text}");
}

#[test]
fn outputs_that_do_not_depend_on_inputs_are_refused() {
    let graph = start(&[1, 4]).output("xs", Dtype::F32, &[]).node("Relu", &["d"], &["r"]);
    let text = refusal(&end(graph, &[1, 4], 0.1, 0).bytes());
    assert_eq!(text, "model output \"xs\": it does not depend on the inputs");
}
