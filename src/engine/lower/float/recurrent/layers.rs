//! Layers with weights of floats.

use super::super::operands::floats;
use super::activations::activations;
use super::{Sizes, cell};
use crate::engine::graph::Node;
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::plan::RecurrentLayer;
use inferd_kernels::float::{Recurrent, RecurrentWeights};

impl Lowering<'_> {
    /// The packed layer of each direction.
    pub(super) fn float_layers(
        &self,
        node: &Node,
        sizes: Sizes,
    ) -> LowerResult<Vec<RecurrentLayer>> {
        let Sizes { input, hidden, directions, .. } = sizes;
        let cell = cell(node);
        let gates = cell.gates() * hidden;
        let activations = activations(node, cell.activations(), directions)?;
        let bias = self.of_each_direction(node, 3, 2 * gates, sizes)?;
        let peepholes = self.of_each_direction(node, 7, 3 * hidden, sizes)?;
        let [Some(w), Some(r)] = [1, 2].map(|i| self.float_constant(node, i)) else {
            return run_in_float("its weights are not constants");
        };
        let own = activations.chunks(cell.activations());
        let parts = floats(&w).chunks(gates * input).zip(floats(&r).chunks(gates * hidden));
        let mut made = Vec::new();
        for (d, ((w, r), own)) in parts.zip(own).enumerate() {
            let weights = RecurrentWeights {
                input,
                hidden,
                w,
                r,
                bias: bias.as_ref().and_then(|b| b.get(d)).map(Vec::as_slice),
                peepholes: peepholes.as_ref().and_then(|p| p.get(d)).map(Vec::as_slice),
            };
            match Recurrent::new(self.builder.isa, cell, own, node.float("clip"), &weights) {
                Ok(layer) => made.push(RecurrentLayer::Float(layer)),
                Err(error) => return run_in_float(error.to_string()),
            }
        }
        Ok(made)
    }
}
