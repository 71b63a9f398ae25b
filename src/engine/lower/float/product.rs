//! Products of two computed matrices.

use super::operands::{broadcast_shape, broadcast_strides};
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::Value;
use crate::engine::plan::{FloatStep, Operation};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::float::{Layout, Matmul};

/// The most matrices of one product.
const MAX_MATRICES: usize = 1 << 16;

impl Lowering<'_> {
    /// `MatMul` of `[..., m, k]` and `[..., k, n]`, with broadcasting of the axes before.
    pub(super) fn float_product(&mut self, node: &ExpandedNode) -> LowerResult {
        let (left, right) = (self.float_view(node, 0)?, self.float_view(node, 1)?);
        let ([.., m, k], [.., other, n]) = (left.shape.as_slice(), right.shape.as_slice()) else {
            return run_in_float("one of its sides is a vector");
        };
        let (m, k, n) = (*m, *k, *n);
        let (left_lead, right_lead) = (lead(&left), lead(&right));
        let Some(batch) = broadcast_shape(left_lead, right_lead).filter(|_| *other == k) else {
            return run_in_float("the shapes or types of its inputs do not fit");
        };
        let shape = [&*batch, &[m, n]].concat();
        if broadcast_shape(&shape, &[1]).is_none() {
            return run_in_float("its result is too large");
        }
        let left = self.builder.plain(&left, ElementKind::Floats);
        let (right, layout) = self.right_side(&right);
        let starts = [
            starts(&left, m * k, &batch),
            starts(&TensorView::plain(right.buffer, &right.shape), k * n, &batch),
        ];
        let [Some(a), Some(b)] = starts else { return run_in_float("it has too many matrices") };
        // One matrix for all of the batch is one larger product.
        let joined =
            b.iter().all(|&s| s == 0) && a.iter().enumerate().all(|(i, &s)| s == i * m * k);
        let (rows, starts) = match joined {
            true => (m * batch.iter().product::<usize>(), vec![[0, 0]]),
            false => (m, a.into_iter().zip(b).map(|(a, b)| [a, b]).collect()),
        };
        let matmul = match Matmul::new(self.builder.isa, [rows, k, n], layout) {
            Ok(matmul) => matmul,
            Err(error) => return run_in_float(error.to_string()),
        };
        let step = FloatStep::Matmul { matmul, starts, lengths: [rows * k, k * n] };
        let operation = Operation::Float(Box::new(step));
        let order: Vec<usize> = (0..shape.len()).collect();
        let sources = [&left, &right];
        let made = self.builder.emit_step(operation, &sources, ElementKind::Floats, &shape, &order);
        self.set(node, Value::Float(made));
        Ok(())
    }

    /// The right side with its matrices one after the other, as they are or transposed.
    fn right_side(&mut self, right: &TensorView) -> (TensorView, Layout) {
        let rank = right.shape.len();
        let mut swapped: Vec<usize> = (0..rank).collect();
        swapped.swap(rank - 2, rank - 1);
        if right.has_axis_order(&swapped) && !right.is_plain() {
            return (right.clone(), Layout::Transposed);
        }
        (self.builder.plain(right, ElementKind::Floats), Layout::RowMajor)
    }
}

/// The axes before the matrix.
fn lead(view: &TensorView) -> &[usize] {
    view.shape.get(..view.shape.len().saturating_sub(2)).unwrap_or_default()
}

/// Where the matrix of each element of `batch` starts in a side. `None` if there are too many.
fn starts(side: &TensorView, matrix: usize, batch: &[usize]) -> Option<Vec<usize>> {
    let lead = TensorView::plain(side.buffer, lead(side));
    let strides = broadcast_strides(&lead, batch);
    if batch.iter().product::<usize>() > MAX_MATRICES {
        return None;
    }
    let mut starts = vec![0];
    for (&size, &stride) in batch.iter().zip(&strides) {
        starts = starts
            .iter()
            .flat_map(|&start| (0..size).map(move |i| start + i * stride * matrix))
            .collect();
    }
    Some(starts)
}
