//! Products of floats that are not computed yet, so that the nodes after them can join their kernel.

use crate::engine::tensor_view::TensorView;
use crate::tensor::Tensor;
use inferd_kernels::ConvGeometry;
use inferd_kernels::float::UnaryOp;
use std::rc::Rc;

/// A product with what follows it: `activation(sum * scale + bias + residual)`.
#[derive(Clone, Debug)]
pub(in crate::engine::lower) struct FloatDraft {
    pub product: FloatProduct,
    /// Per column; folded into the weights.
    pub scale: Option<Vec<f64>>,
    /// Per column.
    pub bias: Option<Vec<f64>>,
    /// Added element by element; in the shape and order of `view`.
    pub residual: Option<TensorView>,
    pub activation: Option<UnaryOp>,
    pub columns: usize,
    /// Shape and axis order of the result, whose columns are innermost in memory. Its buffer is
    /// not used.
    pub view: TensorView,
}

/// Sums of products of floats.
#[derive(Clone, Debug)]
pub(in crate::engine::lower) enum FloatProduct {
    /// Weights `[output][channel of the group][tap]`.
    Conv {
        input: TensorView,
        weights: Rc<Tensor>,
        window: ConvGeometry,
        groups: usize,
        batch: usize,
    },
    /// Rows of `depth` floats by constant weights: `[depth][column]`, or one row per column.
    Dense { input: TensorView, weights: Rc<Tensor>, by_column: bool, depth: usize, rows: usize },
}

impl FloatDraft {
    /// The draft of a product alone.
    pub(super) fn new(product: FloatProduct, columns: usize, view: TensorView) -> Self {
        let (scale, bias, residual, activation) = (None, None, None, None);
        Self { product, scale, bias, residual, activation, columns, view }
    }

    /// Whether scales and biases can still join it.
    pub(super) fn is_linear(&self) -> bool {
        self.residual.is_none() && self.activation.is_none()
    }

    /// The axis of the shape that the columns run along. `None` if they run along no single axis
    /// any more.
    pub(super) fn column_axis(&self) -> Option<usize> {
        let strides = self.view.strides();
        let mut axes = self.view.shape.iter().zip(strides).enumerate();
        let column = |&(_, (&size, stride)): &(usize, (&usize, usize))| {
            size == self.columns && stride == 1 && size > 1
        };
        axes.find(column).map(|(axis, _)| axis)
    }

    /// The values of a constant for every column. `None` if it varies along other axes, or has more
    /// axes than the result.
    pub(super) fn per_column(&self, constant: &Tensor, values: &[f32]) -> Option<Vec<f64>> {
        let (rank, own) = (self.view.shape.len(), constant.shape.len());
        if own > rank {
            return None;
        }
        if let [one] = values {
            return Some(vec![f64::from(*one); self.columns]);
        }
        let axis = self.column_axis()?;
        let place = axis.checked_sub(rank - own)?;
        let fits = |(i, &size): (usize, &usize)| size == if i == place { self.columns } else { 1 };
        let all = constant.shape.iter().enumerate().all(fits) && values.len() == self.columns;
        all.then(|| values.iter().map(|&x| f64::from(x)).collect())
    }
}
