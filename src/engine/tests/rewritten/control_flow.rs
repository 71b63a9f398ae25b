//! Conditions and loops that are decided at load.

use super::values;
use crate::engine::tests::model::{Build, build};
use crate::engine::tests::{load, refusal, run};
use crate::tensor::{Data, Dtype};
use tract_onnx::pb::GraphProto;

fn graph(build: Build) -> GraphProto {
    build.graph
}

/// `then` doubles a value, `else` sums it, so that the results differ in rank.
fn conditional(test: Build) -> Build {
    let two = build().scale("two", 2.0).node("Mul", &["x", "two"], &["t"]);
    let sum = build().node("ReduceSum", &["x"], &["e"]).int("keepdims", 0);
    test.node("If", &["test"], &["y"])
        .inner("then_branch", graph(two.output("t", Dtype::F32, &[3])))
        .inner("else_branch", graph(sum.output("e", Dtype::F32, &[])))
}

#[test]
fn a_constant_condition_chooses_its_branch() {
    for (test, expected) in [(true, vec![2., 4., 6.]), (false, vec![6.])] {
        let constant = build().input("x", Dtype::F32, &[3]);
        let constant = constant.constant("test", &[], Data::Bool(vec![test]));
        let bytes = conditional(constant).output("y", Dtype::F32, &[3]).bytes();
        assert_eq!(values(&run(&bytes, &[Data::F32(vec![1., 2., 3.])])[0]), expected);
    }
}

#[test]
fn a_condition_on_a_shape_is_constant() {
    let shaped = build()
        .input("x", Dtype::F32, &[3])
        .constant("three", &[1], Data::I64(vec![3]))
        .node("Shape", &["x"], &["shape"])
        .node("Equal", &["shape", "three"], &["test"]);
    let bytes = conditional(shaped).output("y", Dtype::F32, &[3]).bytes();
    assert_eq!(values(&run(&bytes, &[Data::F32(vec![1., 2., 3.])])[0]), [2., 4., 6.]);
}

/// Adds the row of each turn to a state and collects the sums.
fn body() -> Build {
    let int = |build: Build, name: &str| build.input(name, Dtype::I64, &[]);
    int(build(), "i")
        .input("go", Dtype::Bool, &[])
        .input("s", Dtype::F32, &[2])
        .constant("axis_size", &[1], Data::I64(vec![1]))
        .scale("weight", 2.0)
        .node("Gather", &["x", "i"], &["row"])
        .node("Mul", &["row", "weight"], &["weighted"])
        .node("Add", &["s", "weighted"], &["sum"])
        .node("Identity", &["go"], &["on"])
        .node("Identity", &["sum"], &["part"])
}

fn body_graph(body: Build) -> GraphProto {
    let body = body.output("on", Dtype::Bool, &[]).output("sum", Dtype::F32, &[2]);
    graph(body.output("part", Dtype::F32, &[2]))
}

fn looped(count: Build, body: Build) -> Build {
    count
        .constant("start", &[2], Data::F32(vec![0.5, 0.0]))
        .node("Loop", &["count", "", "start"], &["last", "all"])
        .inner("body", body_graph(body))
        .output("last", Dtype::F32, &[2])
        .output("all", Dtype::F32, &[3, 2])
}

fn counted(count: i64) -> Build {
    let build = build().input("x", Dtype::F32, &[3, 2]);
    build.constant("count", &[], Data::I64(vec![count]))
}

#[test]
fn a_loop_of_a_constant_count_is_its_turns() {
    let bytes = looped(counted(3), body()).bytes();
    let y = run(&bytes, &[Data::F32(vec![1., 2., 3., 4., 5., 6.])]);
    assert_eq!(values(&y[0]), [18.5, 24.]);
    assert_eq!((values(&y[1]), &y[1].shape[..]), (vec![2.5, 4., 8.5, 12., 18.5, 24.], &[3, 2][..]));
}

#[test]
fn a_loop_ends_by_a_condition_that_its_counter_decides() {
    let body = build()
        .input("i", Dtype::I64, &[])
        .input("go", Dtype::Bool, &[])
        .input("s", Dtype::F32, &[2])
        .constant("one", &[], Data::I64(vec![1]))
        .node("Gather", &["x", "i"], &["row"])
        .node("Add", &["s", "row"], &["sum"])
        .node("Less", &["i", "one"], &["on"])
        .node("Identity", &["sum"], &["part"]);
    let bytes = looped(counted(9), body).bytes();
    let y = run(&bytes, &[Data::F32(vec![1., 2., 3., 4., 5., 6.])]);
    assert_eq!(values(&y[0]), [4.5, 6.]);
}

#[test]
fn loops_beyond_the_bounds_or_of_the_input_are_refused_with_advice() {
    let too_many = refusal(&looped(counted(1 << 40), body()).bytes());
    assert!(too_many.contains("last_node") && too_many.contains("turns"), "{too_many}");
    let open = build().input("x", Dtype::F32, &[3, 2]).input("count", Dtype::I64, &[]);
    let open = refusal(&looped(open, body()).bytes());
    assert!(open.contains("depends on the input") && open.contains("unroll=True"), "{open}");
    let none = refusal(&looped(counted(0), body()).bytes());
    assert!(none.contains("no turn"), "{none}");
}

#[test]
fn a_loop_in_a_branch_in_a_loop_is_flat() {
    let inner = build()
        .input("j", Dtype::I64, &[])
        .input("go2", Dtype::Bool, &[])
        .input("t", Dtype::F32, &[2])
        .node("Add", &["t", "row"], &["u"])
        .node("Identity", &["go2"], &["on2"])
        .output("on2", Dtype::Bool, &[])
        .output("u", Dtype::F32, &[2]);
    let branch = build()
        .constant("two", &[], Data::I64(vec![2]))
        .node("Loop", &["two", "", "s"], &["r"])
        .inner("body", graph(inner))
        .output("r", Dtype::F32, &[2]);
    let other = build().node("Identity", &["s"], &["r2"]).output("r2", Dtype::F32, &[2]);
    let outer = build()
        .input("i", Dtype::I64, &[])
        .input("go", Dtype::Bool, &[])
        .input("s", Dtype::F32, &[2])
        .constant("zero", &[], Data::I64(vec![0]))
        .node("Gather", &["x", "i"], &["row"])
        .node("Equal", &["i", "zero"], &["first"])
        .node("If", &["first"], &["sum"])
        .inner("then_branch", graph(other))
        .inner("else_branch", graph(branch))
        .node("Identity", &["go"], &["on"])
        .node("Identity", &["sum"], &["part"]);
    let bytes = looped(counted(3), outer).bytes();
    // The first turn adds nothing, each other one its row twice.
    let y = run(&bytes, &[Data::F32(vec![1., 2., 3., 4., 5., 6.])]);
    assert_eq!(values(&y[0]), [16.5, 20.]);
    assert_eq!(load(&bytes).unwrap().outputs()[0].shape, [2]);
}
