//! Operators that move elements.

use super::super::file::Operator;
use super::super::graph_builder::{Converted, GraphBuilder};
use crate::engine::graph::{Attribute, ElementType};

/// Converts an operator of this kind. False for others.
pub(super) fn convert(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted<bool> {
    match op.kind.as_str() {
        "RESHAPE" => reshape(b, op)?,
        "SQUEEZE" => squeeze(b, op)?,
        "EXPAND_DIMS" => {
            let axes = b.constants(op.input(1)?)?;
            let (real, axes) = (b.real(op.input(0)?)?, b.numbers(&axes)?);
            b.set_by(op.output()?, "Unsqueeze", &[&real, &axes], Vec::new())?;
        }
        "TRANSPOSE" => {
            let perm = Attribute::ints("perm", b.constants(op.input(1)?)?);
            let real = b.real(op.input(0)?)?;
            b.set_by(op.output()?, "Transpose", &[&real], vec![perm])?;
        }
        "CONCATENATION" => {
            let axis = op.options.int(0, 0)?;
            let parts = (0..op.inputs.len()).map(|i| b.real(op.input(i)?));
            let parts = parts.collect::<Converted<Vec<_>>>()?;
            joined(b, op, &parts, axis, op.options.byte(1)?)?;
        }
        "PACK" => pack(b, op)?,
        "UNPACK" => unpack(b, op)?,
        "SPLIT" | "SPLIT_V" => split(b, op)?,
        "PAD" | "PADV2" | "MIRROR_PAD" => pad(b, op)?,
        "STRIDED_SLICE" => strided_slice(b, op)?,
        "SLICE" => slice(b, op)?,
        "SHAPE" => {
            let stored = b.stored(op.input(0)?)?;
            let shape = b.step("Shape", &[&stored], Vec::new());
            cast_to_output(b, op, &shape)?;
        }
        "GATHER" => {
            if op.options.int(1, 0)? != 0 {
                return Err("it gathers by batch".into());
            }
            let (real, indices) = (b.real(op.input(0)?)?, b.stored(op.input(1)?)?);
            let axis = Attribute::int("axis", op.options.int(0, 0)?.into());
            b.set_by(op.output()?, "Gather", &[&real, &indices], vec![axis])?;
        }
        "TILE" => {
            let repeats = b.constants(op.input(1)?)?;
            let (real, repeats) = (b.real(op.input(0)?)?, b.numbers(&repeats)?);
            b.set_by(op.output()?, "Tile", &[&real, &repeats], Vec::new())?;
        }
        "BROADCAST_TO" => {
            let shape = b.constants(op.input(1)?)?;
            let (real, shape) = (b.real(op.input(0)?)?, b.numbers(&shape)?);
            b.set_by(op.output()?, "Expand", &[&real, &shape], Vec::new())?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn cast_to_output(b: &mut GraphBuilder<'_>, op: &Operator<'_>, value: &str) -> Converted {
    let output = op.output()?;
    let element = super::super::graph_builder::element(b.tensor(output)?.kind)?;
    b.set_by(output, "Cast", &[value], vec![Attribute::int("to", element.code().into())])
}

/// The new shape is an input, which may be computed, or an option.
fn reshape(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let real = b.real(op.input(0)?)?;
    let shape = match op.optional(1) {
        Some(input) if !b.tensor(input)?.data.is_empty() => {
            let shape = b.constants(input)?;
            b.numbers(&shape)?
        }
        Some(input) if b.tensor(input)?.shape == [0] => b.numbers(&[])?,
        Some(input) => {
            let stored = b.stored(input)?;
            let to = Attribute::int("to", ElementType::I64.code().into());
            b.step("Cast", &[&stored], vec![to])
        }
        None => {
            let shape: Vec<i64> = op.options.ints(0)?.map(i64::from).collect();
            b.numbers(&shape)?
        }
    };
    // A 0 is an empty axis here, not one that is kept.
    b.set_by(op.output()?, "Reshape", &[&real, &shape], vec![Attribute::int("allowzero", 1)])
}

fn squeeze(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let axes: Vec<i64> = op.options.ints(0)?.map(i64::from).collect();
    let mut inputs = vec![b.real(op.input(0)?)?];
    if !axes.is_empty() {
        inputs.push(b.numbers(&axes)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    b.set_by(op.output()?, "Squeeze", &inputs, Vec::new())
}

fn joined(
    b: &mut GraphBuilder<'_>,
    op: &Operator<'_>,
    parts: &[String],
    axis: i32,
    activation: u8,
) -> Converted {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let value = b.step("Concat", &parts, vec![Attribute::int("axis", axis.into())]);
    super::steps::finish(b, op, value, activation)
}

fn pack(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let axis = op.options.int(1, 0)?;
    let mut parts = Vec::new();
    for i in 0..op.inputs.len() {
        let (real, axes) = (b.real(op.input(i)?)?, b.numbers(&[axis.into()])?);
        parts.push(b.step("Unsqueeze", &[&real, &axes], Vec::new()));
    }
    joined(b, op, &parts, axis, 0)
}

fn unpack(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let axis = op.options.int(1, 0)?;
    let parts: Vec<String> = op.outputs.iter().map(|_| b.value()).collect();
    let real = b.real(op.input(0)?)?;
    b.push_many("Split", &[&real], parts.clone(), vec![Attribute::int("axis", axis.into())]);
    for (&output, part) in op.outputs.iter().zip(&parts) {
        let axes = b.numbers(&[axis.into()])?;
        b.set_by(output, "Squeeze", &[part, &axes], Vec::new())?;
    }
    Ok(())
}

/// SPLIT reads the axis first, SPLIT_V the sizes second and the axis third.
fn split(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let [tensor, axis] = if op.kind == "SPLIT" { [1, 0] } else { [0, 2] };
    let [axis] = *b.constants(op.input(axis)?)?.as_slice() else {
        return Err("its axis is not one number".into());
    };
    let mut inputs = vec![b.real(op.input(tensor)?)?];
    if op.kind == "SPLIT_V" {
        let sizes = b.constants(op.input(1)?)?;
        if sizes.iter().any(|&size| size < 0) {
            return Err("a size of it is left open".into());
        }
        inputs.push(b.numbers(&sizes)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let parts = op.outputs.iter().map(|&o| b.result(o)).collect::<Converted<Vec<_>>>()?;
    b.push_many("Split", &inputs, parts, vec![Attribute::int("axis", axis)]);
    op.outputs.iter().try_for_each(|&o| b.complete(o))
}

fn pad(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let pads = b.constants(op.input(1)?)?;
    let (begins, ends) = (pads.iter().step_by(2), pads.iter().skip(1).step_by(2));
    let pads: Vec<i64> = begins.chain(ends).copied().collect();
    let mut inputs = vec![b.real(op.input(0)?)?, b.numbers(&pads)?];
    let mode = match (op.kind.as_str(), op.options.byte(0)?) {
        ("MIRROR_PAD", 0) => "reflect",
        ("MIRROR_PAD", _) => return Err("it mirrors with the edge itself".into()),
        _ => "constant",
    };
    if let Some(value) = op.optional(2).filter(|_| op.kind == "PADV2") {
        inputs.push(b.real(value)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    b.set_by(op.output()?, "Pad", &inputs, vec![Attribute::text("mode", mode)])
}

/// Adds a Slice of all axes from the first on, with steps.
fn cut(
    b: &mut GraphBuilder<'_>,
    input: usize,
    [starts, ends, steps]: [&[i64]; 3],
) -> Converted<String> {
    let axes: Vec<i64> = (0..).take(starts.len()).collect();
    let real = b.real(input)?;
    let [starts, ends] = [b.numbers(starts)?, b.numbers(ends)?];
    let [axes, steps] = [b.numbers(&axes)?, b.numbers(steps)?];
    Ok(b.step("Slice", &[&real, &starts, &ends, &axes, &steps], Vec::new()))
}

/// Bit `i` of a mask is for axis `i`.
fn strided_slice(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let [begin_mask, end_mask, ellipsis, new, shrink] = {
        let mask = |field| op.options.int(field, 0);
        [mask(0)?, mask(1)?, mask(2)?, mask(3)?, mask(4)?]
    };
    if ellipsis != 0 || new != 0 || op.options.flag(5)? {
        return Err("it has an ellipsis, a new axis or an offset".into());
    }
    let mut starts = b.constants(op.input(1)?)?;
    let mut ends = b.constants(op.input(2)?)?;
    let mut steps = b.constants(op.input(3)?)?;
    let has = |mask: i32, axis: usize| axis < 32 && mask & (1 << axis) != 0;
    let mut gone = Vec::new();
    let bounds = starts.iter_mut().zip(&mut ends).zip(&mut steps);
    for (axis, ((start, end), step)) in bounds.enumerate() {
        if has(shrink, axis) {
            // The last element is followed by the end, whose number is not 0.
            *end = if *start == -1 { i64::MAX } else { start.saturating_add(1) };
            *step = 1;
            gone.push(i64::try_from(axis).unwrap_or(0));
            continue;
        }
        if has(begin_mask, axis) {
            *start = if *step < 0 { i64::MAX } else { 0 };
        }
        if has(end_mask, axis) {
            *end = if *step < 0 { i64::MIN } else { i64::MAX };
        }
    }
    let part = cut(b, op.input(0)?, [&starts, &ends, &steps])?;
    if gone.is_empty() {
        return b.set(op.output()?, &part);
    }
    let axes = b.numbers(&gone)?;
    b.set_by(op.output()?, "Squeeze", &[&part, &axes], Vec::new())
}

/// A size of -1 takes the rest of the axis.
fn slice(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let starts = b.constants(op.input(1)?)?;
    let sizes = b.constants(op.input(2)?)?;
    if starts.len() != sizes.len() || starts.iter().any(|&start| start < 0) {
        return Err("its bounds do not fit each other".into());
    }
    let end = |(&start, &size): (&i64, &i64)| match size {
        -1 => i64::MAX,
        size => start.saturating_add(size),
    };
    let ends: Vec<i64> = starts.iter().zip(&sizes).map(end).collect();
    let part = cut(b, op.input(0)?, [&starts, &ends, &vec![1; starts.len()]])?;
    b.set(op.output()?, &part)
}
