//! Operators that work element by element.

use super::super::file::Operator;
use super::super::graph_builder::{Converted, GraphBuilder, element, is_quantized};
use super::steps::{clipped, finish};
use crate::engine::graph::Attribute;

/// Converts an operator of this kind. False for others.
pub(super) fn convert(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted<bool> {
    let arithmetic = |name| (name, op.options.byte(0));
    let (name, activation) = match op.kind.as_str() {
        "ADD" => arithmetic("Add"),
        "SUB" => arithmetic("Sub"),
        "MUL" => arithmetic("Mul"),
        "DIV" => arithmetic("Div"),
        kind => match binary(kind) {
            Some(name) => (name, Ok(0)),
            None => return unary(b, op),
        },
    };
    let activation = activation?;
    let (left, right) = (b.real(op.input(0)?)?, b.real(op.input(1)?)?);
    let value = b.step(name, &[&left, &right], Vec::new());
    finish(b, op, value, activation)?;
    Ok(true)
}

/// Operators of two tensors without options.
fn binary(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "MAXIMUM" => "Max",
        "MINIMUM" => "Min",
        "POW" => "Pow",
        "PRELU" => "PRelu",
        "LESS" => "Less",
        "LESS_EQUAL" => "LessOrEqual",
        "GREATER" => "Greater",
        "GREATER_EQUAL" => "GreaterOrEqual",
        "EQUAL" => "Equal",
        "LOGICAL_AND" => "And",
        "LOGICAL_OR" => "Or",
        _ => return None,
    })
}

/// Operators of one tensor that are one ONNX operator without attributes.
fn simple(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "RELU" => "Relu",
        "LOGISTIC" => "Sigmoid",
        "TANH" => "Tanh",
        "HARD_SWISH" => "HardSwish",
        "ELU" => "Elu",
        "ABS" => "Abs",
        "NEG" => "Neg",
        "EXP" => "Exp",
        "LOG" => "Log",
        "SQRT" => "Sqrt",
        "SIN" => "Sin",
        "COS" => "Cos",
        "FLOOR" => "Floor",
        "CEIL" => "Ceil",
        "ROUND" => "Round",
        "SIGN" => "Sign",
        "LOGICAL_NOT" => "Not",
        "QUANTIZE" | "DEQUANTIZE" => "Identity",
        _ => return None,
    })
}

fn unary(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted<bool> {
    let output = op.output()?;
    let kind = op.kind.as_str();
    if kind == "DEQUANTIZE" && dequantizes_constant(b, op)? {
        return Ok(true);
    }
    if let Some(name) = simple(kind) {
        let real = b.real(op.input(0)?)?;
        b.set_by(output, name, &[&real], Vec::new())?;
        return Ok(true);
    }
    let bounds = match kind {
        "RELU6" => Some((0.0, 6.0)),
        "RELU_N1_TO_1" => Some((-1.0, 1.0)),
        "RELU_0_TO_1" => Some((0.0, 1.0)),
        _ => None,
    };
    if let Some(bounds) = bounds {
        let real = b.real(op.input(0)?)?;
        let value = clipped(b, &real, bounds)?;
        b.set(output, &value)?;
        return Ok(true);
    }
    composed(b, op)
}

/// Operators with attributes or of several ONNX operators.
fn composed(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted<bool> {
    let output = op.output()?;
    match op.kind.as_str() {
        "LEAKY_RELU" => {
            let real = b.real(op.input(0)?)?;
            let alpha = Attribute::float("alpha", op.options.float(0, 0.0)?);
            b.set_by(output, "LeakyRelu", &[&real], vec![alpha])?;
        }
        "GELU" => {
            let real = b.real(op.input(0)?)?;
            let kind = if op.options.flag(0)? { "tanh" } else { "none" };
            b.set_by(output, "Gelu", &[&real], vec![Attribute::text("approximate", kind)])?;
        }
        "SQUARE" => {
            let real = b.real(op.input(0)?)?;
            b.set_by(output, "Mul", &[&real, &real], Vec::new())?;
        }
        "RSQRT" => {
            let real = b.real(op.input(0)?)?;
            let root = b.step("Sqrt", &[&real], Vec::new());
            b.set_by(output, "Reciprocal", &[&root], Vec::new())?;
        }
        "SQUARED_DIFFERENCE" => {
            let (left, right) = (b.real(op.input(0)?)?, b.real(op.input(1)?)?);
            let difference = b.step("Sub", &[&left, &right], Vec::new());
            b.set_by(output, "Mul", &[&difference, &difference], Vec::new())?;
        }
        "NOT_EQUAL" => {
            let (left, right) = (b.real(op.input(0)?)?, b.real(op.input(1)?)?);
            let equal = b.step("Equal", &[&left, &right], Vec::new());
            b.set_by(output, "Not", &[&equal], Vec::new())?;
        }
        "SELECT" | "SELECT_V2" => {
            let same = b.tensor(op.input(0)?)?.shape == b.tensor(op.input(1)?)?.shape;
            if op.kind == "SELECT" && !same {
                return Err("its condition has another shape than its values".into());
            }
            let condition = b.stored(op.input(0)?)?;
            let (yes, no) = (b.real(op.input(1)?)?, b.real(op.input(2)?)?);
            b.set_by(output, "Where", &[&condition, &yes, &no], Vec::new())?;
        }
        "CAST" => {
            if is_quantized(b.tensor(op.input(0)?)?)? || is_quantized(b.tensor(output)?)? {
                return Err("it casts quantized integers".into());
            }
            let (from, to) = (b.stored(op.input(0)?)?, element(b.tensor(output)?.kind)?);
            let to = Attribute::int("to", to.code().into());
            b.set_by(output, "Cast", &[&from], vec![to])?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Takes a constant of 16-bit floats as it is: the graph is widened later.
fn dequantizes_constant(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted<bool> {
    let (input, output) = (op.input(0)?, op.output()?);
    let tensor = b.tensor(input)?;
    let is_constant = !tensor.data.is_empty() && tensor.kind.is_float();
    if is_constant {
        b.alias(output, input);
    }
    Ok(is_constant)
}
