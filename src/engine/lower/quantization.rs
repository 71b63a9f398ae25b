//! QuantizeLinear and DequantizeLinear, the ends of integer regions.

use super::context::{LowerResult, Lowering, NotLowered, run_in_float};
use super::plan_builder::ElementKind;
use super::quant_params::QuantParams;
use super::target::{Target, is_unsigned};
use super::value::{Affine, Deferred, QuantizedTensor, Scaling, Value, Weights};
use super::weights::bytes;
use crate::engine::plan::Operation;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::{BufferRef, TensorView};
use crate::tensor::{Dtype, Quant, Tensor};
use inferd_kernels::Table;
use std::rc::Rc;

impl Lowering<'_> {
    pub(super) fn dequantize(&mut self, node: &ExpandedNode) -> LowerResult {
        if let Value::Opaque = self.value(node, 0)? {
            return Err(self.unsupported_constant(node));
        }
        let params = self.quant_params(node)?;
        let value = match self.value(node, 0)? {
            Value::Constant(tensor) => self.weights(node, &tensor.clone(), params)?,
            Value::Quantized(stored) => self.affine(node, &stored.clone(), &params)?,
            _ => return run_in_float("its input is not a tensor of bytes"),
        };
        self.set(node, Value::Deferred(value));
        Ok(())
    }

    /// Why a constant of an unsupported type is not dequantized. The float runtime has floats of 16
    /// bits, but none of the later types of 4 and 8 bits.
    fn unsupported_constant(&self, node: &ExpandedNode) -> NotLowered {
        let name = node.inputs.first().map_or("", String::as_str);
        match self.opaque.get(name).map(|tensor| tensor.element) {
            Some(element) if element.is_4_bit_integer() => {
                self.refuse(node, "4-bit integers are not supported").into()
            }
            Some(element) if element.is_tiny_float() => {
                self.refuse(node, "floats of 4 and 8 bits are not supported").into()
            }
            _ => NotLowered::RunInFloat("its input is not a tensor of bytes".into()),
        }
    }

    fn weights(
        &self,
        node: &ExpandedNode,
        tensor: &Rc<Tensor>,
        params: QuantParams,
    ) -> LowerResult<Deferred> {
        if params.dtype.is_some_and(|d| d != tensor.dtype()) {
            let reason =
                format!("its zero point is of another type than its {} values", tensor.dtype());
            return Err(self.refuse(node, reason).into());
        }
        let axis = self.channel_axis(node, &params, &tensor.shape)?;
        let QuantParams { scales, zeros, .. } = params;
        Ok(Deferred::Weights(Rc::new(Weights { tensor: tensor.clone(), scales, zeros, axis })))
    }

    fn affine(
        &mut self,
        node: &ExpandedNode,
        stored: &QuantizedTensor,
        params: &QuantParams,
    ) -> LowerResult<Deferred> {
        let own = if stored.unsigned { Dtype::U8 } else { Dtype::I8 };
        if let Some(dtype) = params.dtype.filter(|&d| d != own) {
            let reason = format!("its zero point is of type {dtype}, its input of type {own}");
            return Err(self.refuse(node, reason).into());
        }
        self.channel_axis(node, params, &stored.view.shape)?;
        if stored.view.len() == 0 {
            return run_in_float("its input is empty");
        }
        let ([scale], [zero]) = (params.scales.as_slice(), params.zeros.as_slice()) else {
            return run_in_float(
                "its scales are per channel, which is not supported for activations",
            );
        };
        let Some(shifted) = QuantizedTensor::shift(stored.unsigned, *zero) else {
            return run_in_float("its zero point is out of range");
        };
        let copied = self.copies.get(&stored.view.buffer).copied();
        if let (BufferRef::Input(i), _) | (_, Some(i)) = (stored.view.buffer, copied) {
            self.record_input_quant(i, Quant { scale: *scale, zero: *zero });
        }
        Ok(Deferred::Affine(Affine { view: stored.view.clone(), scale: *scale, zero: shifted }))
    }

    fn record_input_quant(&mut self, i: usize, quant: Quant) {
        if let Some(spec) = self.inputs.get_mut(i) {
            spec.quant.get_or_insert(quant);
        }
    }

    pub(super) fn quantize(&mut self, node: &ExpandedNode) -> LowerResult {
        if self.quantize_constant(node)? {
            return Ok(());
        }
        let target = self.target(node)?;
        let view = match self.value(node, 0)?.clone() {
            Value::Float(view) => {
                let operation = Operation::Quantize { scale: target.scale, fit: target.fit };
                self.builder.emit_step_like(operation, &[&view], ElementKind::Bytes)
            }
            Value::Deferred(Deferred::Affine(a))
                if a.scale == target.scale && a.zero == target.fit.zero =>
            {
                a.view
            }
            Value::Deferred(Deferred::Affine(a)) => {
                let table = Table::new(|x| target.store(a.real(x)));
                self.builder.emit_step_like(
                    Operation::Table(Box::new(table)),
                    &[&a.view],
                    ElementKind::Bytes,
                )
            }
            Value::Deferred(Deferred::Table { view, values }) => {
                let table = Table::new(|x| target.store(at(&values, x)));
                self.builder.emit_step_like(
                    Operation::Table(Box::new(table)),
                    &[&view],
                    ElementKind::Bytes,
                )
            }
            Value::Deferred(Deferred::Op(deferred)) => self.emit(&deferred, target)?,
            _ => return run_in_float("its input is not a tensor of 32-bit floats"),
        };
        let scale = Scaling::Fixed(target.quant());
        self.set(
            node,
            Value::Quantized(QuantizedTensor { view, unsigned: target.unsigned, scale }),
        );
        Ok(())
    }

    /// The scale and type to which the node quantizes.
    fn target(&self, node: &ExpandedNode) -> LowerResult<Target> {
        let params = self.quant_params(node)?;
        let unsigned = is_unsigned(node, &params)?;
        match (params.scales.as_slice(), params.zeros.as_slice()) {
            ([scale], [zero]) => Target::new(*scale, *zero, unsigned),
            _ => run_in_float("its scales are per channel, which is not supported for activations"),
        }
    }

    /// The real numbers as an affine tensor in memory; none if they are not affine with one scale.
    pub(super) fn as_affine(&mut self, real: &Deferred) -> Option<Affine> {
        let weights = match real {
            Deferred::Affine(affine) => return Some(affine.clone()),
            Deferred::Weights(weights) => weights,
            Deferred::Table { .. } | Deferred::Op(_) | Deferred::Float(_) => return None,
        };
        let (values, unsigned) = bytes(&weights.tensor).filter(|(v, _)| !v.is_empty())?;
        let ([scale], [zero]) = (weights.scales.as_slice(), weights.zeros.as_slice()) else {
            return None;
        };
        let zero = QuantizedTensor::shift(unsigned, *zero)?;
        let buffer = self.builder.constant(values);
        Some(Affine { view: TensorView::plain(buffer, &weights.tensor.shape), scale: *scale, zero })
    }
}

impl Affine {
    /// The real number behind a stored value.
    pub(super) fn real(&self, x: i8) -> f64 {
        f64::from(self.scale) * f64::from(i32::from(x) - i32::from(self.zero))
    }
}

/// The entry of a table for a stored byte.
pub(super) fn at(values: &[f64; 256], x: i8) -> f64 {
    values.get(usize::from(x.cast_unsigned())).copied().unwrap_or(0.0)
}
