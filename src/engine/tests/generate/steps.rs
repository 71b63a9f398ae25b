//! The steps that a random graph is made of: each adds an operator behind a value that is there.

use super::{Build, Data, Dialect, Live, QLinear, Random, build};

impl Random {
    pub(super) fn step(&mut self) {
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
