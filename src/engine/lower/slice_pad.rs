//! Slice and Pad.

use super::context::{LowerResult, Lowering, run_in_float};
use super::plan_builder::ElementKind;
use super::shape_ops::shape;
use super::value::{Affine, Deferred, QuantizedTensor, Value};
use crate::engine::graph::element_count;
use crate::engine::plan::Operation;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::Strided;

impl Lowering<'_> {
    pub(super) fn slice(&mut self, node: &ExpandedNode) -> LowerResult {
        let value = self.value(node, 0)?.clone();
        let Some(from) = shape(&value) else {
            return run_in_float("its input is not a tensor in memory");
        };
        let list = |name: &str, i: usize| {
            node.ints(name).map(<[i64]>::to_vec).or_else(|| self.whole_numbers(node, i))
        };
        let (Some(starts), Some(ends)) = (list("starts", 1), list("ends", 2)) else {
            return run_in_float("its bounds are not constants");
        };
        let rank = from.len();
        let axes = match self.axes(node, 3, rank)? {
            Some(axes) => axes,
            None => (0..starts.len()).collect(),
        };
        let steps = match self.optional(node, 4) {
            None => vec![1; starts.len()],
            Some(_) => list("steps", 4).unwrap_or_default(),
        };
        let mut parts: Vec<SliceRange> =
            from.iter().map(|&size| SliceRange { start: 0, step: 1, size }).collect();
        if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
            return run_in_float("its bounds are of several lengths");
        }
        for (((&start, &end), &step), &axis) in starts.iter().zip(&ends).zip(&steps).zip(&axes) {
            let Some(part) = parts.get_mut(axis) else {
                return run_in_float("an axis is out of range");
            };
            *part = match cut(start, end, step, part.size) {
                Some(part) => part,
                None => return run_in_float("it cuts out nothing"),
            };
        }
        let value = self.cut_value(&value, &parts)?;
        self.set(node, value);
        Ok(())
    }

    /// Cuts a part out of a value in memory.
    pub(super) fn cut_value(&mut self, value: &Value, parts: &[SliceRange]) -> LowerResult<Value> {
        Ok(match value {
            Value::Quantized(s) => Value::Quantized(QuantizedTensor {
                view: self.cut_view(&s.view, parts, ElementKind::Bytes),
                ..s.clone()
            }),
            Value::Deferred(Deferred::Affine(a)) => {
                let view = self.cut_view(&a.view, parts, ElementKind::Bytes);
                Value::Deferred(Deferred::Affine(Affine { view, ..a.clone() }))
            }
            Value::Deferred(Deferred::Table { view, values }) => {
                let view = self.cut_view(view, parts, ElementKind::Bytes);
                Value::Deferred(Deferred::Table { view, values: values.clone() })
            }
            Value::Float(view) if self.float_kernels => {
                Value::Float(self.cut_view(view, parts, ElementKind::Floats))
            }
            _ => return run_in_float("its input is not quantized"),
        })
    }

    pub(super) fn cut_view(
        &mut self,
        view: &TensorView,
        parts: &[SliceRange],
        kind: ElementKind,
    ) -> TensorView {
        let mut from = view.side();
        let mut start = 0;
        for (stride, part) in from.strides.iter_mut().zip(parts) {
            start += part.start * stride.unsigned_abs();
            *stride *= part.step;
        }
        from.start = start;
        let shape: Vec<usize> = parts.iter().map(|p| p.size).collect();
        let to =
            TensorView { buffer: view.buffer, shape: shape.clone(), order: view.order.clone() };
        self.builder.copied(view, &shape, from, &to, kind)
    }

    pub(super) fn pad(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.value(node, 0)?.clone();
        let view = match &input {
            Value::Deferred(Deferred::Affine(a)) => &a.view,
            Value::Quantized(s) => &s.view,
            _ => return run_in_float("its input is not quantized"),
        };
        if node.text("mode").is_some_and(|m| m != "constant") {
            return run_in_float("it pads with other than a constant");
        }
        let rank = view.shape.len();
        let given = node.ints("pads").map(<[i64]>::to_vec).or_else(|| self.whole_numbers(node, 1));
        let value = match (node.float("value"), self.optional(node, 2)) {
            (Some(value), _) => Some(f64::from(value)),
            (None, None) => Some(0.0),
            (None, Some(_)) => self.number(node, 2),
        };
        let (Some(given), Some(value)) = (given, value) else {
            return run_in_float("its pads are not constants");
        };
        let axes = self.axes(node, 3, rank)?.unwrap_or_else(|| (0..rank).collect());
        let pads: Vec<usize> = given.iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        if pads.len() != 2 * axes.len() || given.len() != pads.len() {
            return run_in_float(format!("its pads are {given:?}"));
        }
        let Some(fill) = filler(&input, value) else {
            return run_in_float("its padding value is not a multiple of its input's scale");
        };
        let view = self.padded(view, &axes, &pads, fill)?;
        let value = match input {
            Value::Quantized(s) => Value::Quantized(QuantizedTensor { view, ..s }),
            Value::Deferred(Deferred::Affine(a)) => {
                Value::Deferred(Deferred::Affine(Affine { view, ..a }))
            }
            other => other,
        };
        self.set(node, value);
        Ok(())
    }

    fn padded(
        &mut self,
        view: &TensorView,
        axes: &[usize],
        pads: &[usize],
        fill: i8,
    ) -> LowerResult<TensorView> {
        let mut whole = view.clone();
        let mut before = vec![0; view.shape.len()];
        let (begins, ends) = pads.split_at(axes.len());
        for ((&axis, &begin), &end) in axes.iter().zip(begins).zip(ends) {
            if let (Some(size), Some(before)) = (whole.shape.get_mut(axis), before.get_mut(axis)) {
                *size = size.saturating_add(begin).saturating_add(end);
                *before = begin;
            }
        }
        let Ok(len) = element_count(&whole.shape) else {
            return run_in_float("its result is too large");
        };
        whole.buffer = self.builder.buffer(ElementKind::Bytes, len);
        self.builder.push(Operation::Fill(fill), &[], whole.buffer, len);
        let mut to = whole.side();
        to.start = to.strides.iter().zip(&before).map(|(s, b)| s.unsigned_abs() * b).sum();
        let strided = Strided::new(&view.shape, &view.side(), &to);
        self.builder.push(Operation::Copy { strided, table: None }, &[view], whole.buffer, len);
        Ok(whole)
    }
}

/// The elements that a slice takes along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct SliceRange {
    pub start: usize,
    pub step: isize,
    pub size: usize,
}

/// The range of an ONNX Slice along an axis of `size`; none if it is empty.
fn cut(start: i64, end: i64, step: i64, size: usize) -> Option<SliceRange> {
    let n = i64::try_from(size).ok()?;
    let place = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (start, end) = (place(start), place(end));
    let (start, count) = if step > 0 {
        let (start, end) = (start.clamp(0, n), end.clamp(0, n));
        (start, if end > start { (end - start - 1) / step + 1 } else { 0 })
    } else if step < 0 {
        let (start, end) = (start.clamp(0, n - 1), end.clamp(-1, n - 1));
        (start, (start - end).checked_sub(step)?.checked_sub(1)? / step.checked_neg()?)
    } else {
        return None;
    };
    let size = usize::try_from(count).ok().filter(|&c| c > 0)?;
    Some(SliceRange {
        start: usize::try_from(start).ok()?,
        step: isize::try_from(step).ok()?,
        size,
    })
}

/// The stored byte of exactly `value` in the tensor; none if there is none.
fn filler(tensor: &Value, value: f64) -> Option<i8> {
    match tensor {
        Value::Deferred(Deferred::Affine(a)) => (i8::MIN..=i8::MAX).find(|&x| a.real(x) == value),
        Value::Quantized(s) => {
            let shift = if s.unsigned { 128.0 } else { 0.0 };
            (i8::MIN..=i8::MAX).find(|&x| f64::from(x) + shift == value)
        }
        _ => None,
    }
}
