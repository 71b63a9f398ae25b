//! Recurrent operators against their definition, run after run.

mod activations;
mod dynamic;
mod layer;

use super::model::{Build, build};
use super::{load, run_model, same_bits};
use crate::tensor::{Data, Dtype, Tensor, TensorSpec};
use fastrand::Rng;
use layer::{Kind, Layer, numbers};

#[test]
fn every_form_of_a_recurrence_follows_its_definition_in_every_run() {
    for kind in [Kind::Lstm, Kind::Gru, Kind::Rnn] {
        for seed in 0..40 {
            let mut rng = Rng::with_seed(seed);
            let layer = Layer::random(&mut rng, kind);
            let model = load(&layer.build().bytes()).unwrap_or_else(|e| panic!("{layer}: {e}"));
            for run in 0..3 {
                let given = |s: &TensorSpec| match s.dtype {
                    Dtype::I32 => layer.lengths_data().unwrap(),
                    _ => Data::F32(numbers(&mut rng, s.len())),
                };
                let inputs: Vec<_> = model.inputs().iter().map(given).collect();
                let outputs = run_model(&model, &inputs);
                let expected = layer.expected(&inputs);
                assert_eq!(outputs.len(), expected.len(), "{layer}");
                for (found, right) in outputs.iter().zip(expected) {
                    close(found, &right, &format!("{layer}, run {run}"));
                }
            }
        }
    }
}

fn close(found: &Tensor, right: &[f64], what: &str) {
    let Data::F32(found) = &found.data else { panic!("{what}: {:?}", found.data) };
    assert_eq!(found.len(), right.len(), "{what}");
    for (a, b) in found.iter().zip(right) {
        assert!((f64::from(*a) - b).abs() < 2e-5 * b.abs().max(1.0), "{what}: {a} for {b}");
    }
}

/// A running sum over `steps` rows of two, forwards or backwards.
fn running_sum(build: Build, from: &str, to: &str, direction: i64) -> Build {
    let body = super::model::build()
        .input("sum_in", Dtype::F32, &[2])
        .input("row", Dtype::F32, &[2])
        .node("Add", &["sum_in", "row"], &["sum_out"])
        .node("Identity", &["sum_out"], &["row_out"])
        .output("sum_out", Dtype::F32, &[2])
        .output("row_out", Dtype::F32, &[2]);
    let last = format!("{to}_last");
    build
        .node("Scan", &["start", from], &[&last, to])
        .inner("body", body.graph)
        .int("num_scan_inputs", 1)
        .ints("scan_input_directions", &[direction])
        .ints("scan_output_directions", &[direction])
}

#[test]
fn a_running_sum_begins_from_its_start_in_every_run() {
    for (direction, right) in [(0, [1., 2., 4., 6., 9., 12.]), (1, [9., 12., 8., 10., 5., 6.])] {
        let graph = build().input("x", Dtype::F32, &[3, 2]).constant(
            "start",
            &[2],
            Data::F32(vec![0.0, 0.0]),
        );
        let graph = running_sum(graph, "x", "y", direction).output("y", Dtype::F32, &[3, 2]);
        let model = load(&graph.bytes()).unwrap();
        for _ in 0..3 {
            let y = run_model(&model, &[Data::F32(vec![1., 2., 3., 4., 5., 6.])]);
            assert_eq!(y[0].data, Data::F32(right.to_vec()), "direction {direction}");
        }
        same_bits::check(&model, &[]);
    }
}

/// A sum of running sums: the inner one starts at zero in each step of the outer one.
#[test]
fn a_recurrence_inside_another_begins_from_its_start() {
    let body = build()
        .input("total_in", Dtype::F32, &[3, 2])
        .input("rows", Dtype::F32, &[3, 2])
        .constant("start", &[2], Data::F32(vec![0.0, 0.0]));
    let body = running_sum(body, "rows", "sums", 0)
        .node("Add", &["total_in", "sums"], &["total_out"])
        .output("total_out", Dtype::F32, &[3, 2]);
    let graph = build()
        .input("x", Dtype::F32, &[2, 3, 2])
        .constant("zero", &[3, 2], Data::F32(vec![0.0; 6]))
        .node("Scan", &["zero", "x"], &["y"])
        .inner("body", body.graph)
        .int("num_scan_inputs", 1)
        .output("y", Dtype::F32, &[3, 2]);
    let model = load(&graph.bytes()).unwrap();
    for _ in 0..3 {
        let y = run_model(&model, &[Data::F32((0..12).map(|x| x as f32).collect())]);
        assert_eq!(y[0].data, Data::F32(vec![6., 8., 16., 20., 30., 36.]));
    }
    same_bits::check(&model, &[]);
}

/// A recurrence between quantized layers has a float kernel.
#[test]
fn a_recurrence_between_integers_begins_from_its_start() {
    let mut rng = Rng::with_seed(3);
    let graph = build()
        .input("x", Dtype::U8, &[5, 1, 4])
        .scale("s", 0.02)
        .constant("z", &[], Data::U8(vec![128]))
        .node("DequantizeLinear", &["x", "s", "z"], &["real"])
        .constant("w", &[1, 12, 4], Data::F32(numbers(&mut rng, 48)))
        .constant("r", &[1, 12, 3], Data::F32(numbers(&mut rng, 36)))
        .node("LSTM", &["real", "w", "r"], &["", "y_h"])
        .int("hidden_size", 3)
        .node("QuantizeLinear", &["y_h", "s", "z"], &["y"])
        .output("y", Dtype::U8, &[1, 1, 3]);
    let model = load(&graph.bytes()).unwrap();
    assert_eq!(model.nodes().integer, 2, "{:?}", model.explain());
    assert!(model.explain().iter().all(|node| node.region.is_none()), "{:?}", model.explain());
    same_bits::check(&model, &[]);
}

#[test]
fn lengths_of_sequences_that_are_out_of_range_are_refused() {
    let layer = |lengths: Option<Vec<i32>>| {
        let (w, r) = (Data::F32(vec![0.1; 3 * 2]), Data::F32(vec![0.1; 3 * 3]));
        let build = build().input("x", Dtype::F32, &[4, 2, 2]);
        let build = match lengths {
            Some(lengths) => build.constant("lengths", &[lengths.len()], Data::I32(lengths)),
            None => build.input("lengths", Dtype::I32, &[2]),
        };
        let build = build.constant("w", &[1, 3, 2], w).constant("r", &[1, 3, 3], r);
        let build = build.node("RNN", &["x", "w", "r", "", "lengths"], &["y"]);
        build.output("y", Dtype::F32, &[4, 1, 2, 3]).bytes()
    };
    for lengths in [vec![5, 1], vec![-1, 1], vec![1]] {
        let text = super::refusal(&layer(Some(lengths)));
        assert!(text.contains("sequence_lens are not 2 numbers from 0 to 4"), "{text}");
    }
    let model = load(&layer(None)).unwrap();
    let mut session = model.session();
    let mut outputs = [Tensor::zeros(Dtype::F32, &[4, 1, 2, 3])];
    let x = Tensor { shape: vec![4, 2, 2], data: Data::F32(vec![0.5; 16]) };
    for (lengths, fits) in [([4, 0], true), ([4, 5], false), ([-1, 2], false), ([1, 2], true)] {
        let lengths = Tensor { shape: vec![2], data: Data::I32(lengths.to_vec()) };
        let ran = session.run(&[x.clone(), lengths], &mut outputs);
        assert_eq!(ran.is_ok(), fits);
        if let Err(error) = ran {
            assert!(error.to_string().contains("at most 4"), "{error}");
        }
    }
}

#[test]
fn parameters_that_no_activation_takes_are_refused() {
    let layer = |names: &[&str], alpha: &[f32]| {
        let (w, r) = (Data::F32(vec![0.1; 2]), Data::F32(vec![0.1; 1]));
        let build = build().input("x", Dtype::F32, &[4, 1, 2]);
        let build = build.constant("w", &[1, 1, 2], w).constant("r", &[1, 1, 1], r);
        let build = build.node("RNN", &["x", "w", "r"], &["y"]).texts("activations", names);
        build.reals("activation_alpha", alpha).output("y", Dtype::F32, &[4, 1, 1, 1]).bytes()
    };
    let refused = |names: &[&str], alpha: &[f32], expected: &str| {
        let text = super::refusal(&layer(names, alpha));
        assert!(text.contains(expected), "{text}");
    };
    refused(&["Tanh"], &[0.5], "has 1 values, its activations take 0");
    refused(&["Elu"], &[f32::NAN], "not finite");
    refused(&["Affine"], &[0.5], "activation_beta has no value for Affine or ScaledTanh");
    assert!(load(&layer(&["Elu"], &[0.5])).is_ok());
}
