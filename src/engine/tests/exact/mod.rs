//! What a quantized graph means, in real arithmetic: the straightforward evaluation that the engine
//! is held against. Node by node, in doubles; a quantization rounds half to even and saturates.
//! Sums of products of small integers are exact in doubles. Shares no code with the engine.

use crate::engine::graph::{Graph, Node, TensorData};
use crate::tensor::{Data, Dtype, Tensor};
use std::collections::HashMap;

mod moved;
mod windows;

use moved::{concat, pad, slice, split, transpose};
use windows::{average, conv, windows};

/// A tensor of exact numbers.
#[derive(Clone, Debug)]
pub(super) struct Exact {
    pub shape: Vec<usize>,
    pub x: Vec<f64>,
    pub dtype: Dtype,
}

pub(super) type Values = HashMap<String, Exact>;

impl Exact {
    pub(super) fn real(shape: &[usize], x: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), x.len());
        Self { shape: shape.to_vec(), x, dtype: Dtype::F32 }
    }

    pub(super) fn of(tensor: &Tensor) -> Self {
        let x = match &tensor.data {
            Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::I8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::I32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::I64(v) => v.iter().map(|&x| x as f64).collect(),
            other => panic!("no exact {}", other.dtype()),
        };
        Self { shape: tensor.shape.clone(), x, dtype: tensor.dtype() }
    }

    fn held(data: &TensorData) -> Self {
        Self::of(&data.to_tensor().unwrap())
    }

    fn scalar(&self) -> f64 {
        assert_eq!(self.x.len(), 1);
        self.x[0]
    }

    fn strides(&self) -> Vec<usize> {
        strides(&self.shape)
    }

    /// The element that stands against index `i` of a tensor of `shape`, by ONNX broadcasting.
    fn against(&self, shape: &[usize], mut i: usize) -> f64 {
        let lead = shape.len() - self.shape.len();
        let (mut at, mut step) = (0, 1);
        for axis in (0..shape.len()).rev() {
            let index = i % shape[axis];
            i /= shape[axis];
            if axis >= lead && self.shape[axis - lead] != 1 {
                at += index * step;
            }
            if axis >= lead {
                step *= self.shape[axis - lead];
            }
        }
        self.x[at]
    }
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|a| shape[a + 1..].iter().product()).collect()
}

/// Evaluates every node; `values` holds the inputs, and gets all results. Returns how near a
/// quantized number came to the middle between two steps: where that is nearer than the precision
/// of a float, a runtime in floats may round to the other side.
pub(super) fn evaluate(graph: &Graph, values: &mut Values) -> f64 {
    let mut nearest = f64::INFINITY;
    for data in &graph.initializers {
        values.insert(data.name.clone(), Exact::held(data));
    }
    for node in &graph.nodes {
        for (name, result) in node.outputs.iter().zip(results(node, values, &mut nearest)) {
            values.insert(name.clone(), result);
        }
    }
    nearest
}

fn results(node: &Node, values: &Values, nearest: &mut f64) -> Vec<Exact> {
    let input = |i: usize| node.inputs.get(i).and_then(|n| values.get(n));
    let at = |i: usize| input(i).unwrap_or_else(|| panic!("{node:?} has no input {i}"));
    let axis = node.int("axis");
    let channel = axis.unwrap_or(1) as usize;
    let made = || made_or_cast(node, input(0)).map(|result| vec![result]);
    if let Some(results) = qoperator(node, values, nearest).or_else(made) {
        return results;
    }
    match node.op.as_str() {
        "DequantizeLinear" => vec![dequantize(at(0), at(1), input(2), channel)],
        "QuantizeLinear" => vec![quantize(at(0), at(1), input(2), channel, nearest)],
        "DynamicQuantizeLinear" => dynamic(at(0), nearest),
        "MatMulInteger" => vec![matmul(&less(at(0), input(2), 0), &less(at(1), input(3), 1))],
        "ConvInteger" => {
            vec![conv(node, &less(at(0), input(2), 0), &less(at(1), input(3), 0), None)]
        }
        "Conv" => vec![conv(node, at(0), at(1), input(2))],
        "MatMul" => vec![matmul(at(0), at(1))],
        "Gemm" => {
            let right = if node.int("transB") == Some(1) {
                transpose(at(1), &[1, 0])
            } else {
                at(1).clone()
            };
            let product = matmul(at(0), &right);
            vec![input(2).map_or(product.clone(), |c| zip(&product, c, |a, b| a + b))]
        }
        "Add" => vec![zip(at(0), at(1), |a, b| a + b)],
        "Sub" => vec![zip(at(0), at(1), |a, b| a - b)],
        "Mul" => vec![zip(at(0), at(1), |a, b| a * b)],
        "Relu" => vec![map(at(0), |x| x.max(0.0))],
        "Clip" => vec![map(at(0), |x| x.max(at(1).scalar()).min(at(2).scalar()))],
        "Sigmoid" => vec![map(at(0), sigmoid)],
        "Tanh" => vec![map(at(0), f64::tanh)],
        "LeakyRelu" => vec![map(at(0), leaky(node))],
        "Softmax" => vec![softmax(at(0))],
        "AveragePool" => vec![average(node, at(0))],
        "GlobalAveragePool" => vec![mean(at(0), &(2..at(0).shape.len()).collect::<Vec<_>>())],
        "MaxPool" => vec![windows(node, at(0), f64::NEG_INFINITY, |w| {
            w.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        })],
        "Reshape" => {
            vec![Exact { shape: at(1).x.iter().map(|&d| d as usize).collect(), ..at(0).clone() }]
        }
        "Transpose" => {
            vec![transpose(
                at(0),
                &node.ints("perm").unwrap().iter().map(|&p| p as usize).collect::<Vec<_>>(),
            )]
        }
        "Concat" => vec![concat(&(0..node.inputs.len()).map(at).collect::<Vec<_>>(), channel)],
        "Slice" => {
            vec![slice(at(0), at(1).x[0] as usize, at(2).x[0] as usize, at(3).x[0] as usize)]
        }
        "Split" => split(at(0), channel, node.outputs.len()),
        "Pad" => vec![pad(at(0), &at(1).x)],
        "Div" => vec![zip(at(0), at(1), |a, b| a / b)],
        other => panic!("no exact {other}"),
    }
}

/// What exporters write around the arithmetic.
fn made_or_cast(node: &Node, input: Option<&Exact>) -> Option<Exact> {
    Some(match node.op.as_str() {
        "Constant" => Exact::held(node.tensor("value").unwrap()),
        "Cast" if node.int("to") == Some(6) => map(input.unwrap(), f64::trunc),
        "Cast" => input.unwrap().clone(),
        "Shape" => {
            let shape: Vec<f64> = input.unwrap().shape.iter().map(|&d| d as f64).collect();
            Exact::real(&[shape.len()], shape)
        }
        "ConstantOfShape" => {
            let shape: Vec<usize> = input.unwrap().x.iter().map(|&d| d as usize).collect();
            Exact::real(&shape, vec![0.0; shape.iter().product()])
        }
        _ => return None,
    })
}

/// Dequantize, compute, quantize: the operators that do all three.
fn qoperator(node: &Node, values: &Values, nearest: &mut f64) -> Option<Vec<Exact>> {
    let input = |i: usize| node.inputs.get(i).and_then(|n| values.get(n));
    let at = |i: usize| input(i).unwrap_or_else(|| panic!("{node:?} has no input {i}"));
    let real = |i: usize, axis: usize| dequantize(at(i), at(i + 1), input(i + 2), axis);
    let mut back = |x: Exact, i: usize| vec![quantize(&x, at(i), input(i + 1), 0, nearest)];
    let channel = node.int("axis").unwrap_or(1) as usize;
    Some(match node.op.as_str() {
        "QLinearConv" => {
            back(conv(node, &real(0, 1), &real(3, 0), bias(input(8), at(1), at(4)).as_ref()), 6)
        }
        "QLinearMatMul" => back(matmul(&real(0, 0), &real(3, at(3).shape.len() - 1)), 6),
        "QLinearAdd" => back(zip(&real(0, 0), &real(3, 0), |a, b| a + b), 6),
        "QLinearMul" => back(zip(&real(0, 0), &real(3, 0), |a, b| a * b), 6),
        "QLinearAveragePool" => back(average(node, &real(0, 0)), 3),
        "QLinearGlobalAveragePool" => back(mean(&real(0, 0), &[2, 3]), 3),
        "QLinearSigmoid" => back(map(&real(0, 0), sigmoid), 3),
        "QLinearLeakyRelu" => back(map(&real(0, 0), leaky(node)), 3),
        "QLinearSoftmax" => back(softmax(&real(0, 0)), 3),
        "QLinearConcat" => {
            let parts: Vec<_> = (2..node.inputs.len()).step_by(3).map(|i| real(i, 0)).collect();
            back(concat(&parts.iter().collect::<Vec<_>>(), channel), 0)
        }
        "QGemm" => back(
            zip(
                &matmul(&real(0, 0), &real(3, 1)),
                &bias(input(6), at(1), at(4)).unwrap(),
                |a, b| a + b,
            ),
            7,
        ),
        _ => return None,
    })
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn leaky(node: &Node) -> impl Fn(f64) -> f64 {
    let alpha = f64::from(node.float("alpha").unwrap_or(0.01));
    move |x| if x < 0.0 { alpha * x } else { x }
}

/// The scale or zero point for element `i` of `x`.
fn along(v: &Exact, x: &Exact, axis: usize, i: usize) -> f64 {
    if v.x.len() == 1 { v.x[0] } else { v.x[i / x.strides()[axis] % x.shape[axis]] }
}

fn dequantize(x: &Exact, scale: &Exact, zero: Option<&Exact>, axis: usize) -> Exact {
    let value = |(i, q): (usize, &f64)| {
        (q - zero.map_or(0.0, |z| along(z, x, axis, i))) * along(scale, x, axis, i)
    };
    Exact::real(&x.shape, x.x.iter().enumerate().map(value).collect())
}

fn quantize(
    x: &Exact,
    scale: &Exact,
    zero: Option<&Exact>,
    axis: usize,
    nearest: &mut f64,
) -> Exact {
    let dtype = zero.map_or(Dtype::U8, |z| z.dtype);
    let (low, high) = if dtype == Dtype::I8 { (-128.0, 127.0) } else { (0.0, 255.0) };
    let mut value = |(i, r): (usize, &f64)| {
        let steps = r / along(scale, x, axis, i);
        note_tie(steps, nearest);
        let moved = steps.round_ties_even() + zero.map_or(0.0, |z| along(z, x, axis, i));
        moved.clamp(low, high)
    };
    Exact { shape: x.shape.clone(), x: x.x.iter().enumerate().map(&mut value).collect(), dtype }
}

fn note_tie(steps: f64, nearest: &mut f64) {
    let distance = (steps - steps.floor() - 0.5).abs();
    *nearest = nearest.min(distance);
}

fn dynamic(x: &Exact, nearest: &mut f64) -> Vec<Exact> {
    let low = x.x.iter().copied().fold(0.0, f64::min);
    let high = x.x.iter().copied().fold(0.0, f64::max);
    let scale = Exact::real(&[], vec![if high == low { 1.0 } else { (high - low) / 255.0 }]);
    note_tie(-low / scale.x[0], nearest);
    let zero = (-low / scale.x[0]).round_ties_even().clamp(0.0, 255.0);
    let zero = Exact { shape: vec![], x: vec![zero], dtype: Dtype::U8 };
    vec![quantize(x, &scale, Some(&zero), 0, nearest), scale, zero]
}

fn bias(bias: Option<&Exact>, a: &Exact, b: &Exact) -> Option<Exact> {
    let scales = Exact::real(&b.shape, b.x.iter().map(|b| a.scalar() * b).collect());
    bias.map(|bias| dequantize(bias, &scales, None, 0))
}

fn less(x: &Exact, zero: Option<&Exact>, axis: usize) -> Exact {
    dequantize(x, &Exact::real(&[], vec![1.0]), zero, axis)
}

fn map(x: &Exact, f: impl Fn(f64) -> f64) -> Exact {
    Exact::real(&x.shape, x.x.iter().map(|&v| f(v)).collect())
}

fn zip(a: &Exact, b: &Exact, f: impl Fn(f64, f64) -> f64) -> Exact {
    let rank = a.shape.len().max(b.shape.len());
    let size =
        |e: &Exact, axis: usize| (axis + e.shape.len()).checked_sub(rank).map_or(1, |a| e.shape[a]);
    let shape: Vec<usize> = (0..rank).map(|axis| size(a, axis).max(size(b, axis))).collect();
    let len = shape.iter().product();
    let value = |i| f(a.against(&shape, i), b.against(&shape, i));
    Exact::real(&shape, (0..len).map(value).collect())
}

fn matmul(a: &Exact, b: &Exact) -> Exact {
    let (ra, rb) = (a.shape.len(), b.shape.len());
    let (m, k, n) = (a.shape[ra - 2], a.shape[ra - 1], b.shape[rb - 1]);
    let lead: usize = a.shape[..ra - 2].iter().product();
    let many = b.x.len() > k * n;
    let mut x = Vec::new();
    for batch in 0..lead {
        let right = if many { batch * k * n } else { 0 };
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let term = |l: usize| a.x[(batch * m + i) * k + l] * b.x[right + l * n + j];
            x.push((0..k).map(term).sum());
        }
    }
    let shape: Vec<usize> = a.shape[..ra - 1].iter().copied().chain([n]).collect();
    Exact::real(&shape, x)
}

fn softmax(x: &Exact) -> Exact {
    let row = *x.shape.last().unwrap();
    let rows = x.x.chunks(row).flat_map(|row| {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|v| (v - top).exp()).sum();
        row.iter().map(move |v| (v - top).exp() / sum)
    });
    Exact::real(&x.shape, rows.collect())
}

fn mean(x: &Exact, axes: &[usize]) -> Exact {
    let shape: Vec<usize> =
        (0..x.shape.len()).map(|a| if axes.contains(&a) { 1 } else { x.shape[a] }).collect();
    let mut sums = vec![0.0; shape.iter().product()];
    let (from, to) = (x.strides(), strides(&shape));
    for (i, v) in x.x.iter().enumerate() {
        let at: usize =
            (0..shape.len()).map(|a| (i / from[a] % x.shape[a]).min(shape[a] - 1) * to[a]).sum();
        sums[at] += v;
    }
    let count = (x.x.len() / sums.len()) as f64;
    Exact::real(&shape, sums.into_iter().map(|s| s / count).collect())
}
