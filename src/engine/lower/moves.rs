//! Nodes that move elements and change none: most of them only change how a tensor is looked at.

use super::amounts::axis;
use super::value::{Affine, Lazy, Move, Real, Scaling, Stored, Value, Weights};
use super::{Holds, Lower, Lowering, float};
use crate::engine::kernels::{Fit, Table};
use crate::engine::plan::Action;
use crate::engine::proto::Attributes;
use crate::engine::qoperator::Node;
use crate::engine::spec::volume;
use crate::engine::strided::{Side, Strided};
use crate::engine::view::{Place, View};
use crate::tensor::{Data, Quant, Tensor};
use std::rc::Rc;
use tract_onnx::pb::NodeProto;

/// The shape of a value, where it is known and in use.
pub(super) fn shape(value: &Value) -> Option<Vec<usize>> {
    Some(match value {
        Value::Constant(tensor) => tensor.shape.clone(),
        Value::Stored(stored) => stored.view.shape.clone(),
        Value::Float(view) => view.shape.clone(),
        Value::Real(Real::Weights(weights)) => weights.tensor.shape.clone(),
        Value::Real(Real::Affine(affine)) => affine.view.shape.clone(),
        Value::Real(Real::Table { view, .. }) => view.shape.clone(),
        Value::Real(Real::Lazy(lazy)) => lazy.shape.clone(),
        Value::Sums(product) => product.result.shape.clone(),
        Value::Other(other) => other.shape.clone(),
        Value::Opaque | Value::Scale { .. } | Value::Zero { .. } => return None,
        Value::Pending | Value::Blocked => return None,
    })
}

impl Lowering<'_> {
    pub(super) fn movement(&mut self, node: &Node) -> Lower {
        let value = self.value(&node.proto, 0)?.clone();
        let Some(from) = shape(&value) else { return float("its input is not a tensor in memory") };
        let moved = match self.movement_of(node, &from)? {
            None => value,
            Some(step) => self.moved_value(value, &step)?,
        };
        self.set(node, moved);
        Ok(())
    }

    /// What the node does to a tensor of this shape.
    fn movement_of(&self, node: &Node, from: &[usize]) -> Lower<Option<Move>> {
        let (proto, rank) = (&node.proto, from.len());
        let shape: Vec<usize> = match proto.op_type.as_str() {
            "Identity" | "Dropout" => return Ok(None),
            "Transpose" => return self.permutation(node, rank).map(|p| Some(Move::Transpose(p))),
            "Reshape" => self.new_shape(proto, from)?,
            "Flatten" => {
                let given = proto.int("axis").unwrap_or(1);
                let at = if given == i64::try_from(rank).unwrap_or(0) {
                    Some(rank)
                } else {
                    axis(given, rank)
                };
                let Some(at) = at else { return float("its axis is out of range") };
                vec![from.iter().take(at).product(), from.iter().skip(at).product()]
            }
            "Squeeze" => {
                let axes = self.axes(proto, 1, rank)?;
                let gone = |a: usize, d: usize| match &axes {
                    Some(axes) => axes.contains(&a),
                    None => d == 1,
                };
                from.iter().enumerate().filter(|&(a, &d)| !gone(a, d)).map(|(_, &d)| d).collect()
            }
            _ => {
                let count = proto.ints("axes").map(<[i64]>::len);
                let count = count.or_else(|| self.whole_numbers(proto, 1).map(|a| a.len()));
                let rank = rank + count.unwrap_or(0);
                let Some(axes) = self.axes(proto, 1, rank)? else { return float("it has no axes") };
                let mut old = from.iter();
                let size = |a| if axes.contains(&a) { Some(1) } else { old.next().copied() };
                match (0..rank).map(size).collect::<Option<Vec<_>>>() {
                    Some(shape) => shape,
                    None => return float("an axis is named twice"),
                }
            }
        };
        if volume(&shape).ok() != volume(from).ok() {
            let reason = format!("shape {from:?} does not become shape {shape:?}");
            return Err(self.refuse(node, reason).into());
        }
        Ok(Some(Move::Reshape(shape)))
    }

    fn permutation(&self, node: &Node, rank: usize) -> Lower<Vec<usize>> {
        let Some(perm) = node.proto.ints("perm") else { return Ok((0..rank).rev().collect()) };
        let perm: Vec<usize> = perm.iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        if perm.len() != rank || !(0..rank).all(|a| perm.contains(&a)) {
            return Err(self
                .refuse(node, format!("its perm {perm:?} is none of rank {rank}"))
                .into());
        }
        Ok(perm)
    }

    /// The target of a Reshape: 0 keeps a dimension, -1 takes what is left.
    fn new_shape(&self, proto: &NodeProto, from: &[usize]) -> Lower<Vec<usize>> {
        let Some(given) = self.whole_numbers(proto, 1) else {
            return float("its shape is not a constant");
        };
        let keep = proto.int("allowzero").unwrap_or(0) == 0;
        let mut shape = Vec::new();
        let mut open = None;
        for (i, &d) in given.iter().enumerate() {
            shape.push(match (d, from.get(i)) {
                (0, Some(&d)) if keep => d,
                (-1, _) if open.is_none() => {
                    open = Some(i);
                    1
                }
                (d, _) => match usize::try_from(d) {
                    Ok(d) => d,
                    Err(_) => return float(format!("its shape is {given:?}")),
                },
            });
        }
        let known: usize = shape.iter().fold(1usize, |v, &d| v.saturating_mul(d)).max(1);
        let left = from.iter().product::<usize>() / known;
        shape.iter_mut().enumerate().filter(|(i, _)| Some(*i) == open).for_each(|(_, d)| *d = left);
        Ok(shape)
    }

    fn moved_value(&mut self, value: Value, step: &Move) -> Lower<Value> {
        Ok(match value {
            Value::Stored(s) => {
                Value::Stored(Stored { view: self.moved_view(&s.view, step, Holds::Bytes), ..s })
            }
            Value::Float(view) => Value::Float(self.moved_view(&view, step, Holds::Floats)),
            Value::Real(Real::Affine(a)) => {
                let view = self.moved_view(&a.view, step, Holds::Bytes);
                Value::Real(Real::Affine(Affine { view, ..a }))
            }
            Value::Real(Real::Table { view, values }) => {
                let view = self.moved_view(&view, step, Holds::Bytes);
                Value::Real(Real::Table { view, values })
            }
            Value::Real(Real::Weights(weights)) => match moved_weights(&weights, step) {
                Some(weights) => Value::Real(Real::Weights(Rc::new(weights))),
                None => return float("its scales do not follow the new shape"),
            },
            Value::Real(Real::Lazy(lazy)) => {
                let shape = match step {
                    Move::Transpose(perm) => {
                        perm.iter().filter_map(|&p| lazy.shape.get(p).copied()).collect()
                    }
                    Move::Reshape(shape) => shape.clone(),
                };
                let moves = lazy.moves.iter().chain([step]).cloned().collect();
                Value::Real(Real::Lazy(Lazy { moves, shape, ..lazy }))
            }
            _ => return float("its input is not a tensor in memory"),
        })
    }

    fn moved_view(&mut self, view: &View, step: &Move, holds: Holds) -> View {
        match step {
            Move::Transpose(perm) => view.transposed(perm),
            Move::Reshape(shape) => self.draft.reshaped(view, shape, holds),
        }
    }

    /// The shape as a constant.
    pub(super) fn shape_of(&mut self, node: &Node) -> Lower {
        let Some(shape) = shape(self.value(&node.proto, 0)?) else {
            return float("the shape of its input is not known");
        };
        if node.proto.int("start").is_some() || node.proto.int("end").is_some() {
            return float("it takes a part of the shape");
        }
        let values = shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
        let tensor = Tensor { shape: vec![shape.len()], data: Data::I64(values) };
        self.set(node, Value::Constant(Rc::new(tensor)));
        Ok(())
    }

    pub(super) fn slice(&mut self, node: &Node) -> Lower {
        let proto = &node.proto;
        let value = self.value(proto, 0)?.clone();
        let Some(from) = shape(&value) else { return float("its input is not a tensor in memory") };
        let list = |name: &str, i: usize| {
            proto.ints(name).map(<[i64]>::to_vec).or_else(|| self.whole_numbers(proto, i))
        };
        let (Some(starts), Some(ends)) = (list("starts", 1), list("ends", 2)) else {
            return float("its bounds are not constants");
        };
        let rank = from.len();
        let axes = match self.axes(proto, 3, rank)? {
            Some(axes) => axes,
            None => (0..starts.len()).collect(),
        };
        let steps = match self.optional(proto, 4) {
            None => vec![1; starts.len()],
            Some(_) => list("steps", 4).unwrap_or_default(),
        };
        let mut parts: Vec<Part> =
            from.iter().map(|&size| Part { start: 0, step: 1, size }).collect();
        if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
            return float("its bounds are of several lengths");
        }
        for (((&start, &end), &step), &axis) in starts.iter().zip(&ends).zip(&steps).zip(&axes) {
            let Some(part) = parts.get_mut(axis) else { return float("an axis is out of range") };
            *part = match cut(start, end, step, part.size) {
                Some(part) => part,
                None => return float("it cuts out nothing"),
            };
        }
        let value = self.cut_value(&value, &parts)?;
        self.set(node, value);
        Ok(())
    }

    /// The part of a value in memory.
    pub(super) fn cut_value(&mut self, value: &Value, parts: &[Part]) -> Lower<Value> {
        Ok(match value {
            Value::Stored(s) => Value::Stored(Stored {
                view: self.cut_view(&s.view, parts, Holds::Bytes),
                ..s.clone()
            }),
            Value::Real(Real::Affine(a)) => {
                let view = self.cut_view(&a.view, parts, Holds::Bytes);
                Value::Real(Real::Affine(Affine { view, ..a.clone() }))
            }
            Value::Real(Real::Table { view, values }) => {
                let view = self.cut_view(view, parts, Holds::Bytes);
                Value::Real(Real::Table { view, values: values.clone() })
            }
            _ => return float("its input is not quantized"),
        })
    }

    fn cut_view(&mut self, view: &View, parts: &[Part], holds: Holds) -> View {
        let mut from = Side::of(view);
        let mut start = 0;
        for (stride, part) in from.strides.iter_mut().zip(parts) {
            start += part.start * stride.unsigned_abs();
            *stride *= part.step;
        }
        from.start = start;
        let shape: Vec<usize> = parts.iter().map(|p| p.size).collect();
        let to = View { place: view.place, shape: shape.clone(), order: view.order.clone() };
        self.draft.copied(view, &shape, from, &to, holds)
    }

    pub(super) fn pad(&mut self, node: &Node) -> Lower {
        let proto = &node.proto;
        let Value::Real(Real::Affine(a)) = self.value(proto, 0)?.clone() else {
            return float("its input is not quantized");
        };
        if proto.text("mode").is_some_and(|m| m != "constant") {
            return float("it pads with other than a constant");
        }
        let rank = a.view.shape.len();
        let given =
            proto.ints("pads").map(<[i64]>::to_vec).or_else(|| self.whole_numbers(proto, 1));
        let value = match (proto.float("value"), self.optional(proto, 2)) {
            (Some(value), _) => Some(f64::from(value)),
            (None, None) => Some(0.0),
            (None, Some(_)) => self.number(proto, 2),
        };
        let (Some(given), Some(value)) = (given, value) else {
            return float("its pads are not constants");
        };
        let axes = self.axes(proto, 3, rank)?.unwrap_or_else(|| (0..rank).collect());
        let pads: Vec<usize> = given.iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        if pads.len() != 2 * axes.len() || given.len() != pads.len() {
            return float(format!("its pads are {given:?}"));
        }
        let target =
            super::quantization::Target { scale: a.scale, fit: Fit::full(a.zero), unsigned: false };
        let fill = target.store(value);
        if a.real(fill) != value {
            return float("what it pads with is not a value of its input's scale");
        }
        let view = self.padded(&a.view, &axes, &pads, fill)?;
        self.set(node, Value::Real(Real::Affine(Affine { view, ..a })));
        Ok(())
    }

    fn padded(&mut self, view: &View, axes: &[usize], pads: &[usize], fill: i8) -> Lower<View> {
        let mut whole = view.clone();
        let mut before = vec![0; view.shape.len()];
        let (begins, ends) = pads.split_at(axes.len());
        for ((&axis, &begin), &end) in axes.iter().zip(begins).zip(ends) {
            if let (Some(size), Some(before)) = (whole.shape.get_mut(axis), before.get_mut(axis)) {
                *size = size.saturating_add(begin).saturating_add(end);
                *before = begin;
            }
        }
        let Ok(len) = volume(&whole.shape) else { return float("its result is too large") };
        whole.place = self.draft.buffer(Holds::Bytes, len);
        self.draft.push(Action::Fill(fill), &[], whole.place, len);
        let mut to = Side::of(&whole);
        to.start = to.strides.iter().zip(&before).map(|(s, b)| s.unsigned_abs() * b).sum();
        let strided = Strided::new(&view.shape, &Side::of(view), &to);
        self.draft.push(Action::Copy { strided, table: None }, &[view], whole.place, len);
        Ok(whole)
    }
}

/// What is taken along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub start: usize,
    pub step: isize,
    pub size: usize,
}

/// ONNX Slice along an axis of `size`; none where nothing is left.
fn cut(start: i64, end: i64, step: i64, size: usize) -> Option<Part> {
    let n = i64::try_from(size).ok()?;
    let place = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (start, end) = (place(start), place(end));
    let (start, count) = if step > 0 {
        let (start, end) = (start.clamp(0, n), end.clamp(0, n));
        (start, (end - start + step - 1) / step)
    } else if step < 0 {
        let (start, end) = (start.clamp(0, n - 1), end.clamp(-1, n - 1));
        (start, (start - end).checked_sub(step)?.checked_sub(1)? / step.checked_neg()?)
    } else {
        return None;
    };
    let size = usize::try_from(count).ok().filter(|&c| c > 0)?;
    Some(Part { start: usize::try_from(start).ok()?, step: isize::try_from(step).ok()?, size })
}

/// Constants behind a dequantization, moved at load.
fn moved_weights(weights: &Weights, step: &Move) -> Option<Weights> {
    let single = weights.scales.len() == 1;
    let (tensor, axis) = match step {
        Move::Transpose(perm) => {
            let axis = perm.iter().position(|&p| p == weights.axis);
            (transposed(&weights.tensor, perm), if single { 0 } else { axis? })
        }
        Move::Reshape(shape) => {
            let data = weights.tensor.data.clone();
            let tensor = Tensor { shape: shape.clone(), data };
            let before: usize = weights.tensor.shape.iter().take(weights.axis).product();
            let same = |a: &usize| {
                shape.get(*a) == Some(&weights.scales.len())
                    && shape.iter().take(*a).product::<usize>() == before
            };
            (tensor, if single { 0 } else { (0..shape.len()).find(same)? })
        }
    };
    let (scales, zeros) = (weights.scales.clone(), weights.zeros.clone());
    Some(Weights { tensor: Rc::new(tensor), scales, zeros, axis })
}

fn transposed(tensor: &Tensor, perm: &[usize]) -> Tensor {
    let view = View::plain(Place::Constant(0), &tensor.shape).transposed(perm);
    let to = View::plain(Place::Constant(0), &view.shape);
    let strided = Strided::new(&view.shape, &Side::of(&view), &Side::of(&to));
    let mut data = Data::zeros(tensor.dtype(), view.len());
    match (&tensor.data, &mut data) {
        (Data::I8(from), Data::I8(to)) => strided.run(from, to, |x| x),
        (Data::U8(from), Data::U8(to)) => strided.run(from, to, |x| x),
        (Data::I32(from), Data::I32(to)) => strided.run(from, to, |x| x),
        _ => {}
    }
    Tensor { shape: view.shape, data }
}

impl Stored {
    /// The scale, where it is known at load.
    pub(super) fn quant(&self) -> Option<Quant> {
        match self.scale {
            Scaling::Fixed(quant) => Some(quant),
            Scaling::Unknown | Scaling::Measured(_) => None,
        }
    }
}

/// What a byte goes through on its way, where it goes through something.
pub(super) type Through = Option<Table>;
