//! Sums, products and bounds of deferred values.

use super::context::{LowerResult, Lowering, run_in_float};
use super::plan_builder::ElementKind;
use super::value::{
    Affine, Deferred, DeferredOp, OpKind, Product, QuantizedTensor, ShapeOp, Value,
};
use crate::engine::plan::Operation;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::Table;
use std::rc::Rc;

impl Lowering<'_> {
    /// Add, Sub and Mul.
    pub(super) fn add_or_mul(&mut self, node: &ExpandedNode) -> LowerResult {
        let op = node.op.as_str();
        let a = self.value(node, 0)?.clone();
        let b = self.value(node, 1)?.clone();
        if op == "Mul"
            && let Some(value) = self.scaled(&a, &b)?
        {
            self.set(node, value);
            return Ok(());
        }
        if op == "Add"
            && let Some(deferred) = self.biased(&a, &b)?
        {
            self.set(node, Value::Deferred(Deferred::Op(deferred)));
            return Ok(());
        }
        let (Value::Deferred(real_a), Value::Deferred(real_b)) = (&a, &b) else {
            return self.function(node);
        };
        let same = |a: &Affine, b: &Affine| a.view == b.view;
        let (Some(a), Some(b)) = (self.as_affine(real_a), self.as_affine(real_b)) else {
            return self.function(node);
        };
        if same(&a, &b) || a.view.len() == 1 || b.view.len() == 1 {
            return self.function(node);
        }
        let (a, b) = self.broadcast(a, b)?;
        let shape = a.view.shape.clone();
        let op = match op {
            "Add" => OpKind::Add(a, b),
            "Sub" => OpKind::Sub(a, b),
            _ => OpKind::Mul(a, b),
        };
        self.set(node, Value::Deferred(Deferred::Op(DeferredOp::new(op, shape))));
        Ok(())
    }

    /// A product plus a constant per column; none if the values are not that.
    fn biased(&self, a: &Value, b: &Value) -> LowerResult<Option<Box<DeferredOp>>> {
        let (deferred, bias) = match (a, b) {
            (Value::Deferred(Deferred::Op(deferred)), bias)
            | (bias, Value::Deferred(Deferred::Op(deferred))) => (deferred, bias),
            _ => return Ok(None),
        };
        let OpKind::Product(product) = &deferred.op else { return Ok(None) };
        let Some(shape) = super::shape_ops::shape(bias) else { return Ok(None) };
        let constant = matches!(bias, Value::Constant(_) | Value::Deferred(Deferred::Weights(_)));
        if !constant || deferred.clamp != (f64::NEG_INFINITY, f64::INFINITY) {
            return Ok(None);
        }
        if !along_columns(&shape, deferred, product) {
            return run_in_float("what is added to it is not one per channel");
        }
        let mut product = (**product).clone();
        self.add_bias(&mut product, bias, 1.0)?;
        super::conv::check_overflow(&product)?;
        Ok(Some(Box::new(DeferredOp {
            op: OpKind::Product(Rc::new(product)),
            ..(**deferred).clone()
        })))
    }

    /// Both tensors in the same shape and axis order.
    fn broadcast(&mut self, a: Affine, b: Affine) -> LowerResult<(Affine, Affine)> {
        let rank = a.view.shape.len().max(b.view.shape.len());
        let lift = |view: &TensorView| -> TensorView {
            let missing = rank - view.shape.len();
            let shape = std::iter::repeat_n(1, missing).chain(view.shape.iter().copied()).collect();
            let order = (0..missing).chain(view.order.iter().map(|&a| a + missing)).collect();
            TensorView { buffer: view.buffer, shape, order }
        };
        let (va, vb) = (lift(&a.view), lift(&b.view));
        let pairs = va.shape.iter().zip(&vb.shape);
        let fit = |(&x, &y): (&usize, &usize)| {
            if x == y || y == 1 { Some(x) } else { (x == 1).then_some(y) }
        };
        let Some(shape) = pairs.map(fit).collect::<Option<Vec<_>>>() else {
            return run_in_float("its inputs do not fit each other");
        };
        let order = if va.shape == shape { va.order.clone() } else { vb.order.clone() };
        let va = self.spread(&va, &shape, &order);
        let vb = self.spread(&vb, &shape, &order);
        Ok((Affine { view: va, ..a }, Affine { view: vb, ..b }))
    }

    /// The tensor repeated to `shape`.
    fn spread(&mut self, view: &TensorView, shape: &[usize], order: &[usize]) -> TensorView {
        if view.shape == shape {
            return self.builder.ordered(view, order, ElementKind::Bytes);
        }
        let mut from = view.side();
        for (stride, (old, new)) in from.strides.iter_mut().zip(view.shape.iter().zip(shape)) {
            *stride = if old == new { *stride } else { 0 };
        }
        let to = TensorView { buffer: view.buffer, shape: shape.to_vec(), order: order.to_vec() };
        self.builder.copied(view, shape, from, &to, ElementKind::Bytes)
    }

    /// Relu and Clip.
    pub(super) fn clamp(&mut self, node: &ExpandedNode) -> LowerResult {
        if let Value::Quantized(stored) = self.value(node, 0)? {
            return self.clamp_stored(node, stored.clone());
        }
        let Value::Deferred(Deferred::Op(deferred)) = self.value(node, 0)? else {
            return self.function(node);
        };
        let deferred = deferred.clone();
        let (low, high) = self.bounds(node)?;
        // If the bounds cross, ONNX takes the upper one.
        let bound = |x: f64| x.max(low).min(high);
        let clamp = (bound(deferred.clamp.0), bound(deferred.clamp.1));
        self.set(node, Value::Deferred(Deferred::Op(Box::new(DeferredOp { clamp, ..*deferred }))));
        Ok(())
    }

    /// Bounds stored integers. PyTorch writes a range of 7 bits as a Clip after the quantization.
    fn clamp_stored(&mut self, node: &ExpandedNode, stored: QuantizedTensor) -> LowerResult {
        if node.op == "Relu" {
            return run_in_float("it works on integers");
        }
        let (low, high) = self.bounds(node)?;
        let shift = if stored.unsigned { 128 } else { 0 };
        let bound = |x: i8| {
            let kept = f64::from(i32::from(x) + shift).max(low).min(high);
            // Within the type unless the bounds are not, which ONNX does not allow.
            #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
            let kept = (kept - f64::from(shift)) as i8;
            kept
        };
        let table = Operation::Table(Box::new(Table::new(bound)));
        let view = self.builder.emit_step_like(table, &[&stored.view], ElementKind::Bytes);
        self.set(node, Value::Quantized(QuantizedTensor { view, ..stored }));
        Ok(())
    }

    /// The bounds of a Relu or Clip.
    pub(super) fn bounds(&self, node: &ExpandedNode) -> LowerResult<(f64, f64)> {
        if node.op == "Relu" {
            return Ok((0.0, f64::INFINITY));
        }
        let bound =
            |i: usize, name: &str, open: f64| match (self.optional(node, i), node.float(name)) {
                (Some(_), _) => match self.number(node, i) {
                    Some(bound) if !bound.is_nan() => Ok(bound),
                    _ => run_in_float("its bounds are not constants"),
                },
                (None, Some(bound)) => Ok(f64::from(bound)),
                (None, None) => Ok(open),
            };
        Ok((bound(1, "min", f64::NEG_INFINITY)?, bound(2, "max", f64::INFINITY)?))
    }
}

/// Whether a constant of this shape varies along the columns of a product that was moved since.
fn along_columns(shape: &[usize], deferred: &DeferredOp, product: &Product) -> bool {
    if shape.iter().all(|&d| d == 1) {
        return shape.len() <= deferred.shape.len();
    }
    let Some(axis) = moved_axis(product, &deferred.moves) else { return false };
    let from_end = deferred.shape.len() - axis;
    let mut places = shape.iter().rev().enumerate();
    shape.len() <= deferred.shape.len()
        && places.all(|(i, &d)| d == 1 || (i + 1 == from_end && d == product.columns))
}

/// The axis of the columns after the moves.
fn moved_axis(product: &Product, moves: &[ShapeOp]) -> Option<usize> {
    let mut axis = product.axis;
    let mut shape = product.result.shape.clone();
    for step in moves {
        match step {
            ShapeOp::Transpose(perm) => {
                axis = perm.iter().position(|&p| p == axis)?;
                shape = perm.iter().filter_map(|&p| shape.get(p).copied()).collect();
            }
            ShapeOp::Reshape(new) => {
                let before: usize = shape.iter().take(axis).product();
                let fits = |a: &usize| {
                    new.get(*a) == Some(&product.columns)
                        && new.iter().take(*a).product::<usize>() == before
                };
                axis = (0..new.len()).find(fits)?;
                shape.clone_from(new);
            }
        }
    }
    Some(axis)
}
