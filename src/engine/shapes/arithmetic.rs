//! Elementwise operators, and their values where these are small integers.

use super::{Known, MAX_KNOWN_VALUES, Values, broadcast};
use crate::engine::graph::{ElementType, Node};

/// The integers that an operator of one input makes; none if they are unknown.
pub(super) fn unary(node: &Node, input: &Known) -> Option<Vec<i64>> {
    let integers = input.integers.as_deref()?;
    match node.op.as_str() {
        "Identity" => Some(integers.to_vec()),
        "Not" => Some(integers.iter().map(|&x| i64::from(x == 0)).collect()),
        "Neg" => integers.iter().map(|x| x.checked_neg()).collect(),
        "Abs" => integers.iter().map(|x| x.checked_abs()).collect(),
        "Cast" => {
            let to = ElementType::from_code(i32::try_from(node.int("to")?).ok()?);
            cast(integers, to)
        }
        _ => None,
    }
}

/// The values as integers of another type; none if one does not fit, or for other types.
fn cast(integers: &[i64], to: ElementType) -> Option<Vec<i64>> {
    use crate::tensor::Dtype;
    let fits = |min: i64, max: i64| integers.iter().all(|x| (min..=max).contains(x));
    match to.dtype().ok()? {
        Dtype::I64 => Some(integers.to_vec()),
        Dtype::I32 => fits(i32::MIN.into(), i32::MAX.into()).then(|| integers.to_vec()),
        Dtype::Bool => Some(integers.iter().map(|&x| i64::from(x != 0)).collect()),
        _ => None,
    }
}

/// An operator that broadcasts its inputs.
///
/// # Errors
/// Inputs that do not broadcast.
pub(super) fn broadcasting(node: &Node, values: &Values<'_>) -> Result<Option<Known>, String> {
    let inputs = node.inputs.iter().map(|name| values.get(name));
    let Some(inputs) = inputs.collect::<Option<Vec<_>>>() else { return Ok(None) };
    let shapes = inputs.iter().map(|known| known.shape.as_deref()).collect::<Option<Vec<_>>>();
    let Some(shapes) = shapes else { return Ok(None) };
    let shape = broadcast(&shapes)?;
    let integers = computed(node, &inputs, &shape);
    Ok(Some(Known { integers, ..Known::shaped(shape) }))
}

/// The elements of the result; none if an input is not known, or the result does not fit.
fn computed(node: &Node, inputs: &[&Known], shape: &[usize]) -> Option<Vec<i64>> {
    let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    if size > MAX_KNOWN_VALUES || inputs.len() > 16 {
        return None;
    }
    let expanded =
        |known: &&Known| expand(known.integers.as_deref()?, known.shape.as_ref()?, shape);
    let inputs: Vec<Vec<i64>> = inputs.iter().map(expanded).collect::<Option<_>>()?;
    let element = |at: usize| {
        let at: Option<Vec<i64>> = inputs.iter().map(|input| input.get(at).copied()).collect();
        apply(&node.op, &at?)
    };
    (0..size).map(element).collect()
}

fn apply(op: &str, inputs: &[i64]) -> Option<i64> {
    if let [test, yes, no] = inputs
        && op == "Where"
    {
        return Some(if *test == 0 { *no } else { *yes });
    }
    let (&first, rest) = inputs.split_first()?;
    match op {
        "Max" => return Some(rest.iter().fold(first, |a, &b| a.max(b))),
        "Min" => return Some(rest.iter().fold(first, |a, &b| a.min(b))),
        _ => {}
    }
    let &[b] = rest else { return None };
    calculate(op, first, b).filter(|value| i32::try_from(*value).is_ok())
}

/// The result of two integers. Results beyond 32 bits are left out by the caller, because the type
/// may be narrower than 64 bits.
fn calculate(op: &str, a: i64, b: i64) -> Option<i64> {
    match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        // Quotients of integers round towards zero.
        "Div" => a.checked_div(b),
        "Equal" => Some(i64::from(a == b)),
        "Less" => Some(i64::from(a < b)),
        "LessOrEqual" => Some(i64::from(a <= b)),
        "Greater" => Some(i64::from(a > b)),
        "GreaterOrEqual" => Some(i64::from(a >= b)),
        "And" => Some(i64::from(a != 0 && b != 0)),
        "Or" => Some(i64::from(a != 0 || b != 0)),
        "Xor" => Some(i64::from((a != 0) != (b != 0))),
        _ => None,
    }
}

/// The elements of a tensor of shape `from`, broadcast to the shape `to`.
fn expand(values: &[i64], from: &[usize], to: &[usize]) -> Option<Vec<i64>> {
    let size = to.iter().product::<usize>();
    let skip = to.len().checked_sub(from.len())?;
    let element = |flat: usize| {
        let (mut rest, mut at, mut stride) = (flat, 0, 1);
        for axis in (0..to.len()).rev() {
            let size = *to.get(axis)?;
            let place = rest % size.max(1);
            rest /= size.max(1);
            let Some(own) = axis.checked_sub(skip).and_then(|axis| from.get(axis)) else {
                continue;
            };
            at += if *own == 1 { 0 } else { place * stride };
            stride *= own;
        }
        values.get(at).copied()
    };
    (0..size).map(element).collect()
}
