//! Sums, means, extremes and what is made of them.

use super::super::file::{Kind, Operator};
use super::super::graph_builder::{Converted, GraphBuilder, I32};
use super::steps::finish;
use crate::engine::graph::Attribute;

pub(super) fn reduce(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let name = match op.kind.as_str() {
        "MEAN" => "ReduceMean",
        "SUM" => "ReduceSum",
        "REDUCE_MAX" => "ReduceMax",
        "REDUCE_MIN" => "ReduceMin",
        _ => "ReduceProd",
    };
    let axes = b.constants(op.input(1)?)?;
    if axes.is_empty() {
        return Err("it has no axes".into());
    }
    let real = b.real(op.input(0)?)?;
    let keep = Attribute::int("keepdims", op.options.flag(0)?.into());
    if name == "ReduceSum" {
        let axes = b.numbers(&axes)?;
        return b.set_by(op.output()?, name, &[&real, &axes], vec![keep]);
    }
    b.set_by(op.output()?, name, &[&real], vec![keep, Attribute::ints("axes", axes)])
}

pub(super) fn arg(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let name = if op.kind == "ARG_MAX" { "ArgMax" } else { "ArgMin" };
    let [axis] = *b.constants(op.input(1)?)?.as_slice() else {
        return Err("its axis is not one number".into());
    };
    let (real, output) = (b.real(op.input(0)?)?, op.output()?);
    let attributes = vec![Attribute::int("axis", axis), Attribute::int("keepdims", 0)];
    match b.tensor(output)?.kind {
        Kind::I64 => b.set_by(output, name, &[&real], attributes),
        Kind::I32 => {
            let wide = b.step(name, &[&real], attributes);
            let to = Attribute::int("to", I32.code().into());
            b.set_by(output, "Cast", &[&wide], vec![to])
        }
        _ => Err("its result is not of 32-bit or 64-bit integers".into()),
    }
}

pub(super) fn softmax(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let mut real = b.real(op.input(0)?)?;
    let axis = vec![Attribute::int("axis", -1)];
    if op.kind == "LOG_SOFTMAX" {
        return b.set_by(op.output()?, "LogSoftmax", &[&real], axis);
    }
    let beta = op.options.float(0, 0.0)?;
    if !(beta.is_finite() && beta > 0.0) {
        return Err(format!("its beta is {beta}").into());
    }
    if beta.to_bits() != 1.0_f32.to_bits() {
        let beta = b.scalar(beta)?;
        real = b.step("Mul", &[&real, &beta], Vec::new());
    }
    b.set_by(op.output()?, "Softmax", &[&real], axis)
}

/// Rows of the last axis divided by their length, which is at least 1e-6.
pub(super) fn l2_normalization(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let real = b.real(op.input(0)?)?;
    let attributes = vec![Attribute::ints("axes", vec![-1]), Attribute::int("keepdims", 1)];
    let length = b.step("ReduceL2", &[&real], attributes);
    let least = b.scalar(1e-6)?;
    let length = b.step("Max", &[&length, &least], Vec::new());
    let value = b.step("Div", &[&real, &length], Vec::new());
    finish(b, op, value, op.options.byte(0)?)
}

pub(super) fn cumulative_sum(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let (real, axis) = (b.real(op.input(0)?)?, b.stored(op.input(1)?)?);
    let attributes = vec![
        Attribute::int("exclusive", op.options.flag(0)?.into()),
        Attribute::int("reverse", op.options.flag(1)?.into()),
    ];
    b.set_by(op.output()?, "CumSum", &[&real, &axis], attributes)
}
