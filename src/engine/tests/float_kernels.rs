//! Float models on float kernels: what is fused, what is moved, and what is left to the float
//! runtime.

use super::model::{Build, build};
use super::{load, run};
use crate::engine::graph::reals;
use crate::tensor::{Data, Dtype};

/// Numbers without a pattern.
fn noise(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn floats(n: usize, seed: usize) -> Data {
    Data::F32(noise(n, seed))
}

/// How many nodes run in regions of the float runtime.
fn in_regions(bytes: &[u8]) -> usize {
    load(bytes).unwrap().explain().iter().filter(|node| node.region.is_some()).count()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{i}: {a} instead of {b}");
    }
}

/// Two channels of 3 x 3 through a convolution of 1 x 1.
fn convolution() -> Build {
    build()
        .input("x", Dtype::F32, &[1, 2, 3, 3])
        .constant("w", &[4, 2, 1, 1], floats(8, 1))
        .constant("b", &[4], floats(4, 2))
        .node("Conv", &["x", "w", "b"], &["c"])
}

/// The convolution's results, channels first.
fn convolved(x: &[f32]) -> Vec<f64> {
    let (w, b) = (noise(8, 1), noise(4, 2));
    let at = |o: usize, p: usize| {
        let tap = |c: usize| f64::from(w[o * 2 + c]) * f64::from(x[c * 9 + p]);
        f64::from(b[o]) + tap(0) + tap(1)
    };
    (0..4).flat_map(|o| (0..9).map(move |p| at(o, p))).collect()
}

#[test]
fn what_follows_a_convolution_joins_it() {
    let x = noise(18, 3);
    let (gamma, beta, mean) = (noise(4, 4), noise(4, 5), noise(4, 6));
    let bytes = convolution()
        .constant("gamma", &[4], floats(4, 4))
        .constant("beta", &[4], floats(4, 5))
        .constant("mean", &[4], floats(4, 6))
        .constant("variance", &[4], Data::F32(vec![0.5, 1.0, 2.0, 4.0]))
        .constant("half", &[1, 4, 1, 1], Data::F32(vec![0.5, 1.5, -0.5, 2.0]))
        .node("BatchNormalization", &["c", "gamma", "beta", "mean", "variance"], &["n"])
        .node("Mul", &["half", "n"], &["m"])
        .node("Concat", &["x", "x"], &["twice"])
        .int("axis", 1)
        .node("Add", &["twice", "m"], &["sum"])
        .node("Relu", &["sum"], &["y"])
        .output("y", Dtype::F32, &[1, 4, 3, 3])
        .bytes();
    assert_eq!(in_regions(&bytes), 0);
    let y = run(&bytes, &[Data::F32(x.clone())]);
    let expected = convolved(&x).into_iter().enumerate().map(|(i, c)| {
        let o = i / 9;
        let root = (f64::from([0.5f32, 1.0, 2.0, 4.0][o]) + 1e-5).sqrt();
        let normal = (c - f64::from(mean[o])) / root * f64::from(gamma[o]) + f64::from(beta[o]);
        (normal * [0.5, 1.5, -0.5, 2.0][o] + f64::from(x[i % 18])).max(0.0)
    });
    close(&reals(&y[0]).unwrap(), &expected.collect::<Vec<_>>());
}

#[test]
fn a_convolution_that_several_nodes_read_stays_as_it_is() {
    let bytes = convolution()
        .node("Relu", &["c"], &["r"])
        .node("Neg", &["c"], &["n"])
        .node("Add", &["r", "n"], &["y"])
        .output("y", Dtype::F32, &[1, 4, 3, 3])
        .output("c", Dtype::F32, &[1, 4, 3, 3])
        .bytes();
    let x = noise(18, 3);
    let y = run(&bytes, &[Data::F32(x.clone())]);
    let c = convolved(&x);
    close(&reals(&y[1]).unwrap(), &c);
    close(&reals(&y[0]).unwrap(), &c.iter().map(|c| c.max(0.0) - c).collect::<Vec<_>>());
}

#[test]
fn transpositions_around_a_convolution_move_nothing() {
    let bytes = build()
        .input("x", Dtype::F32, &[1, 3, 3, 2])
        .constant("w", &[4, 2, 1, 1], floats(8, 1))
        .constant("b", &[4], floats(4, 2))
        .node("Transpose", &["x"], &["t"])
        .ints("perm", &[0, 3, 1, 2])
        .node("Conv", &["t", "w"], &["c"])
        .node("Transpose", &["c"], &["u"])
        .ints("perm", &[0, 2, 3, 1])
        .node("Add", &["u", "b"], &["a"])
        .node("Relu", &["a"], &["y"])
        .output("y", Dtype::F32, &[1, 3, 3, 4])
        .bytes();
    let model = load(&bytes).unwrap();
    let text = format!("{model:?}");
    assert!(!text.contains("CopyFloat") && text.matches("Step {").count() == 1, "{text}");
    let first: Vec<f32> = noise(18, 3);
    // Channels last here, first there.
    let x: Vec<f32> = (0..9).flat_map(|p| [first[p], first[9 + p]]).collect();
    let y = reals(&run(&bytes, &[Data::F32(x)])[0]).unwrap();
    let expected = convolved(&first);
    let at = |i: usize| expected[i % 4 * 9 + i / 4].max(0.0);
    close(&y, &(0..36).map(at).collect::<Vec<_>>());
}

#[test]
fn what_has_no_kernel_runs_in_a_region_and_the_rest_does_not() {
    let bytes = convolution()
        .node("Asinh", &["c"], &["s"])
        .constant("v", &[1, 4, 1, 1], floats(4, 7))
        .node("Conv", &["s", "v"], &["y"])
        .output("y", Dtype::F32, &[1, 1, 3, 3])
        .bytes();
    let model = load(&bytes).unwrap();
    let regions: Vec<_> = model.explain().iter().filter(|f| f.region.is_some()).collect();
    assert_eq!(regions.len(), 1, "{regions:?}");
    assert_eq!(regions[0].operator, "Asinh");
    assert_eq!(regions[0].reason, "the operator has no float kernel");
    let x = noise(18, 3);
    let y = reals(&run(&bytes, &[Data::F32(x.clone())])[0]).unwrap();
    let (c, v) = (convolved(&x), noise(4, 7));
    let at = |p: usize| (0..4).map(|o| c[o * 9 + p].asinh() * f64::from(v[o])).sum::<f64>();
    close(&y, &(0..9).map(at).collect::<Vec<_>>());
}

#[test]
fn an_output_that_does_not_depend_on_the_inputs_is_still_there() {
    let bytes = convolution()
        .constant("one", &[1], Data::F32(vec![1.0]))
        .node("Neg", &["one"], &["minus"])
        .output("c", Dtype::F32, &[1, 4, 3, 3])
        .output("minus", Dtype::F32, &[1])
        .bytes();
    let y = run(&bytes, &[floats(18, 3)]);
    assert_eq!(y[1].data, Data::F32(vec![-1.0]));
    close(&reals(&y[0]).unwrap(), &convolved(&noise(18, 3)));
}

#[test]
fn activations_and_clip_of_a_recurrence_are_those_it_names() {
    let steps = |clip: Option<f32>| {
        let layer = build()
            .input("x", Dtype::F32, &[3, 1, 1])
            .constant("w", &[1, 1, 1], Data::F32(vec![2.0]))
            .constant("r", &[1, 1, 1], Data::F32(vec![0.5]))
            .node("RNN", &["x", "w", "r"], &["y"])
            .texts("activations", &["Relu"])
            .int("hidden_size", 1)
            .output("y", Dtype::F32, &[3, 1, 1, 1]);
        let layer = if let Some(clip) = clip { layer.real("clip", clip) } else { layer };
        reals(&run(&layer.bytes(), &[Data::F32(vec![1.0, 3.0, -2.0])])[0]).unwrap()
    };
    assert_eq!(steps(None), [2.0, 7.0, 0.0]);
    assert_eq!(steps(Some(5.0)), [2.0, 5.0, 0.0]);
}
