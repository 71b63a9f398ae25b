//! Joining and splitting tensors.

use super::context::{LowerResult, Lowering, run_in_float};
use super::plan_builder::ElementKind;
use super::shape_ops::shape;
use super::slice_pad::SliceRange;
use super::slices::set_at;
use super::value::{Affine, Deferred, DeferredOp, OpKind, QuantizedTensor, Value};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::shapes::axis;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::Table;

impl Lowering<'_> {
    pub(super) fn concat(&mut self, node: &ExpandedNode) -> LowerResult {
        let mut values = Vec::new();
        for i in 0..node.inputs.len() {
            values.push(self.value(node, i)?.clone());
        }
        let shapes: Option<Vec<_>> = values.iter().map(shape).collect();
        let Some(shapes) = shapes.filter(|s| !s.is_empty()) else {
            return run_in_float("its inputs are not tensors in memory");
        };
        let rank = shapes.first().map_or(0, Vec::len);
        let Some(axis) = axis(node.int("axis").unwrap_or(0), rank) else {
            return run_in_float("its axis is out of range");
        };
        let others = |s: &Vec<usize>| {
            let sizes = s.iter().enumerate().filter(|&(a, _)| a != axis);
            sizes.map(|(_, &d)| d).collect::<Vec<_>>()
        };
        if shapes.iter().any(|s| s.len() != rank || Some(others(s)) != shapes.first().map(others)) {
            return Err(self.refuse(node, format!("shapes {shapes:?} do not fit")).into());
        }
        let value = match values.first() {
            Some(Value::Quantized(first)) => self.join_stored(first, &values, axis)?,
            _ => self.join_reals(&values, axis)?,
        };
        self.set(node, value);
        Ok(())
    }

    fn join_stored(
        &mut self,
        first: &QuantizedTensor,
        values: &[Value],
        axis: usize,
    ) -> LowerResult<Value> {
        let mut parts: Vec<(TensorView, Option<Table>)> = Vec::new();
        for value in values {
            match value {
                Value::Quantized(s) if s.unsigned == first.unsigned && s.scale == first.scale => {
                    let view = self.builder.ordered(&s.view, &first.view.order, ElementKind::Bytes);
                    parts.push((view, None));
                }
                _ => return run_in_float("its inputs are not of one type and scale"),
            }
        }
        let view = self.builder.concat(&parts, axis);
        Ok(Value::Quantized(QuantizedTensor { view, ..first.clone() }))
    }

    fn join_reals(&mut self, values: &[Value], axis: usize) -> LowerResult<Value> {
        let mut parts: Vec<Deferred> = Vec::new();
        let mut order: Option<Vec<usize>> = None;
        for value in values {
            let Value::Deferred(real) = value else {
                return run_in_float("an input of it is not quantized");
            };
            let real = match real {
                Deferred::Table { view, values } => {
                    let view = self.in_order(view, &mut order);
                    Deferred::Table { view, values: values.clone() }
                }
                other => match self.as_affine(other) {
                    Some(a) => {
                        Deferred::Affine(Affine { view: self.in_order(&a.view, &mut order), ..a })
                    }
                    None => return run_in_float("an input of it is not quantized"),
                },
            };
            parts.push(real);
        }
        let affines: Vec<&Affine> = parts
            .iter()
            .filter_map(|p| match p {
                Deferred::Affine(a) => Some(a),
                _ => None,
            })
            .collect();
        if let Some(first) = affines.first().copied()
            && affines.len() == parts.len()
            && affines.iter().all(|a| a.scale == first.scale && a.zero == first.zero)
        {
            let views: Vec<_> = affines.iter().map(|a| (a.view.clone(), None)).collect();
            let view = self.builder.concat(&views, axis);
            return Ok(Value::Deferred(Deferred::Affine(Affine { view, ..first.clone() })));
        }
        let mut shape = values.first().and_then(shape).unwrap_or_default();
        let total: usize =
            values.iter().filter_map(|v| super::shape_ops::shape(v)?.get(axis).copied()).sum();
        set_at(&mut shape, axis, total);
        Ok(Value::Deferred(Deferred::Op(DeferredOp::new(OpKind::Concat(parts, axis), shape))))
    }

    /// The tensor in the axis order of the first one.
    fn in_order(&mut self, view: &TensorView, order: &mut Option<Vec<usize>>) -> TensorView {
        let order = order.get_or_insert_with(|| view.order.clone());
        self.builder.ordered(view, order, ElementKind::Bytes)
    }

    pub(super) fn split(&mut self, node: &ExpandedNode) -> LowerResult {
        let value = self.value(node, 0)?.clone();
        let Some(from) = shape(&value) else {
            return run_in_float("its input is not a tensor in memory");
        };
        let Some(axis) = axis(node.int("axis").unwrap_or(0), from.len()) else {
            return run_in_float("its axis is out of range");
        };
        let size = from.get(axis).copied().unwrap_or(0);
        let count = node.outputs.len();
        let given = node.ints("split").map(<[i64]>::to_vec).or_else(|| self.whole_numbers(node, 1));
        let sizes: Vec<usize> = match given {
            Some(sizes) => sizes.iter().filter_map(|&s| usize::try_from(s).ok()).collect(),
            None if self.optional(node, 1).is_some() => {
                return run_in_float("the sizes of its parts are not constants");
            }
            None => {
                let each = size.div_ceil(count.max(1));
                (0..count).map(|i| each.min(size.saturating_sub(i * each))).collect()
            }
        };
        if sizes.len() != count || sizes.iter().sum::<usize>() != size || sizes.contains(&0) {
            return run_in_float(format!("it splits {size} into {sizes:?}"));
        }
        let whole = from.iter().map(|&size| SliceRange { start: 0, step: 1, size });
        let mut parts: Vec<SliceRange> = whole.collect();
        let mut start = 0;
        for (i, size) in sizes.into_iter().enumerate() {
            set_at(&mut parts, axis, SliceRange { start, step: 1, size });
            let part = self.cut_value(&value, &parts)?;
            self.set_output(node, i, part);
            start += size;
        }
        Ok(())
    }
}
