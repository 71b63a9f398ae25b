//! Transposed convolutions against their definition.

use super::model::build;
use super::{load, run_model, same_bits};
use crate::tensor::{Data, Dtype};
use fastrand::Rng;

/// A layer over one or two spatial axes.
#[derive(Debug)]
struct Layer {
    batch: usize,
    groups: usize,
    /// In each group.
    channels: usize,
    columns: usize,
    spatial: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    extra: Vec<usize>,
    padding: Padding,
    bias: bool,
}

#[derive(Debug)]
enum Padding {
    /// Before each axis, then after each.
    Explicit(Vec<usize>),
    Automatic(&'static str),
    OutputShape(Vec<usize>),
}

impl Layer {
    fn random(rng: &mut Rng) -> Self {
        let axes = rng.usize(1..=2);
        let mut sizes = |low: usize, high: usize| -> Vec<usize> {
            (0..axes).map(|_| rng.usize(low..=high)).collect()
        };
        let (spatial, kernel) = (sizes(1, 5), sizes(1, 4));
        let (strides, dilations) = (sizes(1, 3), sizes(1, 2));
        let (pads, more) = (sizes(0, 1), sizes(0, 4));
        let extra: Vec<usize> = strides.iter().map(|s| rng.usize(0..*s)).collect();
        let mut layer = Self {
            batch: rng.usize(1..=2),
            groups: rng.usize(1..=3),
            channels: rng.usize(1..=4),
            columns: rng.usize(1..=5),
            spatial,
            kernel,
            strides,
            dilations,
            extra,
            padding: Padding::Automatic("VALID"),
            bias: rng.bool(),
        };
        let full: Vec<usize> = (0..axes).map(|i| layer.full(i)).collect();
        layer.padding = match rng.u8(..5) {
            0 => Padding::Automatic("VALID"),
            1 => Padding::Automatic("SAME_UPPER"),
            2 => Padding::Automatic("SAME_LOWER"),
            3 => Padding::OutputShape(
                full.iter().zip(&more).map(|(f, m)| (f - f / 2).max(f - m.min(f))).collect(),
            ),
            _ if full.iter().zip(&pads).all(|(full, pad)| *full > 2 * pad) => {
                Padding::Explicit([&*pads, &*pads].concat())
            }
            _ => Padding::Explicit(vec![0; 2 * axes]),
        };
        layer
    }

    /// The size of an axis of the result without padding.
    fn full(&self, i: usize) -> usize {
        (self.spatial[i] - 1) * self.strides[i]
            + (self.kernel[i] - 1) * self.dilations[i]
            + 1
            + self.extra[i]
    }

    /// The size of an axis of the result, and what is cut off before it.
    fn place(&self, i: usize) -> (usize, usize) {
        let full = self.full(i);
        match &self.padding {
            Padding::Automatic("VALID") => (full, 0),
            Padding::Automatic(name) => {
                let size = self.spatial[i] * self.strides[i];
                let total = full.saturating_sub(size);
                (size, if *name == "SAME_UPPER" { total / 2 } else { total.div_ceil(2) })
            }
            Padding::Explicit(pads) => (full - pads[i] - pads[i + self.spatial.len()], pads[i]),
            Padding::OutputShape(sizes) => (sizes[i], (full - sizes[i]).div_ceil(2)),
        }
    }

    /// Sizes, kernels and so on as two axes.
    fn pair(values: &[usize]) -> [usize; 2] {
        if let [one] = values { [1, *one] } else { [values[0], values[1]] }
    }

    fn expected(&self, x: &[f32], w: &[f32], b: &[f32]) -> Vec<f64> {
        let (rank, [h, wide]) = (self.spatial.len(), Self::pair(&self.spatial));
        let [kernel_h, kernel_w] = Self::pair(&self.kernel);
        let places: Vec<(usize, usize)> = (0..rank).map(|i| self.place(i)).collect();
        let (sizes, cuts): (Vec<usize>, Vec<usize>) = places.into_iter().unzip();
        let [out_h, out_w] = Self::pair(&sizes);
        let cut = if rank == 1 { [0, cuts[0]] } else { [cuts[0], cuts[1]] };
        let (stride, dilation) = (Self::pair(&self.strides), Self::pair(&self.dilations));
        let (inputs, outputs) = (self.groups * self.channels, self.groups * self.columns);
        let mut y = vec![0.0; self.batch * outputs * out_h * out_w];
        for (i, y) in y.iter_mut().enumerate() {
            *y = if self.bias { f64::from(b[i / (out_h * out_w) % outputs]) } else { 0.0 };
        }
        for (at, &x) in x.iter().enumerate() {
            let (n, rest) = (at / (inputs * h * wide), at % (inputs * h * wide));
            let (c, row, column) = (rest / (h * wide), rest / wide % h, rest % wide);
            for tap in 0..self.columns * kernel_h * kernel_w {
                let o = c / self.channels * self.columns + tap / (kernel_h * kernel_w);
                let (ky, kx) = (tap / kernel_w % kernel_h, tap % kernel_w);
                let to =
                    [row * stride[0] + ky * dilation[0], column * stride[1] + kx * dilation[1]];
                let [Some(r), Some(s)] = [0, 1].map(|i| to[i].checked_sub(cut[i])) else {
                    continue;
                };
                if r < out_h && s < out_w {
                    let weight = w[c * self.columns * kernel_h * kernel_w + tap];
                    y[((n * outputs + o) * out_h + r) * out_w + s] +=
                        f64::from(x) * f64::from(weight);
                }
            }
        }
        y
    }
}

fn numbers(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.f32() * 2.0 - 1.0).collect()
}

#[test]
fn transposed_convolutions_follow_their_definition() {
    let mut rng = Rng::with_seed(11);
    for _ in 0..80 {
        let layer = Layer::random(&mut rng);
        let (inputs, outputs) = (layer.groups * layer.channels, layer.groups * layer.columns);
        let ints = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<i64>>();
        let input = [&[layer.batch, inputs], &*layer.spatial].concat();
        let shape = [&[inputs, layer.columns], &*layer.kernel].concat();
        let [w, b] = [shape.iter().product(), outputs].map(|n| numbers(&mut rng, n));
        let names: &[&str] = if layer.bias { &["x", "w", "b"] } else { &["x", "w"] };
        let build = build()
            .input("x", Dtype::F32, &input)
            .constant("w", &shape, Data::F32(w.clone()))
            .constant("b", &[outputs], Data::F32(b.clone()))
            .node("ConvTranspose", names, &["y"])
            .int("group", layer.groups as i64)
            .ints("strides", &ints(&layer.strides))
            .ints("dilations", &ints(&layer.dilations))
            .ints("output_padding", &ints(&layer.extra));
        let build = match &layer.padding {
            Padding::Explicit(pads) => build.ints("pads", &ints(pads)),
            Padding::Automatic(name) => build.text("auto_pad", name),
            Padding::OutputShape(shape) => build.ints("output_shape", &ints(shape)),
        };
        let mut build = build.output("y", Dtype::F32, &[]);
        build.graph.output[0].r#type = None;
        let model = load(&build.bytes()).unwrap_or_else(|e| panic!("{layer:?}: {e}"));
        let own = model.explain().iter().all(|node| node.region.is_none());
        assert!(own, "{layer:?}: {:?}", model.explain());
        let x = numbers(&mut rng, input.iter().product());
        let y = &run_model(&model, &[Data::F32(x.clone())])[0];
        let sizes: Vec<usize> = (0..layer.spatial.len()).map(|i| layer.place(i).0).collect();
        assert_eq!(y.shape, [&[layer.batch, outputs], &*sizes].concat(), "{layer:?}");
        let Data::F32(found) = &y.data else { panic!("{:?}", y.data) };
        for (a, b) in found.iter().zip(layer.expected(&x, &w, &b)) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{layer:?}: {a} for {b}");
        }
        same_bits::check(&model, &[]);
    }
}
