//! QuantizeLinear and DequantizeLinear: where regions of integers begin and end.

use super::amounts::Amounts;
use super::value::{Affine, Real, Scaling, Stored, Value, Weights};
use super::weights::bytes;
use super::{Holds, Lower, Lowering, Stop, float};
use crate::engine::plan::Action;
use crate::engine::proto::Attributes;
use crate::engine::qoperator::Node;
use crate::engine::view::{Place, View};
use crate::tensor::{Dtype, Quant, Tensor};
use inferd_kernels::{OutputQuant, Table};
use std::rc::Rc;

/// What a QuantizeLinear makes: eight-bit integers with one scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub scale: f32,
    pub fit: OutputQuant,
    pub unsigned: bool,
}

impl Target {
    pub(super) fn new(scale: f32, zero: i32, unsigned: bool) -> Lower<Self> {
        match Stored::shift(unsigned, zero) {
            Some(zero) => Ok(Self { scale, fit: OutputQuant::full(zero), unsigned }),
            None => float("its zero point is out of range"),
        }
    }

    fn quant(&self) -> Quant {
        let shift = if self.unsigned { 128 } else { 0 };
        Quant { scale: self.scale, zero: i32::from(self.fit.zero) + shift }
    }

    /// The stored value for a real number: one rounding, half to even, then saturation.
    #[expect(clippy::cast_possible_truncation, reason = "kept within the range of a byte before")]
    pub(super) fn store(&self, x: f64) -> i8 {
        let q = (x / f64::from(self.scale)).round_ties_even() + f64::from(self.fit.zero);
        // `as` makes the lowest of what is not a number, but zero of NaN: as the kernels do.
        if q.is_nan() {
            self.fit.low
        } else {
            q.clamp(self.fit.low.into(), self.fit.high.into()) as i8
        }
    }

    /// The target with its bounds narrowed to what `clamp` lets through. Rounding never changes the
    /// order of two numbers, so clamping before it or after it is the same.
    pub(super) fn narrowed(self, clamp: (f64, f64)) -> Self {
        let fit = OutputQuant { low: self.store(clamp.0), high: self.store(clamp.1), ..self.fit };
        Self { fit: OutputQuant { high: fit.high.max(fit.low), ..fit }, ..self }
    }
}

impl Lowering<'_> {
    pub(super) fn dequantize(&mut self, node: &Node) -> Lower {
        if let Value::Opaque = self.value(&node.proto, 0)? {
            return Err(self.of_no_use(node));
        }
        let amounts = self.amounts(node)?;
        let value = match self.value(&node.proto, 0)? {
            Value::Constant(tensor) => self.weights(node, &tensor.clone(), amounts)?,
            Value::Stored(stored) => self.affine(node, &stored.clone(), &amounts)?,
            _ => return float("its input is not a tensor of bytes"),
        };
        self.set(node, Value::Real(value));
        Ok(())
    }

    /// Constants of a type that only the float runtime may know. It knows floats of 16 bits, and
    /// none of the types of 4 and 8 bits that came later.
    fn of_no_use(&self, node: &Node) -> Stop {
        let name = node.proto.input.first().map_or("", String::as_str);
        match self.opaque.get(name).map(|tensor| tensor.data_type) {
            Some(21 | 22) => self.refuse(node, "nothing here computes with 4-bit integers").into(),
            Some(17..=20 | 23..) => {
                self.refuse(node, "nothing here computes with floats of 4 and 8 bits").into()
            }
            _ => Stop::Float("its input is not a tensor of bytes".into()),
        }
    }

    fn weights(&self, node: &Node, tensor: &Rc<Tensor>, amounts: Amounts) -> Lower<Real> {
        if amounts.dtype.is_some_and(|d| d != tensor.dtype()) {
            let reason = format!("a zero point for {} values is missing", tensor.dtype());
            return Err(self.refuse(node, reason.replace("missing", "of another type")).into());
        }
        let axis = self.channel_axis(node, &amounts, &tensor.shape)?;
        let Amounts { scales, zeros, .. } = amounts;
        Ok(Real::Weights(Rc::new(Weights { tensor: tensor.clone(), scales, zeros, axis })))
    }

    fn affine(&mut self, node: &Node, stored: &Stored, amounts: &Amounts) -> Lower<Real> {
        let own = if stored.unsigned { Dtype::U8 } else { Dtype::I8 };
        if let Some(dtype) = amounts.dtype.filter(|&d| d != own) {
            let reason = format!("its zero point is of type {dtype}, its input of type {own}");
            return Err(self.refuse(node, reason).into());
        }
        self.channel_axis(node, amounts, &stored.view.shape)?;
        if stored.view.len() == 0 {
            return float("its input is empty");
        }
        let ([scale], [zero]) = (amounts.scales.as_slice(), amounts.zeros.as_slice()) else {
            return float("its scales are per channel, which activations here have not");
        };
        let Some(shifted) = Stored::shift(stored.unsigned, *zero) else {
            return float("its zero point is out of range");
        };
        let copied = self.copies.get(&stored.view.place).copied();
        if let (Place::Input(i), _) | (_, Some(i)) = (stored.view.place, copied) {
            self.note_input(i, Quant { scale: *scale, zero: *zero });
        }
        Ok(Real::Affine(Affine { view: stored.view.clone(), scale: *scale, zero: shifted }))
    }

    fn note_input(&mut self, i: usize, quant: Quant) {
        if let Some(spec) = self.inputs.get_mut(i) {
            spec.quant.get_or_insert(quant);
        }
    }

    pub(super) fn quantize(&mut self, node: &Node) -> Lower {
        if self.quantize_constant(node)? {
            return Ok(());
        }
        let target = self.target(node)?;
        let view = match self.value(&node.proto, 0)?.clone() {
            Value::Float(view) => {
                let action = Action::Quantize { scale: target.scale, fit: target.fit };
                self.draft.make_like(action, &[&view], Holds::Bytes)
            }
            Value::Real(Real::Affine(a))
                if a.scale == target.scale && a.zero == target.fit.zero =>
            {
                a.view
            }
            Value::Real(Real::Affine(a)) => {
                let table = Table::new(|x| target.store(a.real(x)));
                self.draft.make_like(Action::Table(Box::new(table)), &[&a.view], Holds::Bytes)
            }
            Value::Real(Real::Table { view, values }) => {
                let table = Table::new(|x| target.store(at(&values, x)));
                self.draft.make_like(Action::Table(Box::new(table)), &[&view], Holds::Bytes)
            }
            Value::Real(Real::Lazy(lazy)) => self.emit(&lazy, target)?,
            _ => return float("its input is not a tensor of 32-bit floats"),
        };
        let scale = Scaling::Fixed(target.quant());
        self.set(node, Value::Stored(Stored { view, unsigned: target.unsigned, scale }));
        Ok(())
    }

    /// What the node quantizes to.
    fn target(&self, node: &Node) -> Lower<Target> {
        let amounts = self.amounts(node)?;
        let unsigned = unsigned(node, &amounts)?;
        match (amounts.scales.as_slice(), amounts.zeros.as_slice()) {
            ([scale], [zero]) => Target::new(*scale, *zero, unsigned),
            _ => float("its scales are per channel, which activations here have not"),
        }
    }

    /// The constant as a tensor in the plan, where it has one scale.
    pub(super) fn as_affine(&mut self, real: &Real) -> Option<Affine> {
        let weights = match real {
            Real::Affine(affine) => return Some(affine.clone()),
            Real::Weights(weights) => weights,
            Real::Table { .. } | Real::Lazy(_) => return None,
        };
        let (values, unsigned) = bytes(&weights.tensor).filter(|(v, _)| !v.is_empty())?;
        let ([scale], [zero]) = (weights.scales.as_slice(), weights.zeros.as_slice()) else {
            return None;
        };
        let zero = Stored::shift(unsigned, *zero)?;
        let place = self.draft.constant(values);
        Some(Affine { view: View::plain(place, &weights.tensor.shape), scale: *scale, zero })
    }
}

impl Affine {
    /// The real number behind a stored value.
    pub(super) fn real(&self, x: i8) -> f64 {
        f64::from(self.scale) * f64::from(i32::from(x) - i32::from(self.zero))
    }
}

/// The entry of a table for a stored value.
pub(super) fn at(values: &[f64; 256], x: i8) -> f64 {
    values.get(usize::from(x.cast_unsigned())).copied().unwrap_or(0.0)
}

/// Whether the node makes u8 rather than i8. 0 stands for the type of the zero point, or u8.
pub(super) fn unsigned(node: &Node, amounts: &Amounts) -> Lower<bool> {
    match (amounts.dtype, node.proto.int("output_dtype").unwrap_or(0)) {
        (Some(Dtype::U8), 0 | 2) | (None, 0 | 2) => Ok(true),
        (Some(Dtype::I8), 0 | 3) | (None, 3) => Ok(false),
        (Some(dtype), _) => float(format!("it quantizes to {dtype}")),
        (None, _) => float("it quantizes to another type than i8 and u8"),
    }
}
