//! Operators that move elements: their shapes, and the values of small integers.

use super::{Known, MAX_KNOWN_VALUES, Values, misfit};
use crate::engine::graph::Node;

/// The axis that a number means, counted from the end if it is negative.
pub(in crate::engine) fn axis(axis: i64, axes: usize) -> Option<usize> {
    let count = i64::try_from(axes).ok()?;
    let axis = if axis < 0 { axis.checked_add(count)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < axes)
}

/// The axes that numbers mean, sorted; none if one is out of range or there twice.
pub(super) fn axes(numbers: &[i64], count: usize) -> Option<Vec<usize>> {
    let mut all = numbers.iter().map(|&n| axis(n, count)).collect::<Option<Vec<_>>>()?;
    all.sort_unstable();
    let distinct = all.windows(2).all(|pair| pair.first() != pair.last());
    distinct.then_some(all)
}

/// # Errors
/// An axis that the input does not have, or a shape with another number of elements.
pub(super) fn results(node: &Node, values: &Values<'_>) -> Result<Vec<Known>, String> {
    let Some(input) = values.get(node.input(0)) else { return Ok(Vec::new()) };
    let Some(shape) = input.shape.as_deref() else { return Ok(Vec::new()) };
    let result = match node.op.as_str() {
        "Shape" => return Ok(vec![sizes(node, shape)]),
        "Size" => {
            let size = i64::try_from(shape.iter().product::<usize>()).ok();
            size.map(|size| Known::integers(Vec::new(), vec![size]))
        }
        "Transpose" => transposed(node, input, shape)?,
        "Gather" => gathered(node, values, input, shape),
        "GatherElements" => values.shape(node.input(1)).map(|s| Known::shaped(s.to_vec())),
        "Concat" => concatenated(node, values)?,
        "Slice" => sliced(node, values, input, shape),
        _ => {
            let shape = match node.op.as_str() {
                "Reshape" => reshaped(node, values, shape)?,
                "Flatten" => flattened(node, shape),
                "Squeeze" => squeezed(node, values, shape),
                _ => unsqueezed(node, values, shape),
            };
            // The elements stay in order.
            shape.map(|shape| Known { shape: Some(shape), ..input.clone() })
        }
    };
    Ok(vec![result.unwrap_or_default()])
}

fn sizes(node: &Node, shape: &[usize]) -> Known {
    let count = i64::try_from(shape.len()).unwrap_or(i64::MAX);
    let bound = |name, otherwise: i64| {
        let at = node.int(name).unwrap_or(otherwise);
        let at = if at < 0 { at.saturating_add(count) } else { at };
        usize::try_from(at.clamp(0, count)).unwrap_or(0)
    };
    let sizes = shape.get(bound("start", 0)..bound("end", count)).unwrap_or_default();
    let sizes: Vec<i64> = sizes.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
    Known::integers(vec![sizes.len()], sizes)
}

fn transposed(node: &Node, input: &Known, shape: &[usize]) -> Result<Option<Known>, String> {
    let perm = match node.ints("perm") {
        Some(perm) => perm.iter().map(|&axis| usize::try_from(axis).ok()).collect(),
        None => Some((0..shape.len()).rev().collect()),
    };
    let perm: Option<Vec<usize>> = perm;
    let sizes = perm.as_ref().and_then(|perm| {
        perm.iter().map(|&axis| shape.get(axis).copied()).collect::<Option<Vec<_>>>()
    });
    let (Some(perm), Some(sizes)) = (perm, sizes.filter(|sizes| sizes.len() == shape.len())) else {
        let perm = node.ints("perm");
        return Err(format!(
            "its perm {perm:?} is for other axes than those of its input {shape:?}"
        ));
    };
    let from = |at: &[usize]| {
        let mut from = vec![0; at.len()];
        for (&axis, &place) in perm.iter().zip(at) {
            *from.get_mut(axis)? = place;
        }
        Some(from)
    };
    let integers = rearranged(input, shape, &sizes, from);
    Ok(Some(Known { integers, ..Known::shaped(sizes) }))
}

/// The integers of a value of shape `shape` in a value of shape `to`, each from the place that
/// `from` gives for its own.
fn rearranged(
    input: &Known,
    shape: &[usize],
    to: &[usize],
    from: impl Fn(&[usize]) -> Option<Vec<usize>>,
) -> Option<Vec<i64>> {
    let integers = input.integers.as_deref()?;
    let count = to.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    if count > MAX_KNOWN_VALUES {
        return None;
    }
    let element = |flat: usize| {
        let (mut rest, mut at) = (flat, vec![0; to.len()]);
        for (place, &size) in at.iter_mut().zip(to).rev() {
            (*place, rest) = (rest % size, rest / size);
        }
        let places = from(&at)?;
        let flat = places.iter().zip(shape).fold(0, |flat, (&place, &size)| flat * size + place);
        integers.get(flat).copied()
    };
    (0..count).map(element).collect()
}

fn gathered(node: &Node, values: &Values<'_>, input: &Known, shape: &[usize]) -> Option<Known> {
    let index = values.get(node.input(1))?;
    let at = axis(node.int("axis").unwrap_or(0), shape.len())?;
    let chosen = index.shape.as_deref()?;
    let result = [shape.get(..at)?, chosen, shape.get(at + 1..)?].concat();
    let pick = |i: &i64| {
        let all = input.integers.as_deref()?;
        all.get(axis(*i, all.len())?).copied()
    };
    let integers = match (shape, index.integers.as_deref()) {
        ([_], Some(index)) => index.iter().map(pick).collect(),
        _ => None,
    };
    Some(Known { integers, ..Known::shaped(result) })
}

fn concatenated(node: &Node, values: &Values<'_>) -> Result<Option<Known>, String> {
    let parts = node.inputs.iter().map(|name| values.get(name)).collect::<Option<Vec<_>>>();
    let Some(parts) = parts else { return Ok(None) };
    let shapes = parts.iter().map(|p| p.shape.as_deref()).collect::<Option<Vec<_>>>();
    let Some(shapes) = shapes else { return Ok(None) };
    let Some((first, rest)) = shapes.split_first() else { return Ok(None) };
    let Some(at) = axis(node.int("axis").unwrap_or(0), first.len()) else { return Ok(None) };
    let mut result = first.to_vec();
    for shape in rest {
        let same = shape.len() == first.len()
            && shape.iter().zip(*first).enumerate().all(|(i, (a, b))| i == at || a == b);
        if !same {
            return Err(misfit(&format!("{shapes:?} along axis {at}")));
        }
        if let (Some(to), Some(size)) = (result.get_mut(at), shape.get(at)) {
            *to = to.saturating_add(*size);
        }
    }
    let joined = || {
        let all = parts.iter().map(|p| p.integers.as_deref()).collect::<Option<Vec<_>>>()?;
        let all = all.concat();
        (first.len() == 1 && all.len() <= MAX_KNOWN_VALUES).then_some(all)
    };
    Ok(Some(Known { integers: joined(), ..Known::shaped(result) }))
}

/// One axis of a slice: where it starts, its step, and the number of elements.
fn range(size: usize, start: i64, end: i64, step: i64) -> Option<(i64, usize)> {
    let size = i64::try_from(size).ok()?;
    let clamped = |at: i64, min: i64, max: i64| {
        let at = if at < 0 { at.saturating_add(size) } else { at };
        at.clamp(min, max)
    };
    let (start, span) = if step > 0 {
        let start = clamped(start, 0, size);
        (start, clamped(end, 0, size).saturating_sub(start))
    } else {
        let start = clamped(start, 0, size.saturating_sub(1).max(0));
        (start, start.saturating_sub(clamped(end, -1, size.saturating_sub(1).max(0))))
    };
    let step = step.checked_abs().filter(|&step| step > 0)?;
    let count = if size == 0 || span <= 0 { 0 } else { (span - 1) / step + 1 };
    Some((start, usize::try_from(count).ok()?))
}

fn sliced(node: &Node, values: &Values<'_>, input: &Known, shape: &[usize]) -> Option<Known> {
    let given = |name: &str, at: usize| match node.ints(name) {
        Some(list) => Some(Some(list.to_vec())),
        None if node.input(at).is_empty() => Some(None),
        None => values.integers(node.input(at)).map(|list| Some(list.to_vec())),
    };
    let (starts, ends) = (given("starts", 1)??, given("ends", 2)??);
    let all = || (0..starts.len()).map(|i| i64::try_from(i).unwrap_or(0)).collect();
    let on = given("axes", 3)?.unwrap_or_else(all);
    let steps = given("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let mut result = shape.to_vec();
    let mut ranges = vec![(0, 1); shape.len()];
    for (((start, end), on), step) in starts.iter().zip(&ends).zip(&on).zip(&steps) {
        let at = axis(*on, shape.len())?;
        let (first, count) = range(*shape.get(at)?, *start, *end, *step)?;
        *result.get_mut(at)? = count;
        *ranges.get_mut(at)? = (first, *step);
    }
    let from = |at: &[usize]| {
        let place = |(&(first, step), &i): (&(i64, i64), &usize)| {
            let place = step.checked_mul(i64::try_from(i).ok()?)?.checked_add(first)?;
            usize::try_from(place).ok()
        };
        ranges.iter().zip(at).map(place).collect()
    };
    let integers = rearranged(input, shape, &result, from);
    Some(Known { integers, ..Known::shaped(result) })
}

fn reshaped(
    node: &Node,
    values: &Values<'_>,
    shape: &[usize],
) -> Result<Option<Vec<usize>>, String> {
    let Some(wanted) = values.integers(node.input(1)) else { return Ok(None) };
    let total = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let keeps_zero = node.int("allowzero").unwrap_or(0) != 0;
    let misfit = || Err(misfit(&format!("{shape:?} and the sizes {wanted:?}")));
    let (mut result, mut open) = (Vec::new(), None);
    for (at, &size) in wanted.iter().enumerate() {
        let size = match size {
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            0 if !keeps_zero => match shape.get(at) {
                Some(&size) => size,
                None => return misfit(),
            },
            size => match usize::try_from(size) {
                Ok(size) => size,
                Err(_) => return misfit(),
            },
        };
        result.push(size);
    }
    let known = result.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let (Some(total), Some(known)) = (total, known) else { return misfit() };
    if let Some(size) = open.and_then(|at| result.get_mut(at)) {
        // A tensor without elements leaves the open axis undefined.
        if known == 0 {
            return Ok(None);
        }
        *size = total / known;
    }
    let made = result.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if made == Some(total) { Ok(Some(result)) } else { misfit() }
}

fn flattened(node: &Node, shape: &[usize]) -> Option<Vec<usize>> {
    let count = i64::try_from(shape.len()).ok()?;
    let at = node.int("axis").unwrap_or(1);
    let at = usize::try_from(if at < 0 { at.checked_add(count)? } else { at }).ok()?;
    let size = |part: &[usize]| part.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    Some(vec![size(shape.get(..at)?)?, size(shape.get(at..)?)?])
}

/// The axes of a Squeeze or Unsqueeze: an inner none if it names none.
fn named_axes(node: &Node, values: &Values<'_>) -> Option<Option<Vec<i64>>> {
    match node.ints("axes") {
        Some(axes) => Some(Some(axes.to_vec())),
        None if node.input(1).is_empty() => Some(None),
        None => values.integers(node.input(1)).map(|axes| Some(axes.to_vec())),
    }
}

fn squeezed(node: &Node, values: &Values<'_>, shape: &[usize]) -> Option<Vec<usize>> {
    let named = named_axes(node, values)?.map(|named| axes(&named, shape.len()));
    let drops = |at: usize, size: usize| match &named {
        Some(Some(axes)) => Some(axes.contains(&at)),
        Some(None) => None,
        None => Some(size == 1),
    };
    let mut result = Vec::new();
    for (at, &size) in shape.iter().enumerate() {
        match drops(at, size)? {
            true if size != 1 => return None,
            true => {}
            false => result.push(size),
        }
    }
    Some(result)
}

fn unsqueezed(node: &Node, values: &Values<'_>, shape: &[usize]) -> Option<Vec<usize>> {
    let named = named_axes(node, values)??;
    let at = axes(&named, shape.len().checked_add(named.len())?)?;
    let mut result = shape.to_vec();
    for at in at {
        result.insert(at.min(result.len()), 1);
    }
    Some(result)
}

pub(super) fn split(node: &Node, values: &Values<'_>) -> Vec<Known> {
    let parts = || {
        let shape = values.shape(node.input(0))?;
        let at = axis(node.int("axis").unwrap_or(0), shape.len())?;
        let size = *shape.get(at)?;
        let count = node.outputs.len();
        let given = node.ints("split").or_else(|| values.integers(node.input(1)));
        let sizes: Vec<usize> = match given {
            Some(sizes) => sizes.iter().map(|&s| usize::try_from(s).ok()).collect::<Option<_>>()?,
            None if node.input(1).is_empty() => {
                let part = size.div_ceil(count.max(1));
                (0..count).map(|i| part.min(size.saturating_sub(i.saturating_mul(part)))).collect()
            }
            None => return None,
        };
        let part = |&size: &usize| {
            let mut shape = shape.to_vec();
            if let Some(to) = shape.get_mut(at) {
                *to = size;
            }
            Known::shaped(shape)
        };
        Some(sizes.iter().map(part).collect())
    };
    parts().unwrap_or_default()
}
