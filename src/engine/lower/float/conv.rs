//! Convolutions and matrix products by constants, as drafts.

use super::draft::{FloatDraft, FloatProduct};
use super::operands::floats;
use crate::engine::graph::{Node, element_count};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::conv::{channels_last_order, channels_last_result, window};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::{BufferRef, TensorView};
use crate::tensor::Tensor;
use std::rc::Rc;

/// The buffer of a tensor that is not in memory yet.
const NOWHERE: BufferRef = BufferRef::Constant(usize::MAX);

impl Lowering<'_> {
    pub(super) fn float_conv(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let Some(weights) = self.float_constant(node, 1) else {
            return run_in_float("its weights are not constants");
        };
        let rank = input.shape.len();
        let ([batch, channels, spatial @ ..], [outputs, depth, kernel @ ..]) =
            (input.shape.as_slice(), weights.shape.as_slice())
        else {
            return run_in_float("its input has no channels");
        };
        let (batch, channels, outputs) = (*batch, *channels, *outputs);
        let groups = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        let fits = groups > 0
            && depth.checked_mul(groups) == Some(channels)
            && outputs.is_multiple_of(groups)
            && outputs > 0
            && weights.shape.len() == rank;
        if !fits {
            return run_in_float("its weights do not fit its input");
        }
        let window = window(node, spatial, kernel, channels)?;
        let bias = self.column_bias(node, 2, outputs)?;
        let input = self.builder.ordered(&input, &channels_last_order(rank), ElementKind::Floats);
        let result = channels_last_result(batch, outputs, &window, rank);
        if element_count(&result.shape).is_err() {
            return run_in_float("its result is too large");
        }
        let view = TensorView { buffer: NOWHERE, shape: result.shape, order: result.order };
        let product = FloatProduct::Conv { input, weights, window, groups, batch };
        let mut draft = FloatDraft::new(product, outputs, view);
        draft.bias = bias;
        self.release_constant(node, 1);
        self.set_draft(node, draft)
    }

    /// The constant bias at input `i`, one per column.
    fn column_bias(&self, node: &Node, i: usize, columns: usize) -> LowerResult<Option<Vec<f64>>> {
        if !Self::has_input(node, i) {
            return Ok(None);
        }
        let Some(bias) = self.float_constant(node, i) else {
            return run_in_float("its bias is not a constant");
        };
        let values = floats(&bias);
        if bias.shape != [columns] || values.len() != columns {
            return run_in_float("its bias is not one per output");
        }
        Ok(Some(values.iter().map(|&x| f64::from(x)).collect()))
    }

    pub(super) fn float_matmul(&mut self, node: &ExpandedNode) -> LowerResult {
        let constant = match self.float_constant(node, 1) {
            Some(weights) if self.float_constant(node, 0).is_none() => weights,
            _ => return self.float_product(node),
        };
        let lead = constant.shape.len().saturating_sub(2);
        if constant.shape.iter().take(lead).any(|&d| d != 1) {
            return self.float_product(node);
        }
        let input = self.float_view(node, 0)?;
        let [k, n] = match constant.shape.as_slice() {
            [k] => [*k, 1],
            [.., k, n] => [*k, *n],
            [] => return run_in_float("its right side is a number"),
        };
        if lead + 2 > input.shape.len().max(2) {
            return run_in_float("its right side has more axes than its left");
        }
        let draft = self.dense_draft(&input, &constant, [k, n], false, constant.shape.len() > 1)?;
        self.release_constant(node, 1);
        self.set_draft(node, draft)
    }

    /// Rows of `k` floats times `[k, n]`, or times `[n, k]` if `by_column`. The result has an axis
    /// of columns if `keeps`.
    fn dense_draft(
        &mut self,
        input: &TensorView,
        weights: &Rc<Tensor>,
        [k, n]: [usize; 2],
        by_column: bool,
        keeps: bool,
    ) -> LowerResult<FloatDraft> {
        let Some(last) = input.shape.len().checked_sub(1) else {
            return run_in_float("its left side is a number");
        };
        if input.shape.get(last) != Some(&k) || k == 0 || n == 0 || weights.data.len() != k * n {
            return run_in_float("the shapes or types of its inputs do not fit");
        }
        let mut order: Vec<usize> = input.order.iter().copied().filter(|&a| a != last).collect();
        order.push(last);
        let input = self.builder.ordered(input, &order, ElementKind::Floats);
        let mut shape = input.shape.clone();
        shape.truncate(last);
        let rows = shape.iter().product();
        if keeps {
            shape.push(n);
        } else {
            order.truncate(last);
        }
        if element_count(&shape).is_err() {
            return run_in_float("its result is too large");
        }
        let view = TensorView { buffer: NOWHERE, shape, order };
        let weights = weights.clone();
        let product = FloatProduct::Dense { input, weights, by_column, depth: k, rows };
        Ok(FloatDraft::new(product, n, view))
    }

    pub(super) fn float_gemm(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let Some(weights) = self.float_constant(node, 1) else {
            return run_in_float("its right side is not a constant");
        };
        let by_column = node.int("transB").unwrap_or(0) != 0;
        let [k, n] = match *weights.shape.as_slice() {
            [n, k] if by_column => [k, n],
            [k, n] => [k, n],
            _ => return run_in_float("its right side is not a matrix"),
        };
        if input.shape.len() != 2 {
            return run_in_float("its left side is not a matrix");
        }
        let input = match node.int("transA").unwrap_or(0) {
            0 => input,
            _ => input.transposed(&[1, 0]),
        };
        let mut draft = self.dense_draft(&input, &weights, [k, n], by_column, true)?;
        let alpha = f64::from(node.float("alpha").unwrap_or(1.0));
        let beta = f64::from(node.float("beta").unwrap_or(1.0));
        if alpha != 1.0 {
            draft.scale = Some(vec![alpha; n]);
        }
        if Self::has_input(node, 2) {
            self.add_gemm_bias(node, &mut draft, beta)?;
        }
        self.release_constant(node, 1);
        self.set_draft(node, draft)
    }

    fn add_gemm_bias(&mut self, node: &Node, draft: &mut FloatDraft, beta: f64) -> LowerResult {
        if let Some(bias) = self.float_constant(node, 2)
            && let Some(values) = draft.per_column(&bias, floats(&bias))
        {
            draft.bias = Some(values.iter().map(|x| x * beta).collect());
            return Ok(());
        }
        let added = self.float_view(node, 2)?;
        if beta != 1.0 || added.shape != draft.view.shape {
            return run_in_float("its third input is not one constant per column");
        }
        let order = draft.view.order.clone();
        draft.residual = Some(self.builder.ordered(&added, &order, ElementKind::Floats));
        Ok(())
    }
}
