//! Operators that look through a window that goes over one or two axes: convolutions and pools.

use super::{Exact, strides};
use crate::engine::graph::Node;

/// Window geometry of a node over one or two spatial axes, as (kernel, stride, dilation, pads).
fn list(node: &Node, name: &str, count: usize, default: usize) -> Vec<usize> {
    node.ints(name).map_or(vec![default; count], |v| v.iter().map(|&d| d as usize).collect())
}

/// `f` of what each window sees (with `fill` for padding), for every channel by itself.
pub(super) fn windows(node: &Node, x: &Exact, fill: f64, f: impl Fn(&[f64]) -> f64) -> Exact {
    let kernel = list(node, "kernel_shape", x.shape.len() - 2, 1);
    let (patches, spatial) = patches(node, x, &kernel, fill);
    let shape: Vec<usize> = x.shape[..2].iter().copied().chain(spatial).collect();
    Exact::real(&shape, patches.iter().map(|p| f(p)).collect())
}

/// What each window sees, and how many windows there are along each axis.
type Patches = (Vec<Vec<f64>>, Vec<usize>);

/// For every batch, channel and position, the taps that its window sees.
fn patches(node: &Node, x: &Exact, kernel: &[usize], fill: f64) -> Patches {
    let n = kernel.len();
    let (stride, dilation) = (list(node, "strides", n, 1), list(node, "dilations", n, 1));
    let pads = list(node, "pads", 2 * n, 0);
    let size = |a: usize| {
        (x.shape[2 + a] + pads[a] + pads[a + n] - (kernel[a] - 1) * dilation[a] - 1) / stride[a] + 1
    };
    let spatial: Vec<usize> = (0..n).map(size).collect();
    let (places, taps) = (spatial.iter().product::<usize>(), kernel.iter().product::<usize>());
    let steps = x.strides();
    let mut all = Vec::new();
    for plane in 0..x.shape[0] * x.shape[1] {
        for place in 0..places {
            let tap = |tap: usize| {
                let mut at = plane * steps[1];
                for a in 0..n {
                    let out = place / strides(&spatial)[a] % spatial[a];
                    let k = tap / strides(kernel)[a] % kernel[a];
                    let i = (out * stride[a] + k * dilation[a]).checked_sub(pads[a])?;
                    if i >= x.shape[2 + a] {
                        return None;
                    }
                    at += i * steps[2 + a];
                }
                Some(x.x[at])
            };
            all.push((0..taps).map(|t| tap(t).unwrap_or(fill)).collect());
        }
    }
    (all, spatial)
}

pub(super) fn average(node: &Node, x: &Exact) -> Exact {
    let whole = node.int("count_include_pad") == Some(1);
    windows(node, x, f64::NAN, |w| {
        let seen: Vec<f64> = w.iter().copied().filter(|v| !v.is_nan()).collect();
        seen.iter().sum::<f64>() / if whole { w.len() } else { seen.len() } as f64
    })
}

pub(super) fn conv(node: &Node, x: &Exact, w: &Exact, bias: Option<&Exact>) -> Exact {
    let (patches, spatial) = patches(node, x, &w.shape[2..], 0.0);
    let places: usize = spatial.iter().product();
    let (channels, outputs, depth) = (x.shape[1], w.shape[0], w.shape[1]);
    let taps: usize = w.shape[2..].iter().product();
    let group = outputs / (channels / depth);
    let mut y = Vec::new();
    for (batch, out, place) in (0..x.shape[0])
        .flat_map(|b| (0..outputs).flat_map(move |o| (0..places).map(move |p| (b, o, p))))
    {
        let term = |c: usize| -> f64 {
            let patch = &patches[(batch * channels + out / group * depth + c) * places + place];
            patch.iter().zip(&w.x[(out * depth + c) * taps..]).map(|(a, b)| a * b).sum()
        };
        y.push((0..depth).map(term).sum::<f64>() + bias.map_or(0.0, |b| b.x[out]));
    }
    let shape: Vec<usize> = [x.shape[0], outputs].into_iter().chain(spatial).collect();
    Exact::real(&shape, y)
}
