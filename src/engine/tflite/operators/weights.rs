//! Weights and biases of layers, in the order of axes that ONNX has.

use super::super::file::{Kind, Tensor};
use super::super::graph_builder::{
    Converted, GraphBuilder, I32, element, is_quantized, quantization,
};
use super::steps::transposed;
use crate::engine::graph::{Attribute, ElementType, element_count};

impl GraphBuilder<'_> {
    /// The real weights of tensor `i` with its axes in the order `perm`. `floats` tells that the
    /// layer reads floats: its weights are then dequantized here, once for all.
    pub(super) fn weights(&mut self, i: usize, perm: &[usize], floats: bool) -> Converted<String> {
        let tensor = self.tensor(i)?;
        if tensor.shape.len() != perm.len() {
            let reason = format!(
                "its weights {:?} have {} axes, not {}",
                tensor.name,
                tensor.shape.len(),
                perm.len()
            );
            return Err(reason.into());
        }
        if tensor.data.is_empty() {
            let real = self.real(i)?;
            let perm: Vec<i64> = perm.iter().filter_map(|&p| i64::try_from(p).ok()).collect();
            return Ok(transposed(self, &real, &perm));
        }
        let shape: Vec<usize> = perm.iter().filter_map(|&p| tensor.shape.get(p).copied()).collect();
        let (bytes, element) = (moved(tensor, perm)?, element(tensor.kind)?);
        if !is_quantized(tensor)? {
            return self.constant(element, shape, bytes);
        }
        let (scales, zeros) = quantization(tensor)?;
        let axis = usize::try_from(tensor.quantization.int(6, 0)?).unwrap_or(0);
        let axis = perm.iter().position(|&p| p == axis).unwrap_or(0);
        if floats {
            let bytes = dequantized(&bytes, tensor.kind, (&scales, &zeros), &shape, axis);
            return self.constant(ElementType::F32, shape, bytes);
        }
        let stored = self.constant(element, shape, bytes)?;
        let [scale, zero] = self.quantization_constants(&scales, &zeros, element)?;
        let axis = Attribute::int("axis", i64::try_from(axis).unwrap_or(0));
        Ok(self.step("DequantizeLinear", &[&stored, &scale, &zero], vec![axis]))
    }

    /// The real bias of a layer. Integers have the scale of the sums, which is that of the input
    /// times those of the weights, whatever scale the file has for them.
    pub(super) fn bias(&mut self, i: usize, input: usize, weights: usize) -> Converted<String> {
        let (bias, input) = (self.tensor(i)?, self.tensor(input)?);
        if bias.kind.is_float() {
            return self.real(i);
        }
        let weights = self.tensor(weights)?;
        if bias.kind != Kind::I32 || bias.data.is_empty() || !is_quantized(input)? {
            return Err(format!("its bias {:?} is not of 32-bit constants", bias.name).into());
        }
        let (input_scale, (scales, _)) = (quantization(input)?.0, quantization(weights)?);
        let [input_scale] = *input_scale.as_slice() else {
            return Err("its input has scales by channel".into());
        };
        let scales: Vec<f32> = scales.iter().map(|scale| scale * input_scale).collect();
        let (stored, zeros) = (self.stored(i)?, vec![0; scales.len()]);
        let [scale, zero] = self.quantization_constants(&scales, &zeros, I32)?;
        let axis = Attribute::int("axis", 0);
        Ok(self.step("DequantizeLinear", &[&stored, &scale, &zero], vec![axis]))
    }
}

/// The elements of a constant with its axes in the order `perm`.
fn moved(tensor: &Tensor<'_>, perm: &[usize]) -> Converted<Vec<u8>> {
    let count = element_count(&tensor.shape)?;
    let size = tensor.data.len().checked_div(count).unwrap_or(0);
    if size == 0 || size > 8 || size * count != tensor.data.len() {
        return Err(format!("constant {:?} has the wrong number of values", tensor.name).into());
    }
    let mut strides = vec![size; perm.len()];
    for (axis, stride) in strides.iter_mut().enumerate() {
        *stride *= tensor.shape.iter().skip(axis + 1).product::<usize>();
    }
    let axes = perm.iter().map(|&p| (tensor.shape.get(p), strides.get(p)));
    let axes: Option<Vec<(usize, usize)>> =
        axes.map(|(size, stride)| Some((*size?, *stride?))).collect();
    let mut places = vec![0];
    for (size, stride) in axes.ok_or("its axes do not fit")? {
        places = places.iter().flat_map(|p| (0..size).map(move |i| p + i * stride)).collect();
    }
    let elements = places.iter().filter_map(|&p| tensor.data.get(p..p + size));
    Ok(elements.flatten().copied().collect())
}

/// The real numbers of bytes, as the bytes of floats.
fn dequantized(
    bytes: &[u8],
    kind: Kind,
    (scales, zeros): (&[f32], &[i64]),
    shape: &[usize],
    axis: usize,
) -> Vec<u8> {
    let inner: usize = shape.iter().skip(axis + 1).product::<usize>().max(1);
    let real = |(i, &byte): (usize, &u8)| {
        let channel = if scales.len() == 1 { 0 } else { i / inner % scales.len().max(1) };
        let zero = zeros.get(channel).copied().unwrap_or(0);
        let value = if kind == Kind::I8 { byte.cast_signed().into() } else { i16::from(byte) };
        let zero = i16::try_from(zero).unwrap_or(0);
        f32::from(value - zero) * scales.get(channel).copied().unwrap_or(0.0)
    };
    bytes.iter().enumerate().map(real).flat_map(f32::to_le_bytes).collect()
}
