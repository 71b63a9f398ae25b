//! Dynamic quantization: ranges measured at run time, and integer sums that are scaled afterwards.

use super::context::{LowerResult, Lowering, NotLowered, run_in_float};
use super::conv::check_overflow;
use super::plan_builder::ElementKind;
use super::shape_ops::shape;
use super::value::{
    AccumulatorScale, Deferred, Product, QuantizedTensor, Scaling, Value, Weights, ZeroPoint,
};
use crate::engine::graph::{ElementType, integers, reals};
use crate::engine::plan::Operation;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use crate::tensor::{Data, Dtype};
use inferd_kernels::MAX_SAFE_DEPTH;
use std::rc::Rc;

impl Lowering<'_> {
    pub(super) fn dynamic_quantize(&mut self, node: &ExpandedNode) -> LowerResult {
        let name = node.inputs.first().cloned().unwrap_or_default();
        let Some(view) = self.in_float(&name)? else {
            return run_in_float("its input is not of floats");
        };
        let slot = self.builder.dynamic_ranges;
        self.builder.dynamic_ranges += 1;
        let operation = Operation::QuantizeDynamic { slot };
        let view = self.builder.emit_step_like(operation, &[&view], ElementKind::Bytes);
        let stored = QuantizedTensor { view, unsigned: true, scale: Scaling::Measured(slot) };
        self.set_output(node, 0, Value::Quantized(stored));
        self.set_output(node, 1, Value::Scale { slot, factors: Rc::new(vec![1.0]) });
        self.set_output(node, 2, Value::ZeroPoint { slot });
        Ok(())
    }

    pub(super) fn matmul_integer(&mut self, node: &ExpandedNode) -> LowerResult {
        let lowered = self.matrix_sums(node);
        let last = |shape: Vec<usize>| shape.last().copied();
        let depth = self.optional(node, 0).and_then(shape).and_then(last);
        self.refuse_overflow(node, lowered, depth)
    }

    pub(super) fn conv_integer(&mut self, node: &ExpandedNode) -> LowerResult {
        let lowered = self.window_sums(node);
        let taps = |shape: Vec<usize>| shape.iter().skip(1).product();
        let depth = self.optional(node, 1).and_then(shape).map(taps);
        self.refuse_overflow(node, lowered, depth)
    }

    fn matrix_sums(&mut self, node: &ExpandedNode) -> LowerResult<Product> {
        let (view, zero, weights) = self.integer_operands(node, 1)?;
        self.times(node, &view, zero, &weights, AccumulatorScale::None)
    }

    fn window_sums(&mut self, node: &ExpandedNode) -> LowerResult<Product> {
        let (view, zero, weights) = self.integer_operands(node, 0)?;
        self.convolution(node, &view, zero, &weights, AccumulatorScale::None)
    }

    /// Refuses a node whose sums could overflow. The float runtime sums such products in 32 bits
    /// too, and wraps around silently, as ONNX allows. `depth` is the number of products in a sum.
    fn refuse_overflow(
        &mut self,
        node: &ExpandedNode,
        lowered: LowerResult<Product>,
        depth: Option<usize>,
    ) -> LowerResult {
        match lowered.and_then(|product| check_overflow(&product).map(|()| product)) {
            Ok(product) => {
                self.set(node, Value::Accumulators(Rc::new(product)));
                Ok(())
            }
            Err(NotLowered::RunInFloat(_)) if depth.is_some_and(|k| k > MAX_SAFE_DEPTH) => {
                Err(self.refuse(node, "a 32-bit sum of it could overflow").into())
            }
            Err(stop) => Err(stop),
        }
    }

    /// Input, its zero point, and constant weights with theirs (per output, counted along the last
    /// axis or the first: `columns` is 1 or 0).
    fn integer_operands(
        &self,
        node: &ExpandedNode,
        columns: usize,
    ) -> LowerResult<(TensorView, ZeroPoint, Weights)> {
        let Value::Quantized(stored) = self.value(node, 0)? else {
            return run_in_float("its input is not a tensor of bytes");
        };
        if stored.view.len() == 0 {
            return run_in_float("its input is empty");
        }
        let zero = match self.optional(node, 2) {
            None => QuantizedTensor::shift(stored.unsigned, 0).map(ZeroPoint::Fixed),
            Some(Value::ZeroPoint { slot }) if stored.scale == Scaling::Measured(*slot) => {
                Some(ZeroPoint::Measured(*slot))
            }
            Some(Value::Constant(tensor)) => match integers(tensor).as_deref() {
                Some(&[zero]) => i32::try_from(zero)
                    .ok()
                    .and_then(|z| QuantizedTensor::shift(stored.unsigned, z))
                    .map(ZeroPoint::Fixed),
                _ => None,
            },
            Some(_) => None,
        };
        let Some(zero) = zero else {
            return run_in_float("its zero point is not that of its input");
        };
        let Some(tensor) = self.constant(node, 1) else {
            return run_in_float("its weights are not constants");
        };
        let zeros = match self.optional(node, 3) {
            None => vec![0],
            Some(Value::Constant(zeros)) => integers(zeros).unwrap_or_default(),
            Some(_) => return run_in_float("the zero point of its weights is not a constant"),
        };
        let Ok(zeros) = zeros.into_iter().map(i32::try_from).collect::<Result<Vec<_>, _>>() else {
            return run_in_float("the zero point of its weights is out of range");
        };
        let rank = tensor.shape.len();
        let axis = if columns == 0 { 0 } else { rank.saturating_sub(1) };
        let outputs = tensor.shape.get(axis).copied().unwrap_or(0);
        if zeros.len() != 1 && zeros.len() != outputs {
            let reason = format!("{} zero points for {outputs} outputs", zeros.len());
            return Err(self.refuse(node, reason).into());
        }
        let scales = vec![1.0; zeros.len()];
        Ok((stored.view.clone(), zero, Weights { tensor: tensor.clone(), scales, zeros, axis }))
    }

    pub(super) fn cast(&mut self, node: &ExpandedNode) -> LowerResult {
        let to = node.int("to").unwrap_or(0);
        if let Value::Quantized(stored) = self.value(node, 0)?
            && to == code(if stored.unsigned { Dtype::U8 } else { Dtype::I8 })
        {
            let same = Value::Quantized(stored.clone());
            self.set(node, same);
            return Ok(());
        }
        if to != code(Dtype::F32) {
            return run_in_float("it casts to another type than f32");
        }
        let value = match self.value(node, 0)? {
            Value::Accumulators(product) if matches!(product.unit, AccumulatorScale::None) => {
                Value::Accumulators(Rc::new(Product {
                    unit: AccumulatorScale::One,
                    ..(**product).clone()
                }))
            }
            same @ (Value::Deferred(_) | Value::Float(_)) => same.clone(),
            _ => return run_in_float("it casts from integers"),
        };
        self.set(node, value);
        Ok(())
    }

    /// The product of a measured scale and a constant, or of sums and their scale. None for other
    /// products.
    pub(super) fn scaled(&mut self, a: &Value, b: &Value) -> LowerResult<Option<Value>> {
        Ok(match (a, b) {
            (Value::Scale { slot, factors }, Value::Constant(tensor))
            | (Value::Constant(tensor), Value::Scale { slot, factors }) => {
                let Data::F32(values) = &tensor.data else {
                    return run_in_float("its factor is not f32");
                };
                let factors = match (factors.as_slice(), values.as_slice()) {
                    ([one], all) | (all, [one]) => all.iter().map(|x| x * one).collect(),
                    _ => return run_in_float("its factors are of two lengths"),
                };
                Some(Value::Scale { slot: *slot, factors: Rc::new(factors) })
            }
            (Value::Accumulators(product), Value::Scale { slot, factors })
            | (Value::Scale { slot, factors }, Value::Accumulators(product)) => {
                let own = matches!(product.zero, ZeroPoint::Measured(own) if own == *slot);
                let last = product.axis + 1 == product.result.shape.len();
                if !own || !(factors.len() == 1 || (last && factors.len() == product.columns)) {
                    return run_in_float("its scale is not that of its input");
                }
                Some(unitless(product, AccumulatorScale::Measured(*slot, factors.clone()))?)
            }
            (Value::Accumulators(product), Value::Constant(tensor))
            | (Value::Constant(tensor), Value::Accumulators(product))
                if tensor.dtype() == Dtype::F32 && tensor.data.len() == 1 =>
            {
                let units = reals(tensor).unwrap_or_default();
                if matches!(product.zero, ZeroPoint::Measured(_)) || !units.iter().all(|u| *u > 0.0)
                {
                    return run_in_float("its scale is not that of its input");
                }
                Some(unitless(product, AccumulatorScale::Fixed(Rc::new(units)))?)
            }
            _ => None,
        })
    }
}

/// The number of a type in the attributes of a node.
fn code(dtype: Dtype) -> i64 {
    i64::from(ElementType::from(dtype).code())
}

/// Sums that were cast to float, with what a unit of them is worth.
fn unitless(product: &Product, unit: AccumulatorScale) -> LowerResult<Value> {
    if !matches!(product.unit, AccumulatorScale::One) {
        return run_in_float("its sums are not cast to float");
    }
    let product = Product { unit, ..product.clone() };
    let shape = product.result.shape.clone();
    let op = super::value::OpKind::Product(Rc::new(product));
    Ok(Value::Deferred(Deferred::Op(super::value::DeferredOp::new(op, shape))))
}
