//! Floats that are moved and not changed: concatenations, slices, paddings, selections.

use crate::engine::graph::{Node, element_count};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::slice_pad::SliceRange;
use crate::engine::lower::slices::set_at;
use crate::engine::lower::value::{Deferred, ShapeOp, Value};
use crate::engine::plan::{FloatStep, Operation};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::shapes::axis;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::Strided;

/// The most parts that a selection is copied in.
const MAX_PARTS: usize = 64;

impl Lowering<'_> {
    /// Transpose, Reshape and their kin: mostly another view of the same buffer.
    pub(super) fn float_movement(&mut self, node: &ExpandedNode) -> LowerResult {
        self.movement(node)?;
        // The result may be a draft that several nodes read.
        let Some(name) = node.outputs.first().cloned() else { return Ok(()) };
        if let Some(Value::Deferred(Deferred::Float(draft))) = self.values.get(&name) {
            let draft = (**draft).clone();
            self.set_draft(node, draft)?;
        }
        Ok(())
    }

    /// A draft moved by `step`; computed first if elements have to move.
    pub(in crate::engine::lower) fn moved_draft(
        &mut self,
        name: &str,
        step: &ShapeOp,
    ) -> LowerResult<Value> {
        if let Some(Value::Deferred(Deferred::Float(draft))) = self.values.get(name) {
            let view = match step {
                ShapeOp::Transpose(perm) => Some(draft.view.transposed(perm)),
                ShapeOp::Reshape(shape) => draft.view.reshaped(shape),
            };
            if let Some(view) = view {
                let draft = super::FloatDraft { view, ..(**draft).clone() };
                return Ok(Value::Deferred(Deferred::Float(Box::new(draft))));
            }
        }
        match self.in_float(name)? {
            Some(view) => Ok(Value::Float(match step {
                ShapeOp::Transpose(perm) => view.transposed(perm),
                ShapeOp::Reshape(shape) => self.builder.reshaped(&view, shape, ElementKind::Floats),
            })),
            None => run_in_float("its input is not a tensor in memory"),
        }
    }

    pub(super) fn float_concat(&mut self, node: &ExpandedNode) -> LowerResult {
        let mut parts = Vec::new();
        for i in 0..node.inputs.len() {
            parts.push(self.float_view(node, i)?);
        }
        let Some(first) = parts.first() else { return run_in_float("it has no inputs") };
        let rank = first.shape.len();
        let Some(axis) = axis(node.int("axis").unwrap_or(0), rank) else {
            return run_in_float("its axis is out of range");
        };
        let others = |view: &TensorView| {
            let mut shape = view.shape.clone();
            set_at(&mut shape, axis, 0);
            shape
        };
        if parts.iter().any(|p| others(p) != others(first)) {
            return run_in_float("the shapes of its inputs do not fit");
        }
        let joined = self.joined(&parts, axis)?;
        self.set(node, Value::Float(joined));
        Ok(())
    }

    /// Copies tensors next to each other along an axis, in the axis order of the largest.
    fn joined(&mut self, parts: &[TensorView], axis: usize) -> LowerResult<TensorView> {
        let Some(first) = parts.iter().max_by_key(|p| p.len()) else {
            return run_in_float("it has no inputs");
        };
        let mut shape = first.shape.clone();
        set_at(&mut shape, axis, parts.iter().filter_map(|p| p.shape.get(axis)).sum());
        let Ok(len) = element_count(&shape) else { return run_in_float("its result is too large") };
        let buffer = self.builder.buffer(ElementKind::Floats, len);
        let whole = TensorView { buffer, shape, order: first.order.clone() };
        let mut side = whole.side();
        for view in parts {
            let strided = Strided::new(&view.shape, &view.side(), &side);
            self.builder.push(Operation::CopyFloat(strided), &[view], buffer, len);
            let step = side.strides.get(axis).copied().unwrap_or(0).unsigned_abs();
            side.start += step * view.shape.get(axis).copied().unwrap_or(0);
        }
        Ok(whole)
    }

    pub(super) fn float_pad(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        if node.text("mode").is_some_and(|m| m != "constant") {
            return run_in_float("it pads with other than a constant");
        }
        let rank = input.shape.len();
        let given = node.ints("pads").or_else(|| node.ints("paddings")).map(<[i64]>::to_vec);
        let given = given.or_else(|| self.whole_numbers(node, 1));
        let value = match (node.float("value"), Self::has_input(node, 2)) {
            (Some(value), _) => Some(value),
            (None, false) => Some(0.0),
            (None, true) => self.float_number(node, 2),
        };
        let (Some(given), Some(value)) = (given, value) else {
            return run_in_float("its pads are not constants");
        };
        let axes = self.axes(node, 3, rank)?.unwrap_or_else(|| (0..rank).collect());
        let pads: Vec<usize> = given.iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        if pads.len() != 2 * axes.len() || given.len() != pads.len() {
            return run_in_float(format!("its pads are {given:?}"));
        }
        let mut whole = input.clone();
        let mut before = vec![0; rank];
        let (begins, ends) = pads.split_at(axes.len());
        for ((&axis, &begin), &end) in axes.iter().zip(begins).zip(ends) {
            if let (Some(size), Some(before)) = (whole.shape.get_mut(axis), before.get_mut(axis)) {
                *size = size.saturating_add(begin).saturating_add(end);
                *before += begin;
            }
        }
        let Ok(len) = element_count(&whole.shape) else {
            return run_in_float("its result is too large");
        };
        whole.buffer = self.builder.buffer(ElementKind::Floats, len);
        let fill = Operation::Float(Box::new(FloatStep::Fill(value)));
        self.builder.push(fill, &[], whole.buffer, len);
        let mut to = whole.side();
        to.start = to.strides.iter().zip(&before).map(|(s, b)| s.unsigned_abs() * b).sum();
        let strided = Strided::new(&input.shape, &input.side(), &to);
        self.builder.push(Operation::CopyFloat(strided), &[&input], whole.buffer, len);
        self.set(node, Value::Float(whole));
        Ok(())
    }

    /// A constant input of one float.
    pub(super) fn float_number(&self, node: &Node, i: usize) -> Option<f32> {
        match super::operands::floats(&*self.float_constant(node, i)?) {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Gather with constant indices.
    pub(super) fn float_gather(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let rank = input.shape.len();
        let Some(axis) = axis(node.int("axis").unwrap_or(0), rank) else {
            return run_in_float("its axis is out of range");
        };
        let size = input.shape.get(axis).copied().unwrap_or(0);
        let Some(indices) = self.whole_numbers(node, 1) else {
            return run_in_float("its indices are not constants");
        };
        let index_shape = self.constant(node, 1).map(|t| t.shape.clone()).unwrap_or_default();
        let limit = i64::try_from(size).unwrap_or(i64::MAX);
        let place = |&i: &i64| usize::try_from(if i < 0 { i + limit } else { i }).ok();
        let places: Option<Vec<usize>> = indices.iter().map(place).collect();
        let places = places.filter(|p| !p.is_empty() && p.iter().all(|&i| i < size));
        let Some(places) = places.filter(|p| p.len() <= MAX_PARTS) else {
            return run_in_float("its indices are out of range or too many");
        };
        let view = self.selected(&input, axis, &places)?;
        let before = input.shape.iter().take(axis);
        let shape: Vec<usize> =
            before.chain(&index_shape).chain(input.shape.iter().skip(axis + 1)).copied().collect();
        let view = self.builder.reshaped(&view, &shape, ElementKind::Floats);
        self.set(node, Value::Float(view));
        Ok(())
    }

    /// The elements at `places` along an axis.
    fn selected(
        &mut self,
        input: &TensorView,
        axis: usize,
        places: &[usize],
    ) -> LowerResult<TensorView> {
        let whole = input.shape.iter().map(|&size| SliceRange { start: 0, step: 1, size });
        let whole: Vec<SliceRange> = whole.collect();
        let mut parts = Vec::new();
        let mut rest = places;
        while let [start, ..] = *rest {
            // Neighbours are one part.
            let size = rest.iter().zip(start..).take_while(|(place, i)| *place == i).count();
            let mut range = whole.clone();
            set_at(&mut range, axis, SliceRange { start, step: 1, size });
            parts.push(self.cut_view(input, &range, ElementKind::Floats));
            rest = rest.get(size..).unwrap_or_default();
        }
        match parts.as_slice() {
            [one] => Ok(one.clone()),
            _ => self.joined(&parts, axis),
        }
    }

    /// Expand to a constant shape.
    pub(super) fn float_expand(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let Some(given) = self.whole_numbers(node, 1) else {
            return run_in_float("its shape is not a constant");
        };
        let sizes: Vec<usize> = given.iter().filter_map(|&d| usize::try_from(d).ok()).collect();
        let shape = super::operands::broadcast_shape(&input.shape, &sizes);
        let Some(shape) = shape.filter(|_| sizes.len() == given.len()) else {
            return run_in_float("its input does not fit its shape");
        };
        let view = self.repeated(&input, &shape);
        self.set(node, Value::Float(view));
        Ok(())
    }

    /// The tensor repeated to `shape`.
    fn repeated(&mut self, input: &TensorView, shape: &[usize]) -> TensorView {
        let strides = super::operands::broadcast_strides(input, shape);
        let strides = strides.into_iter().map(usize::cast_signed).collect();
        let from = inferd_kernels::StridedView { start: 0, strides };
        let to = TensorView::plain(input.buffer, shape);
        self.builder.copied(input, shape, from, &to, ElementKind::Floats)
    }
}
