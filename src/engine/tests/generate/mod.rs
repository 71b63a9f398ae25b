//! Random small quantized graphs, in the three dialects. The scale of every result is calibrated on
//! one random input, as the tools do it.

use super::exact::{Exact, Values, evaluate};
use super::model::{Build, build};
use crate::tensor::{Data, Dtype};
use fastrand::Rng;

mod steps;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Qdq,
    QOperator,
}

/// Makes the one node that dequantizes, computes and quantizes.
type QLinear<'a> = &'a dyn Fn(Build, &Live) -> Build;

/// A quantized value of the graph.
#[derive(Clone, Debug)]
struct Live {
    name: String,
    shape: Vec<usize>,
    scale: f32,
    zero: i32,
    unsigned: bool,
}

/// A random graph under construction.
pub(super) struct Random {
    pub build: Build,
    pub rng: Rng,
    dialect: Dialect,
    live: Vec<Live>,
    sample: Exact,
    count: usize,
}

/// A model with quantized activations throughout; input `x`, output `y` with its scale.
pub(super) fn quantized(seed: u64, dialect: Dialect) -> (Build, f64) {
    let mut random = Random::new(seed, dialect);
    for _ in 0..random.rng.usize(1..6) {
        random.step();
    }
    random.finish()
}

pub(super) fn stored(rng: &mut Rng, n: usize, unsigned: bool) -> Data {
    if unsigned {
        Data::U8((0..n).map(|_| rng.u8(..)).collect())
    } else {
        Data::I8((0..n).map(|_| rng.i8(..)).collect())
    }
}

impl Random {
    fn new(seed: u64, dialect: Dialect) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut size = |most: usize| rng.usize(1..=most);
        let shape = match size(3) {
            1 => vec![size(2), size(9) + 1],
            2 => vec![size(2), size(5), size(7) + 2],
            _ => vec![size(2), size(4), size(5) + 2, size(5) + 2],
        };
        let unsigned = rng.bool();
        let dtype = if unsigned { Dtype::U8 } else { Dtype::I8 };
        let (scale, zero) = (0.02 + rng.f32() * 0.05, rng.i32(-128..128));
        let zero = if unsigned { zero + 128 } else { zero };
        let data = stored(&mut rng, shape.iter().product(), unsigned);
        let sample = Exact::of(&crate::tensor::Tensor { shape: shape.clone(), data });
        let live = Live { name: "x".into(), shape: shape.clone(), scale, zero, unsigned };
        let build = build().input("x", dtype, &shape);
        let mut random = Self { build, rng, dialect, live: Vec::new(), sample, count: 0 };
        random.amounts(&live);
        random.live.push(live);
        random
    }

    fn finish(mut self) -> (Build, f64) {
        let last = self.live.last().unwrap().clone();
        if self.build.graph.node.iter().all(|n| n.op_type == "Transpose" || n.op_type == "Reshape")
        {
            // Nothing in it is quantized yet.
            let last = self.unary("Sigmoid", &last, |b| b);
            return self.end(&last);
        }
        self.end(&last)
    }

    fn end(mut self, last: &Live) -> (Build, f64) {
        let dtype = if last.unsigned { Dtype::U8 } else { Dtype::I8 };
        self.build = self.build.output(&last.name, dtype, &last.shape);
        (self.build, f64::from(last.scale))
    }

    /// Constants for the scale and zero point of a value.
    fn amounts(&mut self, live: &Live) {
        let zero = if live.unsigned {
            Data::U8(vec![live.zero as u8])
        } else {
            Data::I8(vec![live.zero as i8])
        };
        let build = std::mem::replace(&mut self.build, build());
        self.build = build.scale(&format!("{}_scale", live.name), live.scale).constant(
            &format!("{}_zero", live.name),
            &[],
            zero,
        );
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    /// A dequantization of a value, put before `build`'s next node.
    fn dequantized(build: Build, live: &str, name: &str) -> Build {
        build.node(
            "DequantizeLinear",
            &[live, &format!("{live}_scale"), &format!("{live}_zero")],
            &[name],
        )
    }

    /// The value of `name` for the sample input.
    fn observed(&self, build: &Build, name: &str) -> Exact {
        let mut values = Values::from([("x".to_owned(), self.sample.clone())]);
        evaluate(&build.decoded(), &mut values);
        values.remove(name).unwrap()
    }

    /// Adds an operator on dequantized `inputs` and the quantization of its result; in the
    /// QOperator dialect as the node `qlinear` makes, where there is one.
    fn quantized(
        &mut self,
        inputs: &[Live],
        real: impl FnOnce(Build, &[String], &str) -> Build,
        qlinear: Option<QLinear<'_>>,
    ) -> Live {
        let name = self.fresh("v");
        let mut graph = self.build.clone();
        let mut reals = Vec::new();
        for input in inputs {
            let real = self.fresh("d");
            graph = Self::dequantized(graph, &input.name, &real);
            reals.push(real);
        }
        let result = self.fresh("r");
        graph = real(graph, &reals, &result);
        let seen = self.observed(&graph, &result);
        let low = seen.x.iter().copied().fold(0.0, f64::min) as f32;
        let high = seen.x.iter().copied().fold(0.0, f64::max) as f32;
        let shrink = if self.rng.u8(..5) == 0 { 0.7 } else { 1.0 };
        // A result much finer than what it is made of would be beyond a float's precision.
        let least = inputs.iter().map(|i| i.scale / 8.0).fold(1e-3, f32::max);
        let scale = ((high - low) / 255.0 * shrink).max(least);
        let unsigned = self.rng.bool();
        let zero = (-low / scale).round().clamp(0.0, 255.0) as i32 - if unsigned { 0 } else { 128 };
        let live = Live { name, shape: seen.shape, scale, zero, unsigned };
        self.amounts(&live);
        let own = std::mem::replace(&mut self.build, build());
        let amounts = [format!("{}_scale", live.name), format!("{}_zero", live.name)];
        self.build = match qlinear {
            Some(qlinear) if self.dialect == Dialect::QOperator => qlinear(own, &live),
            _ => {
                graph.graph.initializer = own.graph.initializer;
                graph.node("QuantizeLinear", &[&result, &amounts[0], &amounts[1]], &[&live.name])
            }
        };
        self.live.push(live.clone());
        live
    }

    fn unary(&mut self, op: &str, input: &Live, with: impl Fn(Build) -> Build) -> Live {
        let qop = format!("com.microsoft.QLinear{op}");
        let qlinear = |b: Build, out: &Live| {
            let [i, o] = [&input.name, &out.name];
            let names = [
                i,
                &format!("{i}_scale"),
                &format!("{i}_zero"),
                &format!("{o}_scale"),
                &format!("{o}_zero"),
            ];
            with(b.node(&qop, &names.map(String::as_str), &[o]))
        };
        let known =
            ["Sigmoid", "LeakyRelu", "AveragePool", "GlobalAveragePool", "Softmax"].contains(&op);
        let qlinear: QLinear<'_> = &qlinear;
        let real = |b: Build, i: &[String], o: &str| with(b.node(op, &[&i[0]], &[o]));
        self.quantized(std::slice::from_ref(input), real, known.then_some(qlinear))
    }

    fn binary(&mut self, op: &str, a: &Live, b: &Live) {
        let qop = format!("com.microsoft.QLinear{op}");
        let qlinear = |build: Build, out: &Live| {
            let mut names = Vec::new();
            for n in [&a.name, &b.name] {
                names.extend([n.clone(), format!("{n}_scale"), format!("{n}_zero")]);
            }
            names.extend([format!("{}_scale", out.name), format!("{}_zero", out.name)]);
            build.node(&qop, &names.iter().map(String::as_str).collect::<Vec<_>>(), &[&out.name])
        };
        let real = |g: Build, i: &[String], o: &str| g.node(op, &[&i[0], &i[1]], &[o]);
        let qlinear: QLinear<'_> = &qlinear;
        let known = op != "Sub" && op != "MatMul";
        self.quantized(&[a.clone(), b.clone()], real, known.then_some(qlinear));
    }

    /// Constant weights `name` of `shape`, with their scales along `axis`, and a bias.
    fn weights(&mut self, name: &str, shape: &[usize], axis: usize, input: &Live) {
        let n = shape[axis];
        let many = self.rng.bool();
        let count = if many { n } else { 1 };
        let unsigned = self.rng.u8(..4) == 0;
        let skewed = self.rng.u8(..3) == 0;
        let scales: Vec<f32> = (0..count).map(|_| 0.002 + self.rng.f32() * 0.02).collect();
        let zeros: Vec<i8> =
            (0..count).map(|_| if skewed { self.rng.i8(-20..20) } else { 0 }).collect();
        let values = stored(&mut self.rng, shape.iter().product(), unsigned);
        let zeros = match unsigned {
            true => Data::U8(zeros.iter().map(|&z| (i16::from(z) + 128) as u8).collect()),
            false => Data::I8(zeros),
        };
        let bias: Vec<i32> = (0..n).map(|_| self.rng.i32(-4000..4000)).collect();
        let units =
            scales.iter().map(|&s| (f64::from(s) * f64::from(input.scale)) as f32).collect();
        let amounts: &[usize] = if many { &[n] } else { &[] };
        let build = std::mem::replace(&mut self.build, build());
        self.build = build
            .constant(name, shape, values)
            .constant(&format!("{name}_scale"), amounts, Data::F32(scales))
            .constant(&format!("{name}_zero"), amounts, zeros)
            .constant(&format!("{name}_bias"), &[n], Data::I32(bias))
            .constant(&format!("{name}_unit"), amounts, Data::F32(units));
    }
}

/// A dynamically quantized model of dense layers or convolutions; input `x`, output `y`.
pub(super) fn dynamic(seed: u64) -> Build {
    let mut rng = Rng::with_seed(seed);
    let conv = rng.bool();
    let mut channels = rng.usize(2..6);
    let input: Vec<usize> =
        if conv { vec![1, channels, 6] } else { vec![rng.usize(1..4), channels] };
    let mut graph = build().input("x", Dtype::F32, &input);
    let mut last = "x".to_owned();
    for layer in 0..rng.usize(1..4) {
        let outputs = rng.usize(1..20);
        let n = |part: &str| format!("{part}{layer}");
        let shape = if conv { vec![outputs, channels, 3] } else { vec![channels, outputs] };
        let weights = stored(&mut rng, shape.iter().product(), false);
        let bias = (0..outputs).map(|_| rng.f32() - 0.5).collect();
        let bias_shape: &[usize] = if conv { &[1, outputs, 1] } else { &[outputs] };
        graph = graph
            .constant(&n("w"), &shape, weights)
            .constant(&n("wz"), &[], Data::I8(vec![rng.i8(-3..3)]))
            .scale(&n("ws"), 0.003 + rng.f32() * 0.01)
            .constant(&n("b"), bias_shape, Data::F32(bias))
            .node("DynamicQuantizeLinear", &[&last], &[&n("q"), &n("s"), &n("z")])
            .node("Mul", &[&n("s"), &n("ws")], &[&n("m")]);
        graph = if conv {
            graph
                .node("ConvInteger", &[&n("q"), &n("w"), &n("z"), &n("wz")], &[&n("i")])
                .ints("pads", &[1, 1])
                .ints("kernel_shape", &[3])
        } else {
            graph.node("MatMulInteger", &[&n("q"), &n("w"), &n("z"), &n("wz")], &[&n("i")])
        };
        graph = graph
            .node("Cast", &[&n("i")], &[&n("f")])
            .int("to", 1)
            .node("Mul", &[&n("f"), &n("m")], &[&n("p")])
            .node("Add", &[&n("p"), &n("b")], &[&n("a")])
            .node("Relu", &[&n("a")], &[&n("y")]);
        (last, channels) = (n("y"), outputs);
    }
    let shape = if conv { vec![1, channels, 6] } else { vec![input[0], channels] };
    graph.output(&last, Dtype::F32, &shape)
}
