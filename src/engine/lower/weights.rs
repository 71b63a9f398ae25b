//! Quantized constants: weights that the exporter quantized, or that a QuantizeLinear in the graph
//! quantizes, as in models of PyTorch's exporter.

use super::context::{LowerResult, Lowering, run_in_float};
use super::target::{Target, is_unsigned};
use super::value::{Deferred, Value, Weights};
use crate::engine::graph::{integers, reals};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::tensor::{Data, Tensor};
use std::rc::Rc;

impl Lowering<'_> {
    /// Quantizes a constant, per tensor or per channel. False if the input is not a constant.
    pub(super) fn quantize_constant(&mut self, node: &ExpandedNode) -> LowerResult<bool> {
        let (shape, reals) = match self.value(node, 0)? {
            Value::Deferred(Deferred::Weights(weights)) => {
                (weights.tensor.shape.clone(), weights.reals())
            }
            Value::Constant(tensor) => match reals(tensor) {
                Some(reals) => (tensor.shape.clone(), reals),
                None => return run_in_float("its input is not of floats"),
            },
            _ => return Ok(false),
        };
        let params = self.quant_params(node)?;
        let unsigned = is_unsigned(node, &params)?;
        let axis = self.channel_axis(node, &params, &shape)?;
        let targets = params.scales.iter().zip(&params.zeros);
        let targets = targets.map(|(&scale, &zero)| Target::new(scale, zero, unsigned));
        let targets: Vec<Target> = targets.collect::<LowerResult<_>>()?;
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

/// An eight-bit constant as signed bytes, and whether it was unsigned.
pub(super) fn bytes(tensor: &Tensor) -> Option<(Vec<i8>, bool)> {
    match &tensor.data {
        Data::I8(v) => Some((v.clone(), false)),
        Data::U8(v) => Some((v.iter().map(|&x| (x ^ 0x80).cast_signed()).collect(), true)),
        _ => None,
    }
}

/// Maps an element to its channel, which is its index along `axis`; 0 if `count` is 1.
fn channels(shape: &[usize], axis: usize, count: usize) -> impl Fn(usize) -> usize + use<> {
    let inner: usize = shape.iter().skip(axis + 1).product();
    move |i| if count == 1 { 0 } else { i / inner.max(1) % count.max(1) }
}
