//! Shapes and small integers of a graph, as far as they are known before a run.
//!
//! The graph is walked once, before the float runtime sees it. What the walk finds bounds every
//! tensor (a few bytes of a file can ask for gigabytes), refuses sizes that do not broadcast (the
//! float runtime describes those by a formula that doubles with every node), and decides
//! conditions and counts that are constants. A rule that does not know a result leaves it out.

mod arithmetic;
mod axes;
mod movement;
mod resize;
mod rules;
#[cfg(test)]
mod tests;
mod windows;

pub(super) use movement::axis;

use super::error::LoadError;
use super::graph::{Dimension, Graph, Node, TensorData, ValueInfo, integers, reals};
use crate::tensor::{Data, Tensor};
use std::collections::HashMap;

/// The most elements of a computed tensor. A hostile file must not exhaust the memory, and the
/// largest models of gateways compute far smaller ones.
pub(super) const MAX_COMPUTED_ELEMENTS: usize = 1 << 24;
/// The most axes of a tensor.
pub(super) const MAX_AXES: usize = 16;
/// Constants of up to so many elements are read: shapes, axes, bounds, conditions.
const MAX_KNOWN_VALUES: usize = 1024;

/// What is known of a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    pub shape: Option<Vec<usize>>,
    /// The elements of a small tensor of integers or booleans.
    pub integers: Option<Vec<i64>>,
    /// The elements of a small constant of floats.
    pub reals: Option<Vec<f64>>,
}

impl Known {
    fn shaped(shape: Vec<usize>) -> Self {
        Self { shape: Some(shape), ..Self::default() }
    }

    fn integers(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self { shape: Some(shape), integers: Some(values), reals: None }
    }

    fn of_constant(tensor: &TensorData) -> Self {
        let small = tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let small = small.is_some_and(|n| n <= MAX_KNOWN_VALUES);
        let values = small.then(|| tensor.to_tensor()).flatten();
        Self {
            shape: Some(tensor.shape.clone()),
            integers: values.as_ref().and_then(whole_numbers),
            reals: values.as_ref().and_then(reals),
        }
    }
}

/// The values of a tensor of wide integers or booleans. Narrow integers wrap around, which is not
/// followed here.
fn whole_numbers(tensor: &Tensor) -> Option<Vec<i64>> {
    match &tensor.data {
        Data::Bool(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::I32(_) | Data::I64(_) => integers(tensor),
        _ => None,
    }
}

/// What is known of the values of a graph, and of those around it.
#[derive(Default)]
pub(super) struct Values<'a> {
    outer: Option<&'a Values<'a>>,
    own: HashMap<String, Known>,
}

impl<'a> Values<'a> {
    /// The inputs and constants of a graph. `outer` has the values that the graph may read besides.
    pub(super) fn of(graph: &Graph, outer: Option<&'a Values<'a>>) -> Self {
        let mut values = Self { outer, own: HashMap::new() };
        for input in &graph.inputs {
            let known = if outer.is_none() { declared(input) } else { Known::default() };
            values.own.insert(input.name.clone(), known);
        }
        graph.initializers.iter().for_each(|tensor| values.add_constant(tensor));
        values
    }

    pub(super) fn add_constant(&mut self, tensor: &TensorData) {
        self.own.insert(tensor.name.clone(), Known::of_constant(tensor));
    }

    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        match self.own.get(name) {
            Some(known) => Some(known),
            None => self.outer.and_then(|outer| outer.get(name)),
        }
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.get(name)?.shape.as_deref()
    }

    pub(super) fn integers(&self, name: &str) -> Option<&[i64]> {
        self.get(name)?.integers.as_deref()
    }

    /// The value of a single integer or boolean.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        match self.integers(name)? {
            [value] => Some(*value),
            _ => None,
        }
    }

    /// Adds what is known of the results of a node, and of the graphs inside it.
    ///
    /// # Errors
    /// Inputs that do not fit each other, or a result beyond the bounds.
    pub(super) fn add(&mut self, opset: i64, node: &Node) -> Result<(), LoadError> {
        axes::check(node, self).map_err(|reason| node.refusal(reason))?;
        let results = match node.op.as_str() {
            "If" | "Scan" | "Loop" => self.inside(opset, node)?,
            "Constant" => vec![constant(node)],
            _ => rules::results(opset, node, self).map_err(|reason| node.refusal(reason))?,
        };
        for (name, known) in node.outputs.iter().zip(results) {
            if let Some(shape) = &known.shape {
                check_size(shape).map_err(|reason| node.refusal(reason))?;
            }
            self.own.insert(name.clone(), known);
        }
        Ok(())
    }

    /// Walks the graphs inside a node. A condition decides between results, which are known where
    /// both branches agree.
    fn inside(&self, opset: i64, node: &Node) -> Result<Vec<Known>, LoadError> {
        let mut branches: Vec<Vec<Known>> = Vec::new();
        for graph in node.subgraphs() {
            let mut inner = Values::of(graph, Some(self));
            for node in &graph.nodes {
                inner.add(opset, node)?;
            }
            let results = graph.outputs.iter().map(|o| inner.get(&o.name).cloned());
            branches.push(results.map(Option::unwrap_or_default).collect());
        }
        let [first, second] = branches.as_slice() else { return Ok(Vec::new()) };
        let both = |(a, b): (&Known, &Known)| if a == b { a.clone() } else { Known::default() };
        Ok(if node.op == "If" { first.iter().zip(second).map(both).collect() } else { Vec::new() })
    }
}

/// What is known of an input of a model.
fn declared(input: &ValueInfo) -> Known {
    let shape = input.tensor.as_ref().and_then(|tensor| tensor.shape.as_ref());
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => usize::try_from(*size).ok(),
        Dimension::Named(_) | Dimension::Unknown => None,
    };
    Known { shape: shape.and_then(|s| s.iter().map(size).collect()), ..Known::default() }
}

/// The value of a Constant node.
fn constant(node: &Node) -> Known {
    if let Some(tensor) = node.tensor("value") {
        return Known::of_constant(tensor);
    }
    if let Some(value) = node.int("value_int") {
        return Known::integers(Vec::new(), vec![value]);
    }
    if let Some(values) = node.ints("value_ints") {
        return Known::integers(vec![values.len()], values.to_vec());
    }
    if let Some(value) = node.float("value_float") {
        return Known { reals: Some(vec![value.into()]), ..Known::shaped(Vec::new()) };
    }
    match node.floats("value_floats") {
        Some(values) => {
            let reals = values.iter().map(|&v| v.into()).collect();
            Known { reals: Some(reals), ..Known::shaped(vec![values.len()]) }
        }
        None => Known::default(),
    }
}

/// Refuses a computed tensor that is too large.
fn check_size(shape: &[usize]) -> Result<(), String> {
    if shape.len() > MAX_AXES {
        return Err(format!("its result has {} axes, more than {MAX_AXES}", shape.len()));
    }
    let size = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if size.is_none_or(|size| size > MAX_COMPUTED_ELEMENTS) {
        return Err(format!(
            "its result has shape {shape:?}, more than {MAX_COMPUTED_ELEMENTS} elements"
        ));
    }
    Ok(())
}

/// The refusal of inputs whose shapes do not fit each other.
fn misfit(shapes: &str) -> String {
    format!(
        "the shapes or types of its inputs do not match, {shapes}: check the shapes that the model \
         declares, and dims in the model card"
    )
}

/// The shape that shapes broadcast to.
///
/// # Errors
/// Sizes that differ and are not 1.
pub(super) fn broadcast(shapes: &[&[usize]]) -> Result<Vec<usize>, String> {
    let axes = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; axes];
    for shape in shapes {
        let skip = axes - shape.len();
        for (to, &size) in result.iter_mut().skip(skip).zip(*shape) {
            if *to == 1 {
                *to = size;
            } else if size != 1 && size != *to {
                return Err(misfit(&format!("{shapes:?}")));
            }
        }
    }
    Ok(result)
}
