//! Convolutions and products.

use super::super::file::Operator;
use super::super::graph_builder::{Converted, GraphBuilder, is_quantized};
use super::steps::{CHANNELS_FIRST, CHANNELS_LAST, finish, transposed};
use crate::engine::graph::Attribute;

/// The attribute for padding SAME (0) and VALID (1).
pub(super) fn padding(code: u8) -> Converted<Attribute> {
    match code {
        0 => Ok(Attribute::text("auto_pad", "SAME_UPPER")),
        1 => Ok(Attribute::text("auto_pad", "VALID")),
        other => Err(format!("its padding {other} is unknown").into()),
    }
}

/// Height and width from the options, which have the width first. Both must be positive.
pub(super) fn pair(op: &Operator<'_>, width: usize, default: i32) -> Converted<Vec<i64>> {
    let sizes = [op.options.int(width + 1, default)?, op.options.int(width, default)?];
    if sizes.iter().any(|&size| size < 1) {
        return Err(format!("a stride or size of it is {sizes:?}").into());
    }
    Ok(sizes.map(i64::from).to_vec())
}

pub(super) fn conv(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let (input, weights) = (op.input(0)?, op.input(1)?);
    let depth = b.tensor(weights)?.shape.get(3).copied().unwrap_or(0);
    let channels = b.tensor(input)?.shape.get(3).copied().unwrap_or(0);
    let groups = channels.checked_div(depth).filter(|&g| g * depth == channels && g > 0);
    let groups = groups.ok_or_else(|| {
        format!("its weights have {depth} channels, its input {channels} in its last axis")
    })?;
    let dilations = pair(op, 4, 1)?;
    let floats = !is_quantized(b.tensor(input)?)?;
    let kernel = b.weights(weights, &[0, 3, 1, 2], floats)?;
    convolution(b, op, &kernel, groups, dilations, op.options.byte(3)?)
}

pub(super) fn depthwise(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let (input, weights) = (op.input(0)?, op.input(1)?);
    let groups = b.tensor(input)?.shape.get(3).copied().unwrap_or(0);
    let dilations = pair(op, 5, 1)?;
    let floats = !is_quantized(b.tensor(input)?)?;
    let kernel = b.weights(weights, &[3, 0, 1, 2], floats)?;
    convolution(b, op, &kernel, groups, dilations, op.options.byte(4)?)
}

/// A convolution with weights `[output, channel, height, width]`.
fn convolution(
    b: &mut GraphBuilder<'_>,
    op: &Operator<'_>,
    kernel: &str,
    groups: usize,
    dilations: Vec<i64>,
    activation: u8,
) -> Converted {
    let real = b.real(op.input(0)?)?;
    let first = transposed(b, &real, &CHANNELS_FIRST);
    let mut inputs = vec![first, kernel.to_owned()];
    if let Some(bias) = op.optional(2) {
        inputs.push(b.bias(bias, op.input(0)?, op.input(1)?)?);
    }
    let attributes = vec![
        padding(op.options.byte(0)?)?,
        Attribute::ints("strides", pair(op, 1, 0)?),
        Attribute::ints("dilations", dilations),
        Attribute::int("group", i64::try_from(groups).unwrap_or(i64::MAX)),
    ];
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let sum = b.step("Conv", &inputs, attributes);
    let last = transposed(b, &sum, &CHANNELS_LAST);
    finish(b, op, last, activation)
}

/// Input 0 is the shape of the result, 1 the weights `[output, height, width, channel]`, 2 the
/// pictures.
pub(super) fn transpose_conv(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let (weights, input) = (op.input(1)?, op.input(2)?);
    let sizes = b.constants(op.input(0)?)?;
    let strides = pair(op, 1, 0)?;
    let (mut begins, mut ends, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for axis in [1, 2] {
        let size = |shape: &[usize]| shape.get(axis).and_then(|&d| i64::try_from(d).ok());
        let input = size(&b.tensor(input)?.shape);
        let kernel = size(&b.tensor(weights)?.shape);
        let stride = strides.get(axis - 1);
        let all = input.zip(kernel).zip(stride).zip(sizes.get(axis));
        let (((input, kernel), stride), output) = all.ok_or("its shapes do not fit")?;
        let whole = input.checked_sub(1).and_then(|i| i.checked_mul(*stride));
        let cut = whole.and_then(|w| w.checked_add(kernel)?.checked_sub(*output));
        let cut = cut.filter(|cut| -*stride < *cut && *cut <= kernel);
        let cut = cut.ok_or_else(|| format!("its output shape {sizes:?} does not fit"))?;
        if op.options.byte(0)? == 1 && cut > 0 {
            return Err("its output is smaller than its padding VALID makes it".into());
        }
        begins.push(cut.max(0) / 2);
        ends.push(cut.max(0) - cut.max(0) / 2);
        extra.push((-cut).max(0));
    }
    padding(op.options.byte(0)?)?;
    let floats = !is_quantized(b.tensor(input)?)?;
    let kernel = b.weights(weights, &[3, 0, 1, 2], floats)?;
    let real = b.real(input)?;
    let mut inputs = vec![transposed(b, &real, &CHANNELS_FIRST), kernel];
    if let Some(bias) = op.optional(3) {
        inputs.push(b.bias(bias, input, weights)?);
    }
    let pads = begins.into_iter().chain(ends).collect();
    let attributes = vec![
        Attribute::ints("strides", strides),
        Attribute::ints("pads", pads),
        Attribute::ints("output_padding", extra),
    ];
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let sum = b.step("ConvTranspose", &inputs, attributes);
    let last = transposed(b, &sum, &CHANNELS_LAST);
    finish(b, op, last, op.options.byte(3)?)
}

/// Rows of the last axes times weights `[output, channel]`.
pub(super) fn fully_connected(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let (input, weights) = (op.input(0)?, op.input(1)?);
    if op.options.byte(1)? != 0 {
        return Err("its weights are shuffled".into());
    }
    let shape = &b.tensor(weights)?.shape;
    let depth = shape.get(1).and_then(|&d| i64::try_from(d).ok()).unwrap_or(0);
    let floats = !is_quantized(b.tensor(input)?)?;
    let kernel = b.weights(weights, &[0, 1], floats)?;
    let real = b.real(input)?;
    let rows = b.numbers(&[-1, depth])?;
    let mut inputs = vec![b.step("Reshape", &[&real, &rows], Vec::new()), kernel];
    if let Some(bias) = op.optional(2) {
        inputs.push(b.bias(bias, input, weights)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let mut sum = b.step("Gemm", &inputs, vec![Attribute::int("transB", 1)]);
    if op.options.flag(2)? {
        let shape = &b.tensor(op.output()?)?.shape;
        let shape: Vec<i64> = shape.iter().filter_map(|&d| i64::try_from(d).ok()).collect();
        let shape = b.numbers(&shape)?;
        sum = b.step("Reshape", &[&sum, &shape], Vec::new());
    }
    finish(b, op, sum, op.options.byte(0)?)
}

pub(super) fn batch_matmul(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let mut sides = Vec::new();
    for side in 0..2 {
        let tensor = op.input(side)?;
        let rank = i64::try_from(b.tensor(tensor)?.shape.len()).unwrap_or(0);
        let mut real = b.real(tensor)?;
        if op.options.flag(side)? {
            let mut perm: Vec<i64> = (0..rank).collect();
            let last = perm.len().checked_sub(2).ok_or("it has a vector")?;
            perm.swap(last, last + 1);
            real = transposed(b, &real, &perm);
        }
        sides.push(real);
    }
    let sides: Vec<&str> = sides.iter().map(String::as_str).collect();
    b.set_by(op.output()?, "MatMul", &sides, Vec::new())
}
