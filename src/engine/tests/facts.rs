//! What graphs show of their outputs.

use super::load;
use super::model::{Build, build};
use crate::engine::{Ending, OutputFact};
use crate::tensor::{Data, Dtype};
use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};

/// Logits of three classes from an input of four.
fn logits() -> Build {
    build()
        .input("x", Dtype::F32, &[1, 4])
        .constant("w", &[4, 3], Data::F32((0..12).map(|i| 0.1 * i as f32).collect()))
        .constant("b", &[3], Data::F32(vec![0.1, -0.2, 0.3]))
        .node("Gemm", &["x", "w", "b"], &["logits"])
}

fn facts(build: Build, outputs: &[&str]) -> Vec<OutputFact> {
    let build = outputs.iter().fold(build, |b, name| b.output(name, Dtype::F32, &[1, 3]));
    load(&build.bytes()).unwrap().facts().to_vec()
}

fn ending(build: Build) -> Ending {
    facts(build, &["y"])[0].ending
}

fn float(build: Build, name: &str, value: f32) -> Build {
    build.attribute(AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..AttributeProto::default()
    })
}

#[test]
fn operators_say_what_they_make() {
    for (op, expected) in [
        ("Softmax", Ending::Softmax),
        ("LogSoftmax", Ending::LogSoftmax),
        ("Sigmoid", Ending::Sigmoid),
        ("HardSigmoid", Ending::Probabilities),
        ("Identity", Ending::Sums),
        ("Relu", Ending::Unknown),
        ("Tanh", Ending::Unknown),
    ] {
        assert_eq!(ending(logits().node(op, &["logits"], &["y"])), expected, "{op}");
    }
}

/// Reshapes, transpositions and the like between the activation and the output.
#[test]
fn moves_hide_nothing() {
    let softmax = logits()
        .node("Softmax", &["logits"], &["s"])
        .constant("shape", &[2], Data::I64(vec![3, 1]))
        .node("Reshape", &["s", "shape"], &["r"])
        .node("Transpose", &["r"], &["t"])
        .ints("perm", &[1, 0])
        .node("Identity", &["t"], &["i"])
        .node("Flatten", &["i"], &["y"]);
    assert_eq!(ending(softmax), Ending::Softmax);
    let quantized = logits()
        .node("Sigmoid", &["logits"], &["s"])
        .scale("ys", 1.0 / 255.0)
        .constant("yz", &[], Data::U8(vec![0]))
        .node("QuantizeLinear", &["s", "ys", "yz"], &["q"])
        .node("DequantizeLinear", &["q", "ys", "yz"], &["y"]);
    assert_eq!(ending(quantized), Ending::Sigmoid);
    let bias = logits().node("Add", &["logits", "b"], &["y"]);
    assert_eq!(ending(bias), Ending::Sums);
}

#[test]
fn functions_written_in_several_nodes_are_known() {
    let exp = || logits().node("Exp", &["logits"], &["e"]);
    let total = || {
        exp().constant("last", &[1], Data::I64(vec![1])).node(
            "ReduceSum",
            &["e", "last"],
            &["total"],
        )
    };
    assert_eq!(ending(total().node("Div", &["e", "total"], &["y"])), Ending::Softmax);
    let inverse = total().node("Reciprocal", &["total"], &["r"]).node("Mul", &["e", "r"], &["y"]);
    assert_eq!(ending(inverse), Ending::Softmax);
    let log = total().node("Log", &["total"], &["l"]).node("Sub", &["logits", "l"], &["y"]);
    assert_eq!(ending(log), Ending::LogSoftmax);
    let one = || {
        logits()
            .node("Neg", &["logits"], &["n"])
            .node("Exp", &["n"], &["e"])
            .scale("one", 1.0)
            .node("Add", &["e", "one"], &["d"])
    };
    assert_eq!(ending(one().node("Div", &["one", "d"], &["y"])), Ending::Sigmoid);
    assert_eq!(ending(one().node("Reciprocal", &["d"], &["y"])), Ending::Sigmoid);
    let tanh = logits()
        .scale("half", 0.5)
        .node("Mul", &["logits", "half"], &["h"])
        .node("Tanh", &["h"], &["t"])
        .node("Mul", &["t", "half"], &["u"])
        .node("Add", &["u", "half"], &["y"]);
    assert_eq!(ending(tanh), Ending::Sigmoid);
}

/// Means of several models, complements, bounds: within 0 and 1 whatever goes in.
#[test]
fn bounds_follow_from_the_graph() {
    let two = || logits().node("Softmax", &["logits"], &["a"]).node("Sigmoid", &["logits"], &["s"]);
    let mean = two().node("Add", &["a", "s"], &["sum"]).scale("two", 2.0).node(
        "Div",
        &["sum", "two"],
        &["y"],
    );
    assert_eq!(ending(mean), Ending::Probabilities);
    let complement = two().scale("one", 1.0).node("Sub", &["one", "s"], &["y"]);
    assert_eq!(ending(complement), Ending::Probabilities);
    let clipped = logits().scale("low", 0.0).scale("high", 1.0).node(
        "Clip",
        &["logits", "low", "high"],
        &["y"],
    );
    assert_eq!(ending(clipped), Ending::Probabilities);
    let wide = two().node("Add", &["a", "s"], &["y"]);
    assert_eq!(ending(wide), Ending::Unknown);
    let leaky = float(logits().node("LeakyRelu", &["logits"], &["y"]), "alpha", 0.1);
    assert_eq!(ending(leaky), Ending::Unknown);
}

#[test]
fn a_class_is_known_with_the_scores_it_is_from() {
    let argmax = logits()
        .node("Softmax", &["logits"], &["scores"])
        .node("ArgMax", &["logits"], &["best"])
        .int("axis", 1)
        .int("keepdims", 0)
        .constant("ids", &[3], Data::I64(vec![10, 20, 30]))
        .node("Gather", &["ids", "best"], &["label"])
        .output("label", Dtype::I64, &[1]);
    let facts = facts(argmax, &["scores"]);
    let label = facts[0].label.clone().unwrap();
    assert_eq!((label.ids, label.scores), (vec![10, 20, 30], vec![1]));
    assert_eq!(facts[1].label, None);
}

/// A circle, and a value that doubles at every step: looking must end.
#[test]
fn looking_ends() {
    let none = std::collections::HashMap::new();
    let mut deep = logits();
    let mut last = "logits".to_owned();
    for i in 0..200 {
        let name = format!("n{i}");
        deep = deep.node(["Add", "Mul"][i % 2], &[&last, &last], &[&name]);
        last = name;
    }
    let graph = deep.node("Identity", &[&last], &["y"]).output("y", Dtype::F32, &[1, 3]);
    assert_eq!(
        crate::engine::output_facts::analyze(&graph.decoded(), &none)[0].ending,
        Ending::Unknown
    );
    let circle = build().node("Add", &["a", "b"], &["b"]).node("Identity", &["b"], &["a"]).output(
        "a",
        Dtype::F32,
        &[1],
    );
    assert_eq!(
        crate::engine::output_facts::analyze(&circle.decoded(), &none)[0].ending,
        Ending::Unknown
    );
}
