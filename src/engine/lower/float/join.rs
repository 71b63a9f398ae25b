//! Nodes that join the product before them: scales, biases, residuals and activations.

use super::draft::FloatDraft;
use super::operands::floats;
use crate::engine::graph::Node;
use crate::engine::lower::context::{LowerResult, Lowering};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::{Deferred, Value};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::tensor::Tensor;
use inferd_kernels::float::UnaryOp;

impl Lowering<'_> {
    /// Records a draft as the node's result. What several nodes read is computed at once.
    pub(super) fn set_draft(&mut self, node: &ExpandedNode, draft: FloatDraft) -> LowerResult {
        let Some(name) = node.outputs.first().cloned() else { return Ok(()) };
        self.values.insert(name.clone(), Value::Deferred(Deferred::Float(Box::new(draft))));
        if self.readers.get(&name).copied().unwrap_or(0) != 1 {
            self.in_float(&name)?;
        }
        Ok(())
    }

    /// The draft at input `i`, if nothing else reads it.
    pub(super) fn draft(&self, node: &Node, i: usize) -> Option<&FloatDraft> {
        match self.optional(node, i)? {
            Value::Deferred(Deferred::Float(draft)) => Some(draft),
            _ => None,
        }
    }

    /// Joins an Add, Sub, Mul or Div by a constant, or an Add of a tensor of the same shape, to the
    /// draft it reads. Whether it did.
    pub(super) fn join_arithmetic(&mut self, node: &ExpandedNode) -> LowerResult<bool> {
        for (own, other) in [(0, 1), (1, 0)] {
            let Some(draft) = self.draft(node, own) else { continue };
            if !draft.is_linear() {
                continue;
            }
            let draft = draft.clone();
            let joined = match self.float_constant(node, other) {
                Some(constant) => with_constant(&node.op, own == 0, draft, &constant),
                None if node.op == "Add" => self.with_residual(node, other, draft)?,
                None => None,
            };
            if let Some(draft) = joined {
                self.set_draft(node, draft)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn with_residual(
        &mut self,
        node: &Node,
        other: usize,
        mut draft: FloatDraft,
    ) -> LowerResult<Option<FloatDraft>> {
        let added = self.float_view(node, other)?;
        if added.shape != draft.view.shape {
            return Ok(None);
        }
        let order = draft.view.order.clone();
        draft.residual = Some(self.builder.ordered(&added, &order, ElementKind::Floats));
        Ok(Some(draft))
    }

    /// Joins an activation to the draft that the node reads. Whether it did.
    pub(super) fn join_activation(
        &mut self,
        node: &ExpandedNode,
        activation: UnaryOp,
    ) -> LowerResult<bool> {
        let Some(draft) = self.draft(node, 0) else { return Ok(false) };
        if draft.activation.is_some() {
            return Ok(false);
        }
        let mut draft = draft.clone();
        draft.activation = Some(activation);
        self.set_draft(node, draft)?;
        Ok(true)
    }

    /// Joins `x * scale + shift` per channel, along axis 1, to the draft that the node reads.
    /// Whether it did.
    pub(super) fn join_affine(
        &mut self,
        node: &ExpandedNode,
        scale: &[f64],
        shift: &[f64],
    ) -> LowerResult<bool> {
        let Some(draft) = self.draft(node, 0) else { return Ok(false) };
        let single = draft.columns == 1 && draft.view.shape.get(1) == Some(&1);
        let along = single || draft.column_axis() == Some(1);
        let finite = scale.iter().chain(shift).all(|x| x.is_finite());
        if !draft.is_linear() || !along || draft.columns != scale.len() || !finite {
            return Ok(false);
        }
        let mut draft = draft.clone();
        draft.multiply(scale);
        draft.add(shift);
        self.set_draft(node, draft)?;
        Ok(true)
    }
}

/// The draft with a constant per column; none if the constant does not join. `first` is whether the
/// draft is the first input.
fn with_constant(
    op: &str,
    first: bool,
    mut draft: FloatDraft,
    constant: &Tensor,
) -> Option<FloatDraft> {
    let values = draft.per_column(constant, floats(constant))?;
    if !values.iter().all(|x| x.is_finite()) {
        return None;
    }
    let each = |f: fn(f64) -> f64| values.iter().map(|&x| f(x)).collect::<Vec<f64>>();
    match (op, first) {
        ("Add", _) => draft.add(&values),
        ("Sub", true) => draft.add(&each(|x| -x)),
        ("Sub", false) => {
            draft.multiply(&each(|_| -1.0));
            draft.add(&values);
        }
        ("Mul", _) => draft.multiply(&values),
        ("Div", true) if values.iter().all(|x| *x != 0.0) => draft.multiply(&each(|x| 1.0 / x)),
        _ => return None,
    }
    Some(draft)
}

impl FloatDraft {
    /// Multiplies the result by a number per column.
    fn multiply(&mut self, factors: &[f64]) {
        let times = |own: &Vec<f64>| own.iter().zip(factors).map(|(a, b)| a * b).collect();
        self.scale = Some(self.scale.as_ref().map_or_else(|| factors.to_vec(), times));
        self.bias = self.bias.as_ref().map(times);
    }

    /// Adds a number per column.
    fn add(&mut self, terms: &[f64]) {
        let plus = |own: &Vec<f64>| own.iter().zip(terms).map(|(a, b)| a + b).collect();
        self.bias = Some(self.bias.as_ref().map_or_else(|| terms.to_vec(), plus));
    }
}
