//! What is not honoured is refused, and what is, is right.

use super::model::{Build, build};
use super::{load, refusal, run};
use crate::tensor::{Data, Dtype};
use prost::Message;

/// One node on a float `x` of `shape`, named `y_node`.
fn node(op: &str, shape: &[usize]) -> Build {
    let mut build =
        build().input("x", Dtype::F32, shape).node(op, &["x"], &["y"]).output("y", Dtype::F32, &[]);
    build.graph.output[0].r#type = None;
    build
}

fn at_opset(build: Build, opset: i64) -> Vec<u8> {
    let mut model = build.model();
    model.opset_import[0].version = opset;
    model.encode_to_vec()
}

fn recurrent(op: &str) -> Build {
    let gates = match op {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    build()
        .input("x", Dtype::F32, &[5, 1, 2])
        .constant("w", &[1, gates * 3, 2], Data::F32(vec![0.1; gates * 6]))
        .constant("r", &[1, gates * 3, 3], Data::F32(vec![0.1; gates * 9]))
        .node(op, &["x", "w", "r"], &["y"])
        .int("hidden_size", 3)
        .output("y", Dtype::F32, &[5, 1, 1, 3])
}

/// Refused by node, operator, attribute and value.
fn expect_refused(build: Build, parts: &[&str]) {
    let text = refusal(&build.bytes());
    assert!(text.starts_with("node \"y_node\" ("), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn attributes_of_recurrences_are_honoured_or_named() {
    let lstm = || recurrent("LSTM");
    let relu = ["Sigmoid", "Relu", "Relu"];
    let gru = || recurrent("GRU").texts("activations", &["HardSigmoid", "Tanh"]);
    for build in [lstm().texts("activations", &relu), gru(), lstm().real("clip", 3.0)] {
        load(&build.bytes()).unwrap();
    }
    load(&lstm().int("input_forget", 1).bytes()).unwrap();
    let affine = ["Sigmoid", "Affine", "Tanh"];
    expect_refused(lstm().texts("activations", &affine), &["activation_alpha", "Affine"]);
    expect_refused(lstm().texts("activations", &["Sigmoid"]), &["activations"]);
    expect_refused(lstm().real("clip", -3.0), &["clip is not a positive number"]);
    // The float runtime would ignore these.
    let computed = |build: Build| {
        let mut build = build.input("weights", Dtype::F32, &[1, 12, 2]);
        build.graph.node[0].input[1] = "weights".to_owned();
        build
    };
    expect_refused(
        computed(lstm().texts("activations", &relu)),
        &["activations", "constant weights"],
    );
    expect_refused(computed(lstm().real("clip", 3.0)), &["clip"]);
    expect_refused(computed(lstm().int("input_forget", 1)), &["input_forget"]);
    expect_refused(lstm().int("output_sequence", 1), &["output_sequence"]);
    expect_refused(lstm().text("direction", "sideways"), &["direction = \"sideways\""]);
    expect_refused(lstm().text("direction", "bidirectional"), &["weights have shape [1, 12, 2]"]);
    let defaults = ["Sigmoid", "Tanh", "tanh"];
    let explicit = lstm().texts("activations", &defaults).int("input_forget", 0).int("layout", 0);
    load(&explicit.text("direction", "forward").bytes()).unwrap();
}

#[test]
fn values_that_are_not_honoured_are_named_with_those_that_are() {
    let (image, row) = (&[1, 4, 4, 4][..], &[2, 3][..]);
    let pool = || node("AveragePool", image).ints("kernel_shape", &[2, 2]);
    let table = [
        (node("GlobalLpPool", image).int("p", 99), vec!["GlobalLpPool", "p = 99"]),
        (
            node("SpaceToDepth", image).int("blocksize", 2).text("mode", "CRD"),
            vec!["mode = \"CRD\""],
        ),
        (node("DepthToSpace", image).int("blocksize", 2).text("mode", "RDC"), vec!["mode", "DCR"]),
        (node("DepthToSpace", image), vec!["blocksize is missing"]),
        (
            pool().text("auto_pad", "SAME_UPPER").ints("pads", &[1, 1, 1, 1]),
            vec!["auto_pad", "pads"],
        ),
        (pool().text("auto_pad", "VALID").int("ceil_mode", 1), vec!["auto_pad", "ceil_mode"]),
        (pool().text("auto_pad", "SAME"), vec!["auto_pad = \"SAME\"", "SAME_UPPER"]),
        (pool().int("count_exclude_pad", 1), vec!["count_exclude_pad = 1 is not supported"]),
        (node("Softmax", row).real("axis", 1.0), vec!["axis", "INT"]),
        (node("Softmax", row).int("axis", 1).int("axis", 0), vec!["two attributes axis"]),
        (node("Elu", row).real("alpha", 1.0).real("beta", 2.0), vec!["beta = 2"]),
        (node("Squeeze", &[1, 3]).ints("axes", &[0]), vec!["axes is not one of opset 13"]),
        (node("Clip", row).real("min", 0.0), vec!["min is not one of opset 13"]),
        (node("Transpose", row).ints("perm", &[0, 0]), vec!["perm [0, 0]"]),
        (node("Gelu", row).text("approximate", "fast"), vec!["approximate = \"fast\""]),
        (node("LpNormalization", row).int("p", 3), vec!["p = 3"]),
        (node("RandomNormalLike", row), vec!["RandomNormalLike"]),
        (node("my.own.Relu", row), vec!["my.own.Relu", "not supported"]),
        (node("com.microsoft.Conv", image), vec!["microsoft.Conv", "not supported"]),
    ];
    for (build, parts) in table {
        let text = refusal(&build.bytes());
        assert!(text.contains("y_node"), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn defaults_that_are_written_out_are_taken() {
    let pool = node("AveragePool", &[1, 2, 4, 4]).ints("kernel_shape", &[2, 2]);
    let pool = pool.text("auto_pad", "SAME_UPPER").ints("pads", &[0, 0, 0, 0]).int("ceil_mode", 0);
    let y = run(&pool.int("count_include_pad", 0).bytes(), &[Data::F32(vec![1.0; 32])]);
    assert_eq!(y[0].shape, [1, 2, 4, 4], "the zeros do not stand against auto_pad");
    let y = run(&node("Dropout", &[2]).bytes(), &[Data::F32(vec![1.0, 2.0])]);
    assert_eq!(y[0].data, Data::F32(vec![1.0, 2.0]));
}

#[test]
fn noise_of_training_is_refused() {
    let train = |flag: bool| {
        let mut graph = node("Dropout", &[2]).scale("ratio", 0.5);
        graph.graph.node[0].input.extend(["ratio".into(), "train".into()]);
        graph.constant("train", &[], Data::Bool(vec![flag]))
    };
    expect_refused(train(true), &["Dropout", "training_mode", "model.eval()"]);
    load(&train(false).bytes()).unwrap();
}

#[test]
fn attributes_inside_branches_and_loops_are_looked_at() {
    let branch = |p: i64| {
        let mut inner = build().node("LpNormalization", &["x"], &["z"]).int("p", p);
        inner = inner.output("z", Dtype::F32, &[2]);
        inner.graph
    };
    let graph = |p: i64| {
        let graph = build().input("x", Dtype::F32, &[2]);
        let graph = graph.input("yes", Dtype::Bool, &[]);
        let graph = graph.node("If", &["yes"], &["y"]).inner("then_branch", branch(1));
        graph.inner("else_branch", branch(p)).output("y", Dtype::F32, &[2])
    };
    let text = refusal(&graph(3).bytes());
    assert!(text.contains("\"z_node\" (LpNormalization): its attribute p = 3"), "{text}");
    let inputs = [Data::F32(vec![1.0, 3.0]), Data::Bool(vec![true])];
    let y = run(&graph(2).bytes(), &inputs);
    assert_eq!(y[0].data, Data::F32(vec![0.25, 0.75]));
}

#[test]
fn opsets_are_known_or_refused() {
    let text = load(&at_opset(node("Relu", &[2]), 99)).unwrap_err().to_string();
    assert!(text.contains("opset is 99"), "{text}");
    let text = load(&at_opset(node("Dropout", &[2]), 6)).unwrap_err().to_string();
    assert!(text.contains("opset 6"), "{text}");
}

#[test]
fn swish_honours_its_alpha() {
    let graph = node("Swish", &[3]).real("alpha", 0.5);
    let y = run(&at_opset(graph, 24), &[Data::F32(vec![-1.0, 0.0, 2.0])]);
    let Data::F32(y) = &y[0].data else { panic!("{y:?}") };
    for (x, y) in [-1.0f32, 0.0, 2.0].into_iter().zip(y) {
        let right = x / (1.0 + (-0.5 * x).exp());
        assert!((right - y).abs() < 1e-6, "{y} for {right}");
    }
}

/// An output that is left out does not move those behind it.
#[test]
fn outputs_that_are_left_out_do_not_move_others() {
    let graph = build()
        .input("x", Dtype::F32, &[1, 4])
        .constant("k", &[1], Data::I64(vec![2]))
        .node("TopK", &["x", "k"], &["", "y"])
        .output("y", Dtype::I64, &[1, 2]);
    let y = run(&graph.bytes(), &[Data::F32(vec![3.0, 9.0, 1.0, 5.0])]);
    assert_eq!(y[0].data, Data::I64(vec![1, 3]));
    let graph = build()
        .input("x", Dtype::F32, &[1, 1, 4])
        .node("MaxPool", &["x"], &["", "y"])
        .ints("kernel_shape", &[2])
        .ints("strides", &[2])
        .output("y", Dtype::I64, &[1, 1, 2]);
    let y = run(&graph.bytes(), &[Data::F32(vec![3.0, 9.0, 1.0, 5.0])]);
    assert_eq!(y[0].data, Data::I64(vec![1, 3]));
}

#[test]
fn shifts_are_by_constants_within_the_width() {
    let graph = |amount: u8, direction: &str| {
        build()
            .input("x", Dtype::U8, &[2])
            .constant("by", &[1], Data::U8(vec![amount]))
            .node("BitShift", &["x", "by"], &["y"])
            .text("direction", direction)
            .output("y", Dtype::U8, &[2])
    };
    let shifted = |amount, direction| {
        run(&graph(amount, direction).bytes(), &[Data::U8(vec![3, 200])]).remove(0).data
    };
    assert_eq!(shifted(1, "LEFT"), Data::U8(vec![6, 144]));
    assert_eq!(shifted(3, "RIGHT"), Data::U8(vec![0, 25]));
    expect_refused(graph(8, "RIGHT"), &["shifts 8 bits by 8"]);
    expect_refused(graph(1, "right"), &["direction = \"right\""]);
}

/// Every other result of a convolution, the first or the second on, and from behind.
#[test]
fn parts_of_a_convolution_are_those_of_its_result() {
    for (start, step, right) in
        [(0, 2, [1., 5., 9.]), (1, 2, [3., 7., 11.]), (-1, -2, [11., 7., 3.])]
    {
        let ends = if step > 0 { i64::MAX } else { i64::MIN };
        let graph = build()
            .input("x", Dtype::F32, &[1, 1, 7])
            .constant("w", &[1, 1, 2], Data::F32(vec![1.0, 1.0]))
            .constant("starts", &[1], Data::I64(vec![start]))
            .constant("ends", &[1], Data::I64(vec![ends]))
            .constant("axes", &[1], Data::I64(vec![2]))
            .constant("steps", &[1], Data::I64(vec![step]))
            .node("Conv", &["x", "w"], &["c"])
            .node("Slice", &["c", "starts", "ends", "axes", "steps"], &["y"])
            .output("y", Dtype::F32, &[1, 1, 3]);
        let y = run(&graph.bytes(), &[Data::F32((0..7).map(|x| x as f32).collect())]);
        assert_eq!(y[0].data, Data::F32(right.to_vec()), "from {start} by {step}");
    }
}
