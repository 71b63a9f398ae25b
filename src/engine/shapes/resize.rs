//! Operators whose results can be far larger than their inputs.

use super::{Known, MAX_COMPUTED_ELEMENTS, MAX_KNOWN_VALUES, Values, broadcast, movement};
use crate::engine::graph::Node;

/// What is known of the result.
///
/// # Errors
/// Sizes that are negative or do not fit the input.
pub(super) fn result(
    opset: i64,
    node: &Node,
    values: &Values<'_>,
) -> Result<Option<Known>, String> {
    let shape = values.shape(node.input(0));
    let known = match node.op.as_str() {
        "Pad" => padded(opset, node, values),
        "Tile" => tiled(node, values),
        "Expand" => {
            let (Some(shape), Some(to)) = (shape, values.integers(node.input(1))) else {
                return Ok(None);
            };
            Some(Known::shaped(broadcast(&[shape, &counts(to)?])?))
        }
        "ConstantOfShape" => return filled(node, values),
        "Range" => range(node, values),
        "OneHot" => one_hot(node, values),
        "Resize" => resized(opset, node, values),
        "DepthToSpace" => blocks(node, shape, true),
        "SpaceToDepth" => blocks(node, shape, false),
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => {
            let Some(size) = values.integers(node.input(0)) else { return Ok(None) };
            Some(Known::shaped(counts(size)?))
        }
        _ => mel_weights(node, values),
    };
    Ok(known)
}

fn counts(sizes: &[i64]) -> Result<Vec<usize>, String> {
    let all: Option<_> = sizes.iter().map(|&size| count(size)).collect();
    all.ok_or_else(|| format!("it makes a tensor of the sizes {sizes:?}"))
}

fn padded(opset: i64, node: &Node, values: &Values<'_>) -> Option<Known> {
    let mut shape = values.shape(node.input(0))?.to_vec();
    let pads = if opset < 11 { node.ints("pads")? } else { values.integers(node.input(1))? };
    let axes = match node.input(3) {
        "" => (0..shape.len()).collect(),
        name => {
            let axes = values.integers(name)?;
            axes.iter().map(|&a| movement::axis(a, shape.len())).collect::<Option<Vec<_>>>()?
        }
    };
    for (i, &axis) in axes.iter().enumerate() {
        let size = shape.get_mut(axis)?;
        let wide = i64::try_from(*size).ok()?;
        let wide = wide.checked_add(*pads.get(i)?)?.checked_add(*pads.get(i + axes.len())?)?;
        *size = count(wide)?;
    }
    Some(Known::shaped(shape))
}

fn tiled(node: &Node, values: &Values<'_>) -> Option<Known> {
    let shape = values.shape(node.input(0))?;
    let repeats = values.integers(node.input(1))?;
    if shape.len() != repeats.len() {
        return None;
    }
    let size = |(&size, &times): (&usize, &i64)| Some(size.saturating_mul(count(times)?));
    shape.iter().zip(repeats).map(size).collect::<Option<_>>().map(Known::shaped)
}

fn filled(node: &Node, values: &Values<'_>) -> Result<Option<Known>, String> {
    let Some(sizes) = values.integers(node.input(0)) else { return Ok(None) };
    let shape = counts(sizes)?;
    let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let small = size.filter(|&size| size <= MAX_KNOWN_VALUES);
    let value = node.tensor("value").map(Known::of_constant);
    let value = value.and_then(|known| known.integers).and_then(|values| values.first().copied());
    let integers = small.zip(value).map(|(size, value)| vec![value; size]);
    Ok(Some(Known { integers, ..Known::shaped(shape) }))
}

/// `max(ceil((limit - start) / delta), 0)` elements.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of elements, which saturates and is bounded"
)]
fn range(node: &Node, values: &Values<'_>) -> Option<Known> {
    let integers = || -> Option<[i64; 3]> {
        let at = |i| values.integer(node.input(i));
        Some([at(0)?, at(1)?, at(2)?])
    };
    if let Some([start, limit, delta]) = integers() {
        let count = ((limit as f64 - start as f64) / delta as f64).ceil().max(0.0) as usize;
        let value = |i: usize| start.checked_add(delta.checked_mul(i64::try_from(i).ok()?)?);
        let small = count <= MAX_KNOWN_VALUES;
        let integers = if small { (0..count).map(value).collect() } else { None };
        return Some(Known { integers, ..Known::shaped(vec![count]) });
    }
    let real = |i| match values.get(node.input(i))?.reals.as_deref()? {
        [value] => Some(*value),
        _ => None,
    };
    let count = (real(1)? - real(0)?) / real(2)?;
    Some(Known::shaped(vec![count.ceil().max(0.0) as usize]))
}

fn one_hot(node: &Node, values: &Values<'_>) -> Option<Known> {
    let mut shape = values.shape(node.input(0))?.to_vec();
    let depth = count(values.integer(node.input(1))?)?;
    let at = movement::axis(node.int("axis").unwrap_or(-1), shape.len() + 1)?;
    shape.insert(at.min(shape.len()), depth);
    Some(Known::shaped(shape))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a number of elements, which saturates and is bounded"
)]
fn resized(opset: i64, node: &Node, values: &Values<'_>) -> Option<Known> {
    let mut shape = values.shape(node.input(0))?.to_vec();
    let axes = match node.ints("axes") {
        Some(axes) => {
            axes.iter().map(|&a| movement::axis(a, shape.len())).collect::<Option<Vec<_>>>()?
        }
        None => (0..shape.len()).collect(),
    };
    if node.text("keep_aspect_ratio_policy").is_some_and(|policy| policy != "stretch") {
        return None;
    }
    let (scales, sizes) = if opset < 11 { (1, usize::MAX) } else { (2, 3) };
    let given = |i: usize| Some(node.input(i)).filter(|name| !name.is_empty());
    if let Some(sizes) = given(sizes).and_then(|name| values.integers(name)) {
        for (&axis, &size) in axes.iter().zip(sizes) {
            *shape.get_mut(axis)? = count(size)?;
        }
        return Some(Known::shaped(shape));
    }
    let scales = values.get(given(scales)?)?.reals.as_deref()?;
    if scales.len() != axes.len() {
        return None;
    }
    for (&axis, &scale) in axes.iter().zip(scales) {
        let size = shape.get_mut(axis)?;
        let exact = (*size as f64 * scale).floor().max(0.0) as usize;
        let single = (*size as f32 * scale as f32).floor().max(0.0) as usize;
        // Rounding decides which size it is; both are within the bounds or neither is.
        if exact != single && exact < MAX_COMPUTED_ELEMENTS {
            return None;
        }
        *size = exact;
    }
    Some(Known::shaped(shape))
}

fn blocks(node: &Node, shape: Option<&[usize]>, to_space: bool) -> Option<Known> {
    let &[batch, channels, height, width] = shape? else { return None };
    let block = usize::try_from(node.int("blocksize")?).ok().filter(|&block| block > 0)?;
    let area = block.checked_mul(block)?;
    Some(Known::shaped(if to_space {
        vec![batch, channels / area, height.checked_mul(block)?, width.checked_mul(block)?]
    } else {
        vec![batch, channels.checked_mul(area)?, height / block, width / block]
    }))
}

fn mel_weights(node: &Node, values: &Values<'_>) -> Option<Known> {
    let count = |i| count(values.integer(node.input(i))?);
    Some(Known::shaped(vec![count(1)? / 2 + 1, count(0)?]))
}

/// A number of elements. One that this processor cannot count is beyond every bound all the same.
fn count(number: i64) -> Option<usize> {
    (number >= 0).then(|| usize::try_from(number).unwrap_or(usize::MAX))
}
