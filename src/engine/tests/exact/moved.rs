//! Operators that move numbers and change none.

use super::{Exact, strides};

pub(super) fn transpose(x: &Exact, perm: &[usize]) -> Exact {
    let shape: Vec<usize> = perm.iter().map(|&p| x.shape[p]).collect();
    let (from, to) = (x.strides(), strides(&shape));
    let value = |i: usize| {
        let at: usize = (0..perm.len()).map(|a| i / to[a] % shape[a] * from[perm[a]]).sum();
        x.x[at]
    };
    Exact { shape: shape.clone(), x: (0..x.x.len()).map(value).collect(), dtype: x.dtype }
}

pub(super) fn concat(parts: &[&Exact], axis: usize) -> Exact {
    let outer: usize = parts[0].shape[..axis].iter().product();
    let mut x = Vec::new();
    for o in 0..outer {
        for part in parts {
            let n = part.x.len() / outer;
            x.extend(&part.x[o * n..(o + 1) * n]);
        }
    }
    let mut shape = parts[0].shape.clone();
    shape[axis] = parts.iter().map(|p| p.shape[axis]).sum();
    Exact { shape, x, dtype: parts[0].dtype }
}

pub(super) fn slice(x: &Exact, start: usize, end: usize, axis: usize) -> Exact {
    let mut shape = x.shape.clone();
    shape[axis] = end - start;
    let (from, to) = (x.strides(), strides(&shape));
    let value = |i: usize| {
        let at: usize = (0..shape.len()).map(|a| i / to[a] % shape[a] * from[a]).sum();
        x.x[at + start * from[axis]]
    };
    let len = shape.iter().product();
    Exact { x: (0..len).map(value).collect(), shape: shape.clone(), dtype: x.dtype }
}

pub(super) fn split(x: &Exact, axis: usize, count: usize) -> Vec<Exact> {
    let each = x.shape[axis] / count;
    (0..count).map(|i| slice(x, i * each, (i + 1) * each, axis)).collect()
}

pub(super) fn pad(x: &Exact, pads: &[f64]) -> Exact {
    let rank = x.shape.len();
    let shape: Vec<usize> =
        (0..rank).map(|a| x.shape[a] + pads[a] as usize + pads[a + rank] as usize).collect();
    let (from, to) = (x.strides(), strides(&shape));
    let mut padded = vec![0.0; shape.iter().product()];
    for (i, &v) in x.x.iter().enumerate() {
        let at: usize =
            (0..rank).map(|a| (i / from[a] % x.shape[a] + pads[a] as usize) * to[a]).sum();
        padded[at] = v;
    }
    Exact::real(&shape, padded)
}
