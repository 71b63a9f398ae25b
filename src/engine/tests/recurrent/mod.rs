//! Recurrent operators against their definition, run after run.

mod layer;

use super::model::{Build, build};
use super::{load, run_model, same_bits};
use crate::tensor::{Data, Dtype, Tensor};
use fastrand::Rng;
use layer::{Kind, Layer, numbers};

#[test]
fn every_form_of_a_recurrence_follows_its_definition_in_every_run() {
    let (mut tried, mut right) = (0, 0);
    for kind in [Kind::Lstm, Kind::Gru, Kind::Rnn] {
        for seed in 0..25 {
            let mut rng = Rng::with_seed(seed);
            let layer = Layer::random(&mut rng, kind);
            tried += 1;
            let model = match load(&layer.build().bytes()) {
                Ok(model) => model,
                // Some shapes of several sequences of one number, found out at load.
                Err(e) if e.to_string().contains("does not run with these shapes") => continue,
                Err(e) => panic!("{layer}: {e}"),
            };
            right += 1;
            for run in 0..3 {
                let specs = model.inputs().iter();
                let inputs: Vec<_> = specs.map(|s| Data::F32(numbers(&mut rng, s.len()))).collect();
                let outputs = run_model(&model, &inputs);
                let expected = layer.expected(&inputs);
                assert_eq!(outputs.len(), expected.len(), "{layer}");
                for (found, right) in outputs.iter().zip(expected) {
                    close(found, &right, &format!("{layer}, run {run}"));
                }
            }
        }
    }
    assert!(right * 10 > tried * 8, "only {right} of {tried} are taken");
}

fn close(found: &Tensor, right: &[f64], what: &str) {
    let Data::F32(found) = &found.data else { panic!("{what}: {:?}", found.data) };
    assert_eq!(found.len(), right.len(), "{what}");
    for (a, b) in found.iter().zip(right) {
        assert!((f64::from(*a) - b).abs() < 2e-5, "{what}: {a} for {b}");
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

/// A recurrence between quantized layers is a region of its own.
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
    same_bits::check(&model, &[]);
}
