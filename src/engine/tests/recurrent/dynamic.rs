//! LSTMs with weights of integers.

use super::super::model::{Build, build};
use super::super::{load, refusal, run_model, same_bits};
use super::layer::numbers;
use crate::tensor::{Data, Dtype};
use fastrand::Rng;

const STEPS: usize = 6;
const INPUT: usize = 5;
const HIDDEN: usize = 4;
const GATES: usize = 4 * HIDDEN;

/// A form of the layer.
struct Form {
    unsigned: bool,
    per_channel: bool,
    direction: &'static str,
    /// With initial states and peepholes.
    initial: bool,
}

/// Numbers by a rule that a script can repeat.
fn row(n: usize, step: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * step % 41) as f32 - 20.0) / 32.0).collect()
}

impl Form {
    fn directions(&self) -> usize {
        if self.direction == "bidirectional" { 2 } else { 1 }
    }

    fn weights(&self, n: usize, step: usize) -> Data {
        let values = (0..n).map(|i| i * step % 121);
        match self.unsigned {
            true => Data::U8(values.map(|v| v as u8 + 60).collect()),
            false => Data::I8(values.map(|v| v as i8 - 60).collect()),
        }
    }

    fn scales(&self, base: f32) -> Vec<f32> {
        let count = self.directions() * if self.per_channel { GATES } else { 1 };
        (0..count).map(|i| (1 + i % 5) as f32 * base).collect()
    }

    fn build(&self) -> Build {
        let d = self.directions();
        let columns: &[usize] = if self.per_channel { &[d, GATES] } else { &[d] };
        let count = columns.iter().product();
        let zeros = match self.unsigned {
            true => Data::U8(vec![120; count]),
            false => Data::I8(vec![0; count]),
        };
        let mut build = build()
            .input("x", Dtype::F32, &[STEPS, 1, INPUT])
            .constant("w", &[d, INPUT, GATES], self.weights(d * INPUT * GATES, 37))
            .constant("r", &[d, HIDDEN, GATES], self.weights(d * HIDDEN * GATES, 29))
            .constant("b", &[d, 2 * GATES], Data::F32(row(d * 2 * GATES, 7)))
            .constant("ws", columns, Data::F32(self.scales(1.0 / 512.0)))
            .constant("rs", columns, Data::F32(self.scales(1.0 / 256.0)))
            .constant("wz", columns, zeros.clone())
            .constant("rz", columns, zeros);
        let mut inputs = ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"];
        if self.initial {
            for (i, name, step) in [(5, "h", 11), (6, "c", 13)] {
                inputs[i] = name;
                let state = Data::F32(row(d * HIDDEN, step));
                build = build.constant(name, &[d, 1, HIDDEN], state);
            }
            inputs[7] = "p";
            build = build.constant("p", &[d, 3 * HIDDEN], Data::F32(row(d * 3 * HIDDEN, 17)));
        }
        build
            .node("com.microsoft.DynamicQuantizeLSTM", &inputs, &["y", "y_h", "y_c"])
            .int("hidden_size", HIDDEN as i64)
            .text("direction", self.direction)
            .output("y", Dtype::F32, &[STEPS, d, 1, HIDDEN])
            .output("y_h", Dtype::F32, &[d, 1, HIDDEN])
            .output("y_c", Dtype::F32, &[d, 1, HIDDEN])
    }
}

fn form(unsigned: bool, per_channel: bool, direction: &'static str, initial: bool) -> Form {
    Form { unsigned, per_channel, direction, initial }
}

/// Against ONNX Runtime 1.32 (weights so small that its 16-bit sums do not saturate): the last
/// hidden and cell states.
#[test]
fn dynamically_quantized_layers_give_the_results_of_onnx_runtime() {
    let cases: [(Form, &[f32]); 3] = [
        (
            form(false, false, "forward", false),
            &[-0.102311, 0.106663, -0.174636, -0.162013, -0.203976, 0.179657, -0.442653, -0.269319],
        ),
        (
            form(true, false, "reverse", true),
            &[-0.110084, 0.078981, -0.161417, -0.121631, -0.222154, 0.132031, -0.415319, -0.211179],
        ),
        (
            form(false, true, "bidirectional", true),
            &[
                -0.119563, 0.032831, -0.169873, -0.137735, 0.277141, -0.035188, 0.209393, 0.141604,
                -0.356736, 0.05476, -0.438662, -0.195789, 0.576995, -0.138172, 0.662428, 0.336604,
            ],
        ),
    ];
    for (form, expected) in cases {
        let model = load(&form.build().bytes()).unwrap();
        assert_eq!(model.nodes().integer, 1, "{:?}", model.explain());
        let x = (0..STEPS * INPUT).map(|i| ((i * 23 % 57) as f32 - 25.0) / 16.0).collect();
        let outputs = run_model(&model, &[Data::F32(x)]);
        let values = |i: usize| match &outputs[i].data {
            Data::F32(values) => values.clone(),
            other => panic!("{other:?}"),
        };
        let found = [values(1), values(2)].concat();
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 2e-6, "{}: {found:?}", form.direction);
        }
        // The outputs of all steps end with the last state of a forward layer.
        if form.direction == "forward" {
            assert!(values(0).ends_with(&values(1)));
        }
        same_bits::check(&model, &[]);
    }
}

#[test]
fn dynamically_quantized_layers_that_are_damaged_are_refused() {
    let build = form(false, true, "forward", false).build();
    let text = refusal(&build.clone().int("odd", 1).bytes());
    assert!(text.contains("attribute odd"), "{text}");
    let text = refusal(&build.clone().text("layout", "1").bytes());
    assert!(text.contains("layout"), "{text}");
    for (name, expected) in [("ws", "scales or zero points"), ("w", "do not fit")] {
        let mut build = build.clone();
        let tensor = build.graph.initializer.iter_mut().find(|t| t.name == name).unwrap();
        tensor.dims = vec![tensor.dims.iter().product()];
        let text = refusal(&build.bytes());
        assert!(text.contains(expected), "{name}: {text}");
    }
    let mut negative = build;
    let tensor = negative.graph.initializer.iter_mut().find(|t| t.name == "ws").unwrap();
    tensor.raw_data[3] |= 0x80;
    let text = refusal(&negative.bytes());
    assert!(text.contains("negative or not finite"), "{text}");
}

/// Weights that a DequantizeLinear makes are those of the float layer.
#[test]
fn layers_with_dequantized_weights_are_those_of_their_floats() {
    for op in ["LSTM", "GRU", "RNN"] {
        let gates = match op {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let bytes = |n: usize| (0..n).map(|i| (i * 37 % 255) as i8).collect::<Vec<i8>>();
        let [w, r] = [INPUT, HIDDEN].map(|n| bytes(gates * HIDDEN * n));
        let scale = 1.0 / 128.0;
        let shapes = [INPUT, HIDDEN].map(|n| [1, gates * HIDDEN, n]);
        let layer = |build: Build| {
            let build = build.node(op, &["x", "w", "r"], &["y"]).int("hidden_size", HIDDEN as i64);
            load(&build.output("y", Dtype::F32, &[STEPS, 1, 1, HIDDEN]).bytes()).unwrap()
        };
        let x = || build().input("x", Dtype::F32, &[STEPS, 1, INPUT]);
        let real = |v: &[i8]| Data::F32(v.iter().map(|&v| f32::from(v) * scale).collect());
        let plain = x().constant("w", &shapes[0], real(&w)).constant("r", &shapes[1], real(&r));
        let quantized = x()
            .scale("s", scale)
            .constant("wq", &shapes[0], Data::I8(w))
            .constant("rq", &shapes[1], Data::I8(r))
            .node("DequantizeLinear", &["wq", "s"], &["w"])
            .node("DequantizeLinear", &["rq", "s"], &["r"]);
        let input = [Data::F32(numbers(&mut Rng::with_seed(5), STEPS * INPUT))];
        let [a, b] = [plain, quantized].map(|build| run_model(&layer(build), &input));
        assert_eq!(a[0].data, b[0].data, "{op}");
    }
}
