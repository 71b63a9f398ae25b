//! Constants between real numbers and stored integers: weights quantized by the tool that made the
//! model, or by a QuantizeLinear that is left in the graph, as PyTorch's exporter leaves it.

use super::quantization::{Target, unsigned};
use super::value::{Real, Value, Weights};
use super::{Lower, Lowering, float};
use crate::engine::constant::{floats, integers};
use crate::engine::qoperator::Node;
use crate::tensor::{Data, Tensor};
use std::rc::Rc;

impl Lowering<'_> {
    /// Quantizes a constant, per tensor or per channel; false where the input is none.
    pub(super) fn quantize_constant(&mut self, node: &Node) -> Lower<bool> {
        let (shape, reals) = match self.value(&node.proto, 0)? {
            Value::Real(Real::Weights(weights)) => (weights.tensor.shape.clone(), weights.reals()),
            Value::Constant(tensor) => match floats(tensor) {
                Some(reals) => (tensor.shape.clone(), reals),
                None => return float("its input is not of floats"),
            },
            _ => return Ok(false),
        };
        let amounts = self.amounts(node)?;
        let unsigned = unsigned(node, &amounts)?;
        let axis = self.channel_axis(node, &amounts, &shape)?;
        let targets = amounts.scales.iter().zip(&amounts.zeros);
        let targets = targets.map(|(&scale, &zero)| Target::new(scale, zero, unsigned));
        let targets: Vec<Target> = targets.collect::<Lower<_>>()?;
        let channel = channels(&shape, axis, targets.len());
        let stored = |(i, x): (usize, f64)| targets.get(channel(i)).map_or(0, |t| t.store(x));
        let stored = reals.into_iter().enumerate().map(stored);
        let data = if unsigned {
            Data::U8(stored.map(|x| x.cast_unsigned() ^ 0x80).collect())
        } else {
            Data::I8(stored.collect())
        };
        self.set(node, Value::Constant(Rc::new(Tensor { shape, data })));
        Ok(true)
    }
}

impl Weights {
    /// The real numbers, in the order of the tensor.
    pub(super) fn reals(&self) -> Vec<f64> {
        let channel = channels(&self.tensor.shape, self.axis, self.scales.len());
        let integers = integers(&self.tensor).unwrap_or_default();
        let real = |(i, q): (usize, i64)| {
            let scale = self.scales.get(channel(i)).copied().unwrap_or(0.0);
            let zero = self.zeros.get(channel(i)).copied().unwrap_or(0);
            #[expect(clippy::cast_precision_loss, reason = "at most 33 bits")]
            let q = (q - i64::from(zero)) as f64;
            f64::from(scale) * q
        };
        integers.into_iter().enumerate().map(real).collect()
    }
}

/// An eight-bit constant as it is stored, and whether it was unsigned.
pub(super) fn bytes(tensor: &Tensor) -> Option<(Vec<i8>, bool)> {
    match &tensor.data {
        Data::I8(v) => Some((v.clone(), false)),
        Data::U8(v) => Some((v.iter().map(|&x| (x ^ 0x80).cast_signed()).collect(), true)),
        _ => None,
    }
}

/// The channel of an element: its index along `axis`, where there are as many as `count`.
fn channels(shape: &[usize], axis: usize, count: usize) -> impl Fn(usize) -> usize + use<> {
    let inner: usize = shape.iter().skip(axis + 1).product();
    move |i| if count == 1 { 0 } else { i / inner.max(1) % count.max(1) }
}
