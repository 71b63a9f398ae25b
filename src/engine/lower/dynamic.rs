//! Dynamic quantization: ranges measured at run time, and raw sums with the scaling that follows.

use super::conv::fits;
use super::moves::shape;
use super::value::{Product, Real, Scaling, Stored, Unit, Value, Weights, Zero};
use super::{Holds, Lower, Lowering, Stop, float};
use crate::engine::constant::integers;
use crate::engine::plan::Action;
use crate::engine::proto::Attributes;
use crate::engine::qoperator::Node;
use crate::engine::spec::data_type;
use crate::engine::view::View;
use crate::tensor::{Data, Dtype};
use std::rc::Rc;
use tract_onnx::pb::tensor_proto::DataType;

/// So many products of two bytes fit into 32 bits whatever they are.
const SURE: usize = (i32::MAX / (255 * 255)) as usize;

impl Lowering<'_> {
    pub(super) fn dynamic_quantize(&mut self, node: &Node) -> Lower {
        let name = node.proto.input.first().cloned().unwrap_or_default();
        let Some(view) = self.in_float(&name)? else { return float("its input is not of floats") };
        let slot = self.draft.slots;
        self.draft.slots += 1;
        let action = Action::QuantizeDynamic { slot };
        let view = self.draft.make_like(action, &[&view], Holds::Bytes);
        let stored = Stored { view, unsigned: true, scale: Scaling::Measured(slot) };
        self.set_output(node, 0, Value::Stored(stored));
        self.set_output(node, 1, Value::Scale { slot, factors: Rc::new(vec![1.0]) });
        self.set_output(node, 2, Value::Zero { slot });
        Ok(())
    }

    pub(super) fn matmul_integer(&mut self, node: &Node) -> Lower {
        let lowered = self.matrix_sums(node);
        let last = |shape: Vec<usize>| shape.last().copied();
        let depth = self.optional(&node.proto, 0).and_then(shape).and_then(last);
        self.never_wrapped(node, lowered, depth)
    }

    pub(super) fn conv_integer(&mut self, node: &Node) -> Lower {
        let lowered = self.window_sums(node);
        let taps = |shape: Vec<usize>| shape.iter().skip(1).product();
        let depth = self.optional(&node.proto, 1).and_then(shape).map(taps);
        self.never_wrapped(node, lowered, depth)
    }

    fn matrix_sums(&mut self, node: &Node) -> Lower<Product> {
        let (view, zero, weights) = self.integer_operands(node, 1)?;
        self.times(node, &view, zero, &weights, Unit::None)
    }

    fn window_sums(&mut self, node: &Node) -> Lower<Product> {
        let (view, zero, weights) = self.integer_operands(node, 0)?;
        self.convolution(node, &view, zero, &weights, Unit::None)
    }

    /// The float runtime sums such products in 32 bits too, and where they do not fit it goes round
    /// without a word, as ONNX allows: what could come to that is refused. `depth` is the number of
    /// products in a sum.
    fn never_wrapped(
        &mut self,
        node: &Node,
        lowered: Lower<Product>,
        depth: Option<usize>,
    ) -> Lower {
        match lowered.and_then(|product| fits(&product).map(|()| product)) {
            Ok(product) => {
                self.set(node, Value::Sums(Rc::new(product)));
                Ok(())
            }
            Err(Stop::Float(_)) if depth.is_some_and(|k| k > SURE) => {
                Err(self.refuse(node, "a 32-bit sum of it could overflow").into())
            }
            Err(stop) => Err(stop),
        }
    }

    /// Input, its zero point, and constant weights with theirs (per output, counted along the last
    /// axis or the first: `columns` is 1 or 0).
    fn integer_operands(&self, node: &Node, columns: usize) -> Lower<(View, Zero, Weights)> {
        let proto = &node.proto;
        let Value::Stored(stored) = self.value(proto, 0)? else {
            return float("its input is not a tensor of bytes");
        };
        if stored.view.len() == 0 {
            return float("its input is empty");
        }
        let zero = match self.optional(proto, 2) {
            None => Stored::shift(stored.unsigned, 0).map(Zero::Fixed),
            Some(Value::Zero { slot }) if stored.scale == Scaling::Measured(*slot) => {
                Some(Zero::Measured(*slot))
            }
            Some(Value::Constant(tensor)) => match integers(tensor).as_deref() {
                Some(&[zero]) => i32::try_from(zero)
                    .ok()
                    .and_then(|z| Stored::shift(stored.unsigned, z))
                    .map(Zero::Fixed),
                _ => None,
            },
            Some(_) => None,
        };
        let Some(zero) = zero else { return float("its zero point is not that of its input") };
        let Some(tensor) = self.constant(proto, 1) else {
            return float("its weights are not constants");
        };
        let zeros = match self.optional(proto, 3) {
            None => vec![0],
            Some(Value::Constant(zeros)) => integers(zeros).unwrap_or_default(),
            Some(_) => return float("the zero point of its weights is not a constant"),
        };
        let Ok(zeros) = zeros.into_iter().map(i32::try_from).collect::<Result<Vec<_>, _>>() else {
            return float("the zero point of its weights is out of range");
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

    pub(super) fn cast(&mut self, node: &Node) -> Lower {
        let to = node.proto.int("to").unwrap_or(0);
        if let Value::Stored(stored) = self.value(&node.proto, 0)?
            && to
                == i64::from(data_type(if stored.unsigned { Dtype::U8 } else { Dtype::I8 }) as i32)
        {
            let same = Value::Stored(stored.clone());
            self.set(node, same);
            return Ok(());
        }
        if to != i64::from(DataType::Float as i32) {
            return float("it casts to another type than f32");
        }
        let value = match self.value(&node.proto, 0)? {
            Value::Sums(product) if matches!(product.unit, Unit::None) => {
                Value::Sums(Rc::new(Product { unit: Unit::One, ..(**product).clone() }))
            }
            same @ (Value::Real(_) | Value::Float(_)) => same.clone(),
            _ => return float("it casts from integers"),
        };
        self.set(node, value);
        Ok(())
    }

    /// The product of a measured scale and a constant; or of sums and their scale. None where the
    /// node is another product.
    pub(super) fn scaled(&mut self, a: &Value, b: &Value) -> Lower<Option<Value>> {
        Ok(match (a, b) {
            (Value::Scale { slot, factors }, Value::Constant(tensor))
            | (Value::Constant(tensor), Value::Scale { slot, factors }) => {
                let Data::F32(values) = &tensor.data else { return float("its factor is not f32") };
                let factors = match (factors.as_slice(), values.as_slice()) {
                    ([one], all) | (all, [one]) => all.iter().map(|x| x * one).collect(),
                    _ => return float("its factors are of two lengths"),
                };
                Some(Value::Scale { slot: *slot, factors: Rc::new(factors) })
            }
            (Value::Sums(product), Value::Scale { slot, factors })
            | (Value::Scale { slot, factors }, Value::Sums(product)) => {
                let own = matches!(product.zero, Zero::Measured(own) if own == *slot);
                let last = product.axis + 1 == product.result.shape.len();
                if !own || !(factors.len() == 1 || (last && factors.len() == product.columns)) {
                    return float("its scale is not that of its input");
                }
                Some(unitless(product, Unit::Measured(*slot, factors.clone()))?)
            }
            (Value::Sums(product), Value::Constant(tensor))
            | (Value::Constant(tensor), Value::Sums(product))
                if tensor.dtype() == Dtype::F32 && tensor.data.len() == 1 =>
            {
                let units = crate::engine::constant::floats(tensor).unwrap_or_default();
                if matches!(product.zero, Zero::Measured(_)) || !units.iter().all(|u| *u > 0.0) {
                    return float("its scale is not that of its input");
                }
                Some(unitless(product, Unit::Fixed(Rc::new(units)))?)
            }
            _ => None,
        })
    }
}

/// Sums that were cast to float, with what a unit of them is worth.
fn unitless(product: &Product, unit: Unit) -> Lower<Value> {
    if !matches!(product.unit, Unit::One) {
        return float("its sums are not cast to float");
    }
    let product = Product { unit, ..product.clone() };
    let shape = product.result.shape.clone();
    let op = super::value::Op::Product(Rc::new(product));
    Ok(Value::Real(Real::Lazy(super::value::Lazy::new(op, shape))))
}
