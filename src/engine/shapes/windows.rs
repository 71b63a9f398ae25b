//! Convolutions and pools.

use super::{Known, Values};
use crate::engine::graph::Node;
use crate::engine::window_attributes::{WindowAttributes, sizes};

/// A convolution of input `x` with the weights in input `w`.
pub(super) fn convolution(node: &Node, values: &Values<'_>, x: usize, w: usize) -> Option<Known> {
    let [batch, _, spatial @ ..] = values.shape(node.input(x))? else { return None };
    let [channels, _, kernel @ ..] = values.shape(node.input(w))? else { return None };
    let mut shape = vec![*batch, *channels];
    shape.extend(slid(node, spatial, kernel)?);
    Some(Known::shaped(shape))
}

/// The number of positions of a kernel along each axis. None if it does not fit.
fn slid(node: &Node, spatial: &[usize], kernel: &[usize]) -> Option<Vec<usize>> {
    if spatial.len() != kernel.len() {
        return None;
    }
    let window = WindowAttributes::read(node, spatial.len()).ok()?;
    let place = |(axis, (&size, &kernel)): (usize, (&usize, &usize))| {
        let free = window.padded(axis, size, kernel)?.checked_sub(window.extent(axis, kernel))?;
        Some(free / window.strides.get(axis)? + 1)
    };
    spatial.iter().zip(kernel).enumerate().map(place).collect()
}

pub(super) fn pool(node: &Node, values: &Values<'_>) -> Vec<Known> {
    let shape = || {
        // Rounding up has special cases, which the float runtime knows.
        if node.int("ceil_mode").unwrap_or(0) != 0 {
            return None;
        }
        let [batch, channels, spatial @ ..] = values.shape(node.input(0))? else { return None };
        let kernel = sizes(node, "kernel_shape").ok()??;
        let mut shape = vec![*batch, *channels];
        shape.extend(slid(node, spatial, &kernel)?);
        Some(Known::shaped(shape))
    };
    shape().map(|known| vec![known.clone(), known]).unwrap_or_default()
}

pub(super) fn global_pool(shape: Option<&[usize]>) -> Option<Known> {
    let [batch, channels, spatial @ ..] = shape? else { return None };
    let ones = std::iter::repeat_n(1, spatial.len());
    Some(Known::shaped([*batch, *channels].into_iter().chain(ones).collect()))
}

/// A transposed convolution: `stride (n - 1) + output_padding + extent - padding` along each axis.
pub(super) fn transposed(node: &Node, values: &Values<'_>) -> Option<Known> {
    let [batch, _, spatial @ ..] = values.shape(node.input(0))? else { return None };
    let [_, channels, kernel @ ..] = values.shape(node.input(1))? else { return None };
    if spatial.len() != kernel.len() {
        return None;
    }
    let groups = usize::try_from(node.int("group").unwrap_or(1)).ok()?;
    let mut shape = vec![*batch, channels.checked_mul(groups)?];
    let window = WindowAttributes::read(node, spatial.len()).ok()?;
    let same = node.text("auto_pad").is_some_and(|pad| pad.starts_with("SAME"));
    let extra = sizes(node, "output_padding").ok()?.unwrap_or_default();
    let given = sizes(node, "output_shape").ok()?;
    for (axis, (&size, &kernel)) in spatial.iter().zip(kernel).enumerate() {
        let stride = *window.strides.get(axis)?;
        let full = size.checked_sub(1)?.checked_mul(stride)?;
        let full = full.checked_add(window.extent(axis, kernel))?;
        let full = full.checked_add(extra.get(axis).copied().unwrap_or(0))?;
        let (before, after) = window.padding(axis, size, kernel);
        shape.push(match &given {
            Some(given) => *given.get(given.len().checked_sub(spatial.len())? + axis)?,
            None if same => size.checked_mul(stride)?,
            None => full.checked_sub(before.checked_add(after)?)?,
        });
    }
    Some(Known::shaped(shape))
}
