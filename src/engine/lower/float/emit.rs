//! Steps for drafts: weights are folded and packed here.

use super::draft::{FloatDraft, FloatProduct};
use super::operands::floats;
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::plan::{BufferSlice, FloatStep, Operation, Step};
use crate::engine::tensor_view::TensorView;
use crate::tensor::Tensor;
use inferd_kernels::Isa;
use inferd_kernels::float::{Activation, Conv, ConvWeights, Dense, Layout, UnaryOp};
use std::borrow::Cow;

impl Lowering<'_> {
    /// Adds the step that computes a draft.
    pub(in crate::engine::lower) fn emit_draft(
        &mut self,
        draft: &FloatDraft,
    ) -> LowerResult<TensorView> {
        let (input, step) = match draft.step(self.builder.isa) {
            Ok(step) => step,
            Err(reason) => return run_in_float(reason),
        };
        let len = draft.view.len();
        let buffer = self.builder.buffer(ElementKind::Floats, len);
        let sources = std::iter::once(input).chain(&draft.residual);
        let from = sources.map(|v| BufferSlice { buffer: v.buffer, len: v.len() }).collect();
        let operation = Operation::Float(Box::new(step));
        self.builder.steps.push(Step { operation, from, to: BufferSlice { buffer, len } });
        Ok(TensorView { buffer, ..draft.view.clone() })
    }
}

impl FloatDraft {
    /// The input and the kernel.
    fn step(&self, isa: Isa) -> Result<(&TensorView, FloatStep), String> {
        let bias = self.bias.as_ref().map(|b| b.iter().map(|&x| single(x)).collect::<Vec<f32>>());
        let bias = bias.as_deref();
        let (activation, then) = split(self.activation);
        let failed = |error: inferd_kernels::WeightsError| error.to_string();
        match &self.product {
            FloatProduct::Conv { input, weights, window, groups, batch } => {
                let depth = weights.data.len() / self.columns.max(1);
                let values = self.scaled(weights, |i| i / depth.max(1));
                let (outputs, groups) = (self.columns, *groups);
                let weights = ConvWeights { values: &values, bias, outputs, groups };
                let conv = Conv::new(isa, window, &weights, activation).map_err(failed)?;
                Ok((input, FloatStep::Conv { conv, batch: *batch, then }))
            }
            FloatProduct::Dense { input, weights, by_column, depth, rows } => {
                let n = self.columns;
                let (layout, values) = match *by_column {
                    true => (Layout::Transposed, self.scaled(weights, |i| i / depth)),
                    false => (Layout::RowMajor, self.scaled(weights, |i| i % n)),
                };
                let sizes = [*depth, n];
                let dense = Dense::new(isa, sizes, layout, &values, bias, activation);
                let dense = dense.map_err(failed)?;
                Ok((input, FloatStep::Dense { dense, rows: *rows, then }))
            }
        }
    }

    /// The weights times the scale of their columns.
    fn scaled<'a>(&self, weights: &'a Tensor, column: impl Fn(usize) -> usize) -> Cow<'a, [f32]> {
        let values = floats(weights);
        let Some(scale) = &self.scale else { return Cow::Borrowed(values) };
        let factor = |i| scale.get(column(i)).copied().unwrap_or(1.0);
        let scaled = values.iter().enumerate().map(|(i, &w)| single(f64::from(w) * factor(i)));
        Cow::Owned(scaled.collect())
    }
}

/// The activation as a kernel has it, and what is left for a pass over its result.
fn split(activation: Option<UnaryOp>) -> (Activation, Option<UnaryOp>) {
    match activation {
        None => (Activation::None, None),
        Some(UnaryOp::Relu) => (Activation::Relu, None),
        Some(UnaryOp::Clip { low, high }) => (Activation::Clip { low, high }, None),
        other => (Activation::None, other),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
pub(super) fn single(x: f64) -> f32 {
    x as f32
}
