//! Random small quantized graphs, in the three dialects. The scale of every result is calibrated on
//! one random input, as the tools do it.

use super::exact::{Exact, Values, evaluate};
use super::model::{Build, build};
use crate::tensor::{Data, Dtype};
use fastrand::Rng;

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
        evaluate(&build.graph, &mut values);
        values.remove(name).unwrap()
    }

    /// Adds an operator on dequantized `inputs` and the quantization of its result; in the QOperator
    /// dialect as the node `qlinear` makes, where there is one.
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

    fn step(&mut self) {
        let input = self.live[self.rng.usize(..self.live.len())].clone();
        let rank = input.shape.len();
        match self.rng.u8(..16) {
            0..=4 if rank > 2 => self.conv(&input),
            0..=4 => self.dense(&input),
            5 => drop(self.unary("Sigmoid", &input, |b| b)),
            6 => {
                let op = if self.rng.bool() { "Tanh" } else { "LeakyRelu" };
                drop(self.unary(op, &input, |b| b));
            }
            7 | 8 => {
                let same: Vec<_> =
                    self.live.iter().filter(|l| l.shape == input.shape).cloned().collect();
                let other = same[self.rng.usize(..same.len())].clone();
                let op = ["Add", "Mul", "Sub"][self.rng.usize(..3)];
                self.binary(op, &input, &other);
            }
            9 if rank > 2 => self.pool(&input),
            10 if rank == 4 => drop(self.unary("GlobalAveragePool", &input, |b| b)),
            11 => self.concat(&input),
            12 => self.moved(&input),
            13 => drop(self.unary("Softmax", &input, |b| b.int("axis", -1))),
            14 if rank > 2 && self.dialect == Dialect::Qdq => self.pad_or_cut(&input),
            15 if rank > 2 && input.shape[rank - 1] == input.shape[rank - 2] => self.square(&input),
            _ => drop(self.unary("Relu", &input, |b| b)),
        }
    }

    /// A product of two computed matrices.
    fn square(&mut self, input: &Live) {
        self.binary("MatMul", input, input);
    }

    fn conv(&mut self, input: &Live) {
        let rng = &mut self.rng;
        let channels = input.shape[1];
        let groups = if rng.bool() { 1 } else { channels };
        let outputs = if groups == 1 { rng.usize(1..20) } else { channels * rng.usize(1..3) };
        let n = input.shape.len() - 2;
        let spatial = &input.shape[2..];
        let kernel: Vec<usize> = spatial.iter().map(|&s| rng.usize(1..=s.min(3))).collect();
        let fits = kernel.iter().zip(spatial).all(|(k, s)| 2 * (k - 1) < *s);
        let dilation = if fits && rng.bool() { 2 } else { 1 };
        let stride = rng.i64(1..3);
        let pads: Vec<i64> = (0..2 * n).map(|_| rng.i64(0..2)).collect();
        let name = self.fresh("w");
        let shape: Vec<usize> =
            [outputs, channels / groups].into_iter().chain(kernel.clone()).collect();
        self.weights(&name, &shape, 0, input);
        let biased = self.rng.bool();
        let relu = self.rng.bool();
        let sizes: Vec<i64> = kernel.iter().map(|&k| k as i64).collect();
        let with = |b: Build| {
            b.ints("kernel_shape", &sizes)
                .ints("strides", &vec![stride; n])
                .ints("dilations", &vec![dilation; n])
                .ints("pads", &pads)
                .int("group", groups as i64)
        };
        let part = |p: &str| format!("{name}_{p}");
        let real = |b: Build, i: &[String], o: &str| {
            let (w, c, s) = (part("real"), part("bias_real"), format!("{o}_sum"));
            let mut b = b
                .node("DequantizeLinear", &[&name, &part("scale"), &part("zero")], &[&w])
                .int("axis", 0);
            if biased {
                b = b
                    .node("DequantizeLinear", &[&part("bias"), &part("unit")], &[&c])
                    .int("axis", 0);
            }
            let inputs: Vec<&str> = if biased { vec![&i[0], &w, &c] } else { vec![&i[0], &w] };
            let b = with(b.node("Conv", &inputs, &[if relu { &s } else { o }]));
            if relu { b.node("Relu", &[&s], &[o]) } else { b }
        };
        let qlinear = |b: Build, out: &Live| {
            let (i, o) = (&input.name, &out.name);
            let mut names = vec![i.clone(), format!("{i}_scale"), format!("{i}_zero")];
            names.extend([name.clone(), part("scale"), part("zero")]);
            names.extend([format!("{o}_scale"), format!("{o}_zero")]);
            names.extend(biased.then(|| part("bias")));
            with(b.node("QLinearConv", &names.iter().map(String::as_str).collect::<Vec<_>>(), &[o]))
        };
        let qlinear: QLinear<'_> = &qlinear;
        self.quantized(std::slice::from_ref(input), real, (!relu).then_some(qlinear));
    }

    fn dense(&mut self, input: &Live) {
        let k = *input.shape.last().unwrap();
        let n = self.rng.usize(1..20);
        let name = self.fresh("w");
        self.weights(&name, &[k, n], 1, input);
        let gemm = self.rng.bool();
        let part = |p: &str| format!("{name}_{p}");
        let real = |b: Build, i: &[String], o: &str| {
            let (w, c, s) = (part("real"), part("bias_real"), format!("{o}_sum"));
            let b = b
                .node("DequantizeLinear", &[&name, &part("scale"), &part("zero")], &[&w])
                .int("axis", 1)
                .node("DequantizeLinear", &[&part("bias"), &part("unit")], &[&c])
                .int("axis", 0);
            if gemm {
                return b.node("Gemm", &[&i[0], &w, &c], &[o]);
            }
            b.node("MatMul", &[&i[0], &w], &[&s]).node("Add", &[&s, &c], &[o])
        };
        let qlinear = |b: Build, out: &Live| {
            let (i, o) = (&input.name, &out.name);
            let mut names = vec![i.clone(), format!("{i}_scale"), format!("{i}_zero")];
            names.extend([name.clone(), part("scale"), part("zero"), part("bias")]);
            names.extend([format!("{o}_scale"), format!("{o}_zero")]);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            b.node("com.microsoft.QGemm", &names, &[o])
        };
        let qlinear: QLinear<'_> = &qlinear;
        self.quantized(std::slice::from_ref(input), real, gemm.then_some(qlinear));
    }

    fn pool(&mut self, input: &Live) {
        let n = input.shape.len() - 2;
        let kernel: Vec<i64> =
            input.shape[2..].iter().map(|&s| self.rng.i64(1..=s.min(3) as i64)).collect();
        let stride = self.rng.i64(1..3);
        let padded = kernel.iter().all(|&k| k > 1) && self.rng.bool();
        let pads = vec![i64::from(padded); 2 * n];
        let counted = self.rng.i64(0..2);
        let with = |b: Build| {
            b.ints("kernel_shape", &kernel).ints("strides", &vec![stride; n]).ints("pads", &pads)
        };
        if self.rng.bool() && self.dialect == Dialect::Qdq {
            self.unary("MaxPool", input, with);
        } else {
            self.unary("AveragePool", input, |b| with(b).int("count_include_pad", counted));
        }
    }

    fn concat(&mut self, input: &Live) {
        let axis = self.rng.usize(1..input.shape.len());
        let fits = |l: &&Live| {
            let same = |a: usize| a == axis || l.shape[a] == input.shape[a];
            l.shape.len() == input.shape.len() && (0..l.shape.len()).all(same)
        };
        let others: Vec<Live> = self.live.iter().filter(fits).cloned().collect();
        let parts = [input.clone(), others[self.rng.usize(..others.len())].clone()];
        let real = |b: Build, i: &[String], o: &str| {
            b.node("Concat", &[&i[0], &i[1]], &[o]).int("axis", axis as i64)
        };
        let qlinear = |b: Build, out: &Live| {
            let mut names = vec![format!("{}_scale", out.name), format!("{}_zero", out.name)];
            for p in &parts {
                names.extend([
                    p.name.clone(),
                    format!("{}_scale", p.name),
                    format!("{}_zero", p.name),
                ]);
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            b.node("com.microsoft.QLinearConcat", &names, &[&out.name]).int("axis", axis as i64)
        };
        let qlinear: QLinear<'_> = &qlinear;
        self.quantized(&parts.clone(), real, Some(qlinear));
    }

    /// A transposition or reshape of the stored integers themselves.
    fn moved(&mut self, input: &Live) {
        let name = self.fresh("v");
        let rank = input.shape.len();
        let build = std::mem::replace(&mut self.build, build());
        let (build, shape) = if self.rng.bool() {
            let mut perm: Vec<usize> = (1..rank).collect();
            self.rng.shuffle(&mut perm);
            perm.insert(0, 0);
            let shape = perm.iter().map(|&p| input.shape[p]).collect();
            let perm: Vec<i64> = perm.iter().map(|&p| p as i64).collect();
            (build.node("Transpose", &[&input.name], &[&name]).ints("perm", &perm), shape)
        } else {
            let shape = vec![input.shape[0], input.shape[1..].iter().product()];
            let target = Data::I64(shape.iter().map(|&d: &usize| d as i64).collect());
            let to = format!("{name}_shape");
            (
                build.constant(&to, &[2], target).node("Reshape", &[&input.name, &to], &[&name]),
                shape,
            )
        };
        self.build = build;
        let live = Live { name, shape, ..input.clone() };
        self.amounts(&live);
        self.live.push(live);
    }

    fn pad_or_cut(&mut self, input: &Live) {
        let axis = self.rng.usize(1..input.shape.len());
        let list = |values: Vec<i64>| (vec![values.len()], Data::I64(values));
        let name = self.fresh("k");
        if self.rng.bool() {
            let pads = (0..2 * input.shape.len()).map(|_| self.rng.i64(0..3)).collect();
            let (shape, data) = list(pads);
            self.build = std::mem::replace(&mut self.build, build()).constant(&name, &shape, data);
            let real = |b: Build, i: &[String], o: &str| b.node("Pad", &[&i[0], &name], &[o]);
            self.quantized(std::slice::from_ref(input), real, None);
        } else {
            let end = self.rng.usize(1..=input.shape[axis]) as i64;
            let mut build = std::mem::replace(&mut self.build, build());
            for (part, value) in [("start", 0), ("end", end), ("axis", axis as i64)] {
                let (shape, data) = list(vec![value]);
                build = build.constant(&format!("{name}_{part}"), &shape, data);
            }
            self.build = build;
            let names = ["start", "end", "axis"].map(|p| format!("{name}_{p}"));
            let real = |b: Build, i: &[String], o: &str| {
                b.node("Slice", &[&i[0], &names[0], &names[1], &names[2]], &[o])
            };
            self.quantized(std::slice::from_ref(input), real, None);
        }
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
