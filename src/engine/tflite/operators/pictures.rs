//! Pools and resizes of pictures.

use super::super::file::Operator;
use super::super::graph_builder::{Converted, GraphBuilder};
use super::layers::{padding, pair};
use super::steps::{CHANNELS_FIRST, CHANNELS_LAST, finish, transposed};
use crate::engine::graph::Attribute;

pub(super) fn pool(b: &mut GraphBuilder<'_>, op: &Operator<'_>, pool: &str) -> Converted {
    let real = b.real(op.input(0)?)?;
    let first = transposed(b, &real, &CHANNELS_FIRST);
    let attributes = vec![
        padding(op.options.byte(0)?)?,
        Attribute::ints("strides", pair(op, 1, 0)?),
        Attribute::ints("kernel_shape", pair(op, 3, 0)?),
    ];
    let result = b.step(pool, &[&first], attributes);
    let last = transposed(b, &result, &CHANNELS_LAST);
    finish(b, op, last, op.options.byte(5)?)
}

pub(super) fn resize(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let input = op.input(0)?;
    let nearest = op.kind != "RESIZE_BILINEAR";
    let first = if nearest { 0 } else { 2 };
    let (aligned, half) = (op.options.flag(first)?, op.options.flag(first + 1)?);
    let coordinates = match (aligned, half) {
        (true, true) => return Err("it aligns corners and centers of pixels".into()),
        (true, false) => "align_corners",
        (false, true) => "half_pixel",
        (false, false) => "asymmetric",
    };
    let size = |axis: usize, shape: &[usize]| shape.get(axis).and_then(|&d| i64::try_from(d).ok());
    let shape = &b.tensor(input)?.shape;
    let (batch, channels) =
        size(0, shape).zip(size(3, shape)).ok_or("its input has no channels")?;
    let [height, width] = *b.constants(op.input(1)?)?.as_slice() else {
        return Err("its size is not height and width".into());
    };
    let sizes = b.numbers(&[batch, channels, height, width])?;
    let real = b.real(input)?;
    let first = transposed(b, &real, &CHANNELS_FIRST);
    let mut attributes = vec![
        Attribute::text("coordinate_transformation_mode", coordinates),
        Attribute::text("mode", if nearest { "nearest" } else { "linear" }),
    ];
    if nearest {
        let rounding = if coordinates == "asymmetric" { "floor" } else { "round_prefer_ceil" };
        attributes.push(Attribute::text("nearest_mode", rounding));
    }
    let result = b.step("Resize", &[&first, "", "", &sizes], attributes);
    let last = transposed(b, &result, &CHANNELS_LAST);
    b.set(op.output()?, &last)
}

pub(super) fn depth_and_space(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let size = op.options.int(0, 0)?;
    if size < 1 {
        return Err(format!("its block size is {size}").into());
    }
    let name = if op.kind == "DEPTH_TO_SPACE" { "DepthToSpace" } else { "SpaceToDepth" };
    let real = b.real(op.input(0)?)?;
    let first = transposed(b, &real, &CHANNELS_FIRST);
    let result = b.step(name, &[&first], vec![Attribute::int("blocksize", size.into())]);
    let last = transposed(b, &result, &CHANNELS_LAST);
    b.set(op.output()?, &last)
}
