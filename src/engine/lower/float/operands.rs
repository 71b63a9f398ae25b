//! The inputs of a node as the float kernels take them.

use crate::engine::graph::{Node, element_count};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::value::{Deferred, Value};
use crate::engine::shapes;
use crate::engine::tensor_view::TensorView;
use crate::tensor::{Data, Tensor};
use std::rc::Rc;

impl Lowering<'_> {
    /// Input `i` as floats in memory, not empty.
    pub(super) fn float_view(&mut self, node: &Node, i: usize) -> LowerResult<TensorView> {
        let Some(name) = node.inputs.get(i).filter(|n| !n.is_empty()) else {
            return run_in_float(format!("it has no input {i}"));
        };
        let view = match self.in_float(name)? {
            Some(view) => view,
            None => match self.float_constant(node, i) {
                Some(constant) => self.constant_view(name, &constant),
                None => return run_in_float("an input of it is not of 32-bit floats"),
            },
        };
        if view.len() == 0 {
            return run_in_float("an input of it is empty");
        }
        Ok(view)
    }

    /// Input `i` if it is a constant of floats.
    pub(super) fn float_constant(&self, node: &Node, i: usize) -> Option<Rc<Tensor>> {
        match self.optional(node, i)? {
            Value::Constant(tensor) if matches!(tensor.data, Data::F32(_)) => Some(tensor.clone()),
            Value::Deferred(Deferred::Weights(weights)) => {
                #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                let values = weights.reals().into_iter().map(|x| x as f32).collect();
                let shape = weights.tensor.shape.clone();
                Some(Rc::new(Tensor { shape, data: Data::F32(values) }))
            }
            _ => None,
        }
    }

    /// Whether the node has input `i`.
    pub(super) fn has_input(node: &Node, i: usize) -> bool {
        node.inputs.get(i).is_some_and(|name| !name.is_empty())
    }

    /// A constant as a source of steps.
    fn constant_view(&mut self, name: &str, constant: &Tensor) -> TensorView {
        let values = floats(constant).to_vec();
        let buffer = self.builder.float_constant(values);
        let view = TensorView::plain(buffer, &constant.shape);
        self.floats.insert(name.to_owned(), view.clone());
        view
    }
}

/// The elements of a tensor of floats; empty for other types.
pub(super) fn floats(tensor: &Tensor) -> &[f32] {
    match &tensor.data {
        Data::F32(values) => values,
        _ => &[],
    }
}

/// The shape that both shapes are repeated to. `None` if they do not fit, or if the result would be
/// empty or too large.
pub(super) fn broadcast_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let shape = shapes::broadcast(&[a, b]).ok()?;
    element_count(&shape).is_ok_and(|n| n > 0).then_some(shape)
}

/// The strides of a tensor repeated to `shape`: zero along the axes that are repeated.
pub(super) fn broadcast_strides(view: &TensorView, shape: &[usize]) -> Vec<usize> {
    let missing = shape.len().saturating_sub(view.shape.len());
    let own = view.strides();
    let stride = |axis: usize| {
        let i = axis.checked_sub(missing)?;
        let repeated = view.shape.get(i) != shape.get(axis);
        if repeated { None } else { own.get(i).copied() }
    };
    (0..shape.len()).map(|axis| stride(axis).unwrap_or(0)).collect()
}
