//! `DynamicQuantizeLSTM`: weights of integers, and inputs and states quantized in every run.

use super::activations::activations;
use super::{Sizes, transposed};
use crate::engine::graph::{Node, integers};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::value::QuantizedTensor;
use crate::engine::lower::weights::bytes;
use crate::engine::plan::RecurrentLayer;
use crate::tensor::Data;
use inferd_kernels::Weights;
use inferd_kernels::float::{DynamicLstm, DynamicWeights};

/// The weights of the input or of the state in one direction: one row, scale and zero point for each
/// gate.
struct Rows {
    values: Vec<i8>,
    scales: Vec<f32>,
    zeros: Vec<i8>,
}

impl Lowering<'_> {
    /// The packed layer of each direction.
    pub(super) fn dynamic_layers(
        &self,
        node: &Node,
        sizes: Sizes,
    ) -> LowerResult<Vec<RecurrentLayer>> {
        let Sizes { batch, input, hidden, directions, .. } = sizes;
        let activations = activations(node, 3, directions)?;
        let bias = self.of_each_direction(node, 3, 8 * hidden, sizes)?;
        let peepholes = self.of_each_direction(node, 7, 3 * hidden, sizes)?;
        let [w, r] = [self.rows(node, 1, 8, sizes)?, self.rows(node, 2, 10, sizes)?];
        let mut made = Vec::new();
        for (d, (own, (w, r))) in activations.chunks(3).zip(w.iter().zip(&r)).enumerate() {
            let weights = DynamicWeights {
                input,
                hidden,
                w: w.weights(4 * hidden),
                r: r.weights(4 * hidden),
                scales: [&w.scales, &r.scales],
                bias: bias.as_ref().and_then(|b| b.get(d)).map(Vec::as_slice),
                peepholes: peepholes.as_ref().and_then(|p| p.get(d)).map(Vec::as_slice),
            };
            let input_forget = node.int("input_forget").unwrap_or(0) != 0;
            let flags = [input_forget, batch == 1];
            let (isa, clip) = (self.builder.isa, node.float("clip"));
            match DynamicLstm::new(isa, own, flags, clip, &weights) {
                Ok(layer) => made.push(RecurrentLayer::Dynamic(layer)),
                Err(error) => return run_in_float(error.to_string()),
            }
        }
        Ok(made)
    }

    /// The weights at input `i`, `[direction][element][gate]`, with their scale and zero point at
    /// inputs `at` and `at + 1`: one, or one per gate.
    fn rows(&self, node: &Node, i: usize, at: usize, sizes: Sizes) -> LowerResult<Vec<Rows>> {
        let constant = |i: usize| self.constant(node, i);
        let (Some(weights), Some(scales), Some(zeros)) =
            (constant(i), constant(at), constant(at + 1))
        else {
            return run_in_float("its weights, scales or zero points are not constants");
        };
        let shape = transposed(&weights.shape);
        let [_, gates, depth] = *shape.as_slice() else {
            return run_in_float("its weights do not fit its input");
        };
        let Some((values, unsigned)) = bytes(weights) else {
            return run_in_float("its weights are not of 8 bits");
        };
        let counts = [vec![sizes.directions], vec![sizes.directions, gates]];
        let Data::F32(all) = &scales.data else { return run_in_float("its scales are no floats") };
        if !counts.contains(&scales.shape) || zeros.dtype() != weights.dtype() {
            return run_in_float("its scales or zero points do not fit its weights");
        }
        if !all.iter().all(|scale| scale.is_finite() && *scale >= 0.0) {
            return run_in_float("a scale is negative or not finite");
        }
        let shift = |&zero: &i64| QuantizedTensor::shift(unsigned, i32::try_from(zero).ok()?);
        let shifted = integers(zeros).and_then(|z| z.iter().map(shift).collect::<Option<Vec<_>>>());
        let shifted = shifted.filter(|_| counts.contains(&zeros.shape));
        let Some(shifted) = shifted.filter(|z| !z.is_empty() && !all.is_empty()) else {
            return run_in_float("its scales or zero points do not fit its weights");
        };
        let parts = values.chunks(gates * depth);
        let scales = all.chunks(all.len() / sizes.directions);
        let zeros = shifted.chunks(shifted.len() / sizes.directions);
        let row = |((values, scales), zeros): ((&[i8], &[f32]), &[i8])| Rows {
            values: (0..gates)
                .flat_map(|gate| values.iter().skip(gate).step_by(gates).copied())
                .collect(),
            scales: scales.iter().copied().cycle().take(gates).collect(),
            zeros: zeros.to_vec(),
        };
        Ok(parts.zip(scales).zip(zeros).map(row).collect())
    }
}

impl Rows {
    fn weights(&self, outputs: usize) -> Weights<'_> {
        let (values, zeros) = (&self.values, &self.zeros);
        Weights { values, outputs, zeros, bias: None, input_zero: 0 }
    }
}
