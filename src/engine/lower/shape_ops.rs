//! Operators that move elements without changing them. Most only change the view of a tensor.

use super::context::{LowerResult, Lowering, run_in_float};
use super::plan_builder::ElementKind;
use super::slices::set_at;
use super::value::{
    Affine, Deferred, DeferredOp, QuantizedTensor, Scaling, ShapeOp, Value, Weights,
};
use crate::engine::graph::{Node, element_count};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::shapes::axis;
use crate::engine::tensor_view::{BufferRef, TensorView};
use crate::tensor::{Data, Quant, Tensor};
use inferd_kernels::Strided;
use std::rc::Rc;

/// The shape of a value, if it is known.
pub(super) fn shape(value: &Value) -> Option<Vec<usize>> {
    Some(match value {
        Value::Constant(tensor) => tensor.shape.clone(),
        Value::Quantized(stored) => stored.view.shape.clone(),
        Value::Float(view) => view.shape.clone(),
        Value::Deferred(Deferred::Weights(weights)) => weights.tensor.shape.clone(),
        Value::Deferred(Deferred::Affine(affine)) => affine.view.shape.clone(),
        Value::Deferred(Deferred::Table { view, .. }) => view.shape.clone(),
        Value::Deferred(Deferred::Op(deferred)) => deferred.shape.clone(),
        Value::Deferred(Deferred::Float(draft)) => draft.view.shape.clone(),
        Value::Accumulators(product) => product.result.shape.clone(),
        Value::OpaqueTensor(other) => other.shape.clone(),
        Value::Opaque | Value::Scale { .. } | Value::ZeroPoint { .. } => return None,
        Value::Pending | Value::Blocked => return None,
    })
}

impl Lowering<'_> {
    pub(super) fn movement(&mut self, node: &ExpandedNode) -> LowerResult {
        let value = self.value(node, 0)?.clone();
        let Some(from) = shape(&value) else {
            return run_in_float("its input is not a tensor in memory");
        };
        let moved = match self.movement_of(node, &from)? {
            None => value,
            Some(step) if matches!(value, Value::Deferred(Deferred::Float(_))) => {
                self.moved_draft(node.input(0), &step)?
            }
            Some(step) => self.moved_value(value, &step)?,
        };
        self.set(node, moved);
        Ok(())
    }

    /// The effect of the node on a tensor of this shape; none if it has no effect.
    pub(super) fn movement_of(
        &self,
        node: &ExpandedNode,
        from: &[usize],
    ) -> LowerResult<Option<ShapeOp>> {
        let rank = from.len();
        let shape: Vec<usize> = match node.op.as_str() {
            "Identity" | "Dropout" => return Ok(None),
            "Transpose" => {
                return self.permutation(node, rank).map(|p| Some(ShapeOp::Transpose(p)));
            }
            "Reshape" => self.new_shape(node, from)?,
            "Flatten" => {
                let given = node.int("axis").unwrap_or(1);
                let at = if given == i64::try_from(rank).unwrap_or(0) {
                    Some(rank)
                } else {
                    axis(given, rank)
                };
                let Some(at) = at else { return run_in_float("its axis is out of range") };
                vec![from.iter().take(at).product(), from.iter().skip(at).product()]
            }
            "Squeeze" => {
                let axes = self.axes(node, 1, rank)?;
                let gone = |a: usize, d: usize| match &axes {
                    Some(axes) => axes.contains(&a),
                    None => d == 1,
                };
                from.iter().enumerate().filter(|&(a, &d)| !gone(a, d)).map(|(_, &d)| d).collect()
            }
            _ => {
                let count = node.ints("axes").map(<[i64]>::len);
                let count = count.or_else(|| self.whole_numbers(node, 1).map(|a| a.len()));
                let rank = rank + count.unwrap_or(0);
                let Some(axes) = self.axes(node, 1, rank)? else {
                    return run_in_float("it has no axes");
                };
                let mut old = from.iter();
                let size = |a| if axes.contains(&a) { Some(1) } else { old.next().copied() };
                match (0..rank).map(size).collect::<Option<Vec<_>>>() {
                    Some(shape) => shape,
                    None => return run_in_float("an axis is named twice"),
                }
            }
        };
        if element_count(&shape).ok() != element_count(from).ok() {
            let reason = format!("shape {from:?} does not become shape {shape:?}");
            return Err(self.refuse(node, reason).into());
        }
        Ok(Some(ShapeOp::Reshape(shape)))
    }

    fn permutation(&self, node: &ExpandedNode, rank: usize) -> LowerResult<Vec<usize>> {
        let Some(perm) = node.ints("perm") else { return Ok((0..rank).rev().collect()) };
        let perm: Vec<usize> = perm.iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        if perm.len() != rank || !(0..rank).all(|a| perm.contains(&a)) {
            return Err(self
                .refuse(node, format!("its perm {perm:?} does not fit rank {rank}"))
                .into());
        }
        Ok(perm)
    }

    /// The shape after a Reshape: 0 keeps a dimension, -1 takes the rest.
    fn new_shape(&self, node: &Node, from: &[usize]) -> LowerResult<Vec<usize>> {
        let Some(given) = self.whole_numbers(node, 1) else {
            return run_in_float("its shape is not a constant");
        };
        let keep = node.int("allowzero").unwrap_or(0) == 0;
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
                    Err(_) => return run_in_float(format!("its shape is {given:?}")),
                },
            });
        }
        let known: usize = shape.iter().fold(1usize, |v, &d| v.saturating_mul(d)).max(1);
        let left = from.iter().product::<usize>() / known;
        if let Some(open) = open {
            set_at(&mut shape, open, left);
        }
        Ok(shape)
    }

    fn moved_value(&mut self, value: Value, step: &ShapeOp) -> LowerResult<Value> {
        Ok(match value {
            Value::Quantized(s) => Value::Quantized(QuantizedTensor {
                view: self.moved_view(&s.view, step, ElementKind::Bytes),
                ..s
            }),
            Value::Float(view) => Value::Float(self.moved_view(&view, step, ElementKind::Floats)),
            Value::Deferred(Deferred::Affine(a)) => {
                let view = self.moved_view(&a.view, step, ElementKind::Bytes);
                Value::Deferred(Deferred::Affine(Affine { view, ..a }))
            }
            Value::Deferred(Deferred::Table { view, values }) => {
                let view = self.moved_view(&view, step, ElementKind::Bytes);
                Value::Deferred(Deferred::Table { view, values })
            }
            Value::Deferred(Deferred::Weights(weights)) => match moved_weights(&weights, step) {
                Some(weights) => Value::Deferred(Deferred::Weights(Rc::new(weights))),
                None => return run_in_float("its scales do not follow the new shape"),
            },
            Value::Deferred(Deferred::Op(deferred)) => {
                let shape = match step {
                    ShapeOp::Transpose(perm) => {
                        perm.iter().filter_map(|&p| deferred.shape.get(p).copied()).collect()
                    }
                    ShapeOp::Reshape(shape) => shape.clone(),
                };
                let moves = deferred.moves.iter().chain([step]).cloned().collect();
                Value::Deferred(Deferred::Op(Box::new(DeferredOp { moves, shape, ..*deferred })))
            }
            _ => return run_in_float("its input is not a tensor in memory"),
        })
    }

    fn moved_view(&mut self, view: &TensorView, step: &ShapeOp, kind: ElementKind) -> TensorView {
        match step {
            ShapeOp::Transpose(perm) => view.transposed(perm),
            ShapeOp::Reshape(shape) => self.builder.reshaped(view, shape, kind),
        }
    }

    /// Lowers a Shape to a constant.
    pub(super) fn shape_of(&mut self, node: &ExpandedNode) -> LowerResult {
        let Some(shape) = shape(self.value(node, 0)?) else {
            return run_in_float("the shape of its input is not known");
        };
        // Both ends count from the last axis if they are negative, and are cut to the rank.
        let rank = i64::try_from(shape.len()).unwrap_or(i64::MAX);
        let place = |name: &str, open: i64| {
            let given = node.int(name).unwrap_or(open);
            let place = if given < 0 { given.saturating_add(rank) } else { given };
            usize::try_from(place.clamp(0, rank)).unwrap_or(0)
        };
        let (start, end) = (place("start", 0), place("end", rank));
        let shape = shape.get(start..end).unwrap_or_default();
        let values = shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
        let tensor = Tensor { shape: vec![shape.len()], data: Data::I64(values) };
        self.set(node, Value::Constant(Rc::new(tensor)));
        Ok(())
    }
}

/// Dequantized constants, moved at load.
fn moved_weights(weights: &Weights, step: &ShapeOp) -> Option<Weights> {
    let single = weights.scales.len() == 1;
    let (tensor, axis) = match step {
        ShapeOp::Transpose(perm) => {
            let axis = perm.iter().position(|&p| p == weights.axis);
            (transposed(&weights.tensor, perm), if single { 0 } else { axis? })
        }
        ShapeOp::Reshape(shape) => {
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
    let view = TensorView::plain(BufferRef::Constant(0), &tensor.shape).transposed(perm);
    let to = TensorView::plain(BufferRef::Constant(0), &view.shape);
    let strided = Strided::new(&view.shape, &view.side(), &to.side());
    let mut data = Data::zeros(tensor.dtype(), view.len());
    match (&tensor.data, &mut data) {
        (Data::I8(from), Data::I8(to)) => strided.run(from, to, |x| x),
        (Data::U8(from), Data::U8(to)) => strided.run(from, to, |x| x),
        (Data::I32(from), Data::I32(to)) => strided.run(from, to, |x| x),
        _ => {}
    }
    Tensor { shape: view.shape, data }
}

impl QuantizedTensor {
    /// The scale and zero point, if they are known at load.
    pub(super) fn quant(&self) -> Option<Quant> {
        match self.scale {
            Scaling::Fixed(quant) => Some(quant),
            Scaling::Unknown | Scaling::Measured(_) => None,
        }
    }
}
