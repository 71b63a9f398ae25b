//! The rule for each operator.

use super::{Known, Values, arithmetic, broadcast, misfit, movement, resize, windows};
use crate::engine::graph::Node;

/// What is known of each result of a node.
///
/// # Errors
/// Inputs that do not fit each other.
pub(super) fn results(opset: i64, node: &Node, values: &Values<'_>) -> Result<Vec<Known>, String> {
    let result = match node.op.as_str() {
        op if KEEPS_SHAPE.contains(&op) => return Ok(first_kept(node, values)),
        op if broadcasts(op) => arithmetic::broadcasting(node, values)?,
        "QLinearAdd" | "QLinearMul" => shapes(node, values, &[0, 3])
            .map(|shapes| broadcast(&shapes))
            .transpose()?
            .map(Known::shaped),
        "MatMul" | "MatMulInteger" | "FusedMatMul" => product(node, values, 0, 1)?,
        "QLinearMatMul" => product(node, values, 0, 3)?,
        "Gemm" => gemm(node, values, 0, 1),
        "QGemm" => gemm(node, values, 0, 3),
        "Conv" | "ConvInteger" => windows::convolution(node, values, 0, 1),
        "QLinearConv" => windows::convolution(node, values, 0, 3),
        "ConvTranspose" => windows::transposed(node, values),
        "AveragePool" | "MaxPool" | "QLinearAveragePool" | "LpPool" => {
            return Ok(windows::pool(node, values));
        }
        "GlobalAveragePool" | "GlobalMaxPool" | "QLinearGlobalAveragePool" | "GlobalLpPool" => {
            windows::global_pool(values.shape(node.input(0)))
        }
        "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" | "Concat" | "Slice"
        | "Gather" | "GatherElements" | "Shape" | "Size" => {
            return movement::results(node, values);
        }
        "Split" => return Ok(movement::split(node, values)),
        "Pad" | "Tile" | "Expand" | "ConstantOfShape" | "Range" | "OneHot" | "Resize"
        | "DepthToSpace" | "SpaceToDepth" | "HannWindow" | "HammingWindow" | "BlackmanWindow"
        | "MelWeightMatrix" => resize::result(opset, node, values)?,
        "ArgMax" | "ArgMin" => reduced(node, values, Some(vec![node.int("axis").unwrap_or(0)])),
        op if op.starts_with("Reduce") => {
            let axes = node.ints("axes").map(<[i64]>::to_vec);
            let axes = axes.or_else(|| values.integers(node.input(1)).map(<[i64]>::to_vec));
            let computed = !node.input(1).is_empty() && axes.is_none();
            if computed { None } else { reduced(node, values, axes) }
        }
        "LSTM" | "GRU" | "RNN" => return Ok(recurrent(node, values)),
        "TopK" => return Ok(top(node, values)),
        _ => None,
    };
    Ok(vec![result.unwrap_or_default()])
}

/// Operators whose first result has the shape of their first input.
const KEEPS_SHAPE: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "BiasGelu",
    "BitwiseNot",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "DequantizeLinear",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
    "Erf",
    "Exp",
    "EyeLike",
    "FastGelu",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "Not",
    "PRelu",
    "QLinearLeakyRelu",
    "QLinearSigmoid",
    "QLinearSoftmax",
    "QuantizeLinear",
    "QuickGelu",
    "RMSNormalization",
    "Reciprocal",
    "Relu",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
];

/// Operators whose result has the shape that all inputs broadcast to.
fn broadcasts(op: &str) -> bool {
    matches!(
        op,
        "Add"
            | "And"
            | "BitShift"
            | "BitwiseAnd"
            | "BitwiseOr"
            | "BitwiseXor"
            | "Div"
            | "Equal"
            | "Greater"
            | "GreaterOrEqual"
            | "Less"
            | "LessOrEqual"
            | "Max"
            | "Mean"
            | "Min"
            | "Mod"
            | "Mul"
            | "Or"
            | "Pow"
            | "Sub"
            | "Sum"
            | "Where"
            | "Xor"
    )
}

fn first_kept(node: &Node, values: &Values<'_>) -> Vec<Known> {
    let Some(input) = values.get(node.input(0)) else { return Vec::new() };
    let shape = input.shape.clone();
    let integers = arithmetic::unary(node, input);
    let mut results = vec![Known { shape: shape.clone(), integers, reals: None }];
    // The scale and zero point, or the mask.
    match node.op.as_str() {
        "DynamicQuantizeLinear" => results.resize(3, Known::shaped(Vec::new())),
        "Dropout" => results.push(Known { shape, ..Known::default() }),
        _ => {}
    }
    results
}

/// The shapes of some inputs, if all are known.
fn shapes<'v>(node: &Node, values: &'v Values<'_>, inputs: &[usize]) -> Option<Vec<&'v [usize]>> {
    inputs.iter().map(|&i| values.shape(node.input(i))).collect()
}

/// The product of two matrices or of two stacks of them.
fn product(
    node: &Node,
    values: &Values<'_>,
    left: usize,
    right: usize,
) -> Result<Option<Known>, String> {
    let Some(shapes) = shapes(node, values, &[left, right]) else { return Ok(None) };
    let [a, b] = shapes.as_slice() else { return Ok(None) };
    if node.op == "FusedMatMul" || a.is_empty() || b.is_empty() {
        return Ok(None);
    }
    let (a_rows, depth) = match a {
        [depth] => (None, *depth),
        [.., rows, depth] => (Some(*rows), *depth),
        [] => return Ok(None),
    };
    let (b_depth, columns) = match b {
        [depth] => (*depth, None),
        [.., depth, columns] => (*depth, Some(*columns)),
        [] => return Ok(None),
    };
    if depth != b_depth {
        return Err(misfit(&format!("{a:?} and {b:?}")));
    }
    let stack = |shape: &[usize]| shape.get(..shape.len().saturating_sub(2)).map(<[usize]>::to_vec);
    let (a, b) = (stack(a).unwrap_or_default(), stack(b).unwrap_or_default());
    let mut shape = broadcast(&[&a, &b])?;
    shape.extend(a_rows.into_iter().chain(columns));
    Ok(Some(Known::shaped(shape)))
}

fn gemm(node: &Node, values: &Values<'_>, left: usize, right: usize) -> Option<Known> {
    let axis = |input: usize, transposed: &str, axis: usize| {
        let swapped = node.int(transposed).unwrap_or(0) != 0;
        match values.shape(node.input(input))? {
            [a, b] => Some(if (axis == 0) == swapped { *b } else { *a }),
            _ => None,
        }
    };
    Some(Known::shaped(vec![axis(left, "transA", 0)?, axis(right, "transB", 1)?]))
}

/// Reduces `axes`, or all if they are none.
fn reduced(node: &Node, values: &Values<'_>, axes: Option<Vec<i64>>) -> Option<Known> {
    let shape = values.shape(node.input(0))?;
    let keeps = node.int("keepdims").unwrap_or(1) != 0;
    let axes = match axes {
        Some(axes) if !axes.is_empty() => movement::axes(&axes, shape.len())?,
        _ if node.int("noop_with_empty_axes").unwrap_or(0) != 0 => Vec::new(),
        _ => (0..shape.len()).collect(),
    };
    let size = |(axis, &size): (usize, &usize)| match axes.contains(&axis) {
        true => keeps.then_some(1),
        false => Some(size),
    };
    Some(Known::shaped(shape.iter().enumerate().filter_map(size).collect()))
}

fn recurrent(node: &Node, values: &Values<'_>) -> Vec<Known> {
    let shapes = || {
        let &[first, second, _] = values.shape(node.input(0))? else { return None };
        let &[directions, _, hidden] = values.shape(node.input(2))? else { return None };
        let by_batch = node.int("layout").unwrap_or(0) != 0;
        let (all, last) = if by_batch {
            (vec![first, second, directions, hidden], vec![first, directions, hidden])
        } else {
            (vec![first, directions, second, hidden], vec![directions, second, hidden])
        };
        Some(vec![Known::shaped(all), Known::shaped(last.clone()), Known::shaped(last)])
    };
    shapes().unwrap_or_default()
}

fn top(node: &Node, values: &Values<'_>) -> Vec<Known> {
    let shape = || {
        let mut shape = values.shape(node.input(0))?.to_vec();
        let count = usize::try_from(values.integer(node.input(1))?).ok()?;
        let axis = movement::axis(node.int("axis").unwrap_or(-1), shape.len())?;
        *shape.get_mut(axis)? = count;
        Some(Known::shaped(shape))
    };
    shape().map(|known| vec![known.clone(), known]).unwrap_or_default()
}
