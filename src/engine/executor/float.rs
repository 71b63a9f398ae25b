//! Execution of float kernels.

use super::Executor;
use crate::engine::error::RunError;
use crate::engine::plan::{FloatStep, Step};
use inferd_kernels::Scratch;
use inferd_kernels::float::{self as kernels, UnaryOp};

impl Executor<'_> {
    /// Checks the values that a step takes only some of.
    pub(super) fn check_floats(&self, operation: &FloatStep, step: &Step) -> Result<(), RunError> {
        match operation {
            FloatStep::Recurrent(layer) => layer.check(step.from.last().map(|&s| self.floats(s))),
            _ => Ok(()),
        }
    }

    /// Runs a step that reads and writes floats.
    pub(super) fn float(&mut self, operation: &FloatStep, step: &Step, to: &mut [f32]) {
        // The scratch memory moves out so that the sources can be borrowed beside it.
        let mut scratch = std::mem::replace(&mut self.state.scratch, Scratch::with_bytes(0));
        let sources = Sources {
            first: step.from.first().map_or(&[], |&s| self.floats(s)),
            others: [1, 2, 3].map(|i| step.from.get(i).map(|&s| self.floats(s))),
        };
        self.kernel(operation, &sources, to, &mut scratch);
        self.state.scratch = scratch;
    }

    fn kernel(
        &self,
        operation: &FloatStep,
        sources: &Sources<'_>,
        to: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let (isa, from, [second, ..]) = (self.plan.isa, sources.first, sources.others);
        match operation {
            FloatStep::Conv { conv, batch, then } => {
                let (input, output) = (from.len() / batch, to.len() / batch);
                for (i, to) in to.chunks_exact_mut(output).enumerate() {
                    let residual = second.map(|r| &r[i * output..][..output]);
                    conv.run(&from[i * input..][..input], residual, to, scratch);
                }
                self.then(*then, to);
            }
            FloatStep::ConvTranspose { conv, batch } => {
                let (input, output) = (from.len() / batch, to.len() / batch);
                for (from, to) in from.chunks_exact(input).zip(to.chunks_exact_mut(output)) {
                    conv.run(from, to, scratch);
                }
            }
            FloatStep::Dense { dense, rows, then } => {
                dense.run(*rows, from, second, to);
                self.then(*then, to);
            }
            FloatStep::Matmul { matmul, starts, lengths } => {
                let right = second.unwrap_or_default();
                let result = to.len() / starts.len();
                for (to, [a, b]) in to.chunks_exact_mut(result).zip(starts) {
                    let (a, b) = (&from[*a..][..lengths[0]], &right[*b..][..lengths[1]]);
                    matmul.run(a, b, to, scratch);
                }
            }
            FloatStep::Pool { pool, batch } => {
                let (input, output) = (from.len() / batch, to.len() / batch);
                for (from, to) in from.chunks_exact(input).zip(to.chunks_exact_mut(output)) {
                    pool.run(from, to);
                }
            }
            FloatStep::Unary(op) => kernels::unary(isa, *op, from, to),
            FloatStep::Binary(binary) => binary.run(from, second.unwrap_or_default(), to),
            FloatStep::Affine { scale, shift, activation } => {
                kernels::affine(isa, [scale, shift], *activation, from, to);
            }
            FloatStep::Reduce { op, sizes } => kernels::reduce(isa, *op, *sizes, from, to),
            FloatStep::Softmax { row, log: false } => kernels::softmax(isa, *row, from, to),
            FloatStep::Softmax { row, log: true } => kernels::log_softmax(isa, *row, from, to),
            FloatStep::Normalize(normalize) => normalize.run(isa, from, to),
            FloatStep::Fill(value) => to.fill(*value),
            FloatStep::Recurrent(layer) => layer.run(sources, to, scratch),
        }
    }

    fn then(&self, op: Option<UnaryOp>, values: &mut [f32]) {
        if let Some(op) = op {
            kernels::unary_in_place(self.plan.isa, op, values);
        }
    }
}

/// The sources of a step.
pub(super) struct Sources<'a> {
    pub first: &'a [f32],
    pub others: [Option<&'a [f32]>; 3],
}
