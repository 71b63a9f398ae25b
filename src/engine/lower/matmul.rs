//! Matrix products: MatMul and Gemm, with constant or computed right sides.

use super::context::{LowerResult, Lowering, run_in_float};
use super::conv::{check_overflow, matrix_parts, units};
use super::plan_builder::ElementKind;
use super::value::{
    AccumulatorScale, Affine, Deferred, DeferredOp, Kind, Matrix, OpKind, Product, ResultLayout,
    Value, Weights, ZeroPoint,
};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::tensor_view::TensorView;
use std::rc::Rc;

impl Lowering<'_> {
    pub(super) fn matmul(&mut self, node: &ExpandedNode) -> LowerResult {
        let left = self.value(node, 0)?.clone();
        let right = self.value(node, 1)?.clone();
        let product = match (left, right) {
            (
                Value::Deferred(Deferred::Affine(left)),
                Value::Deferred(Deferred::Weights(right)),
            ) => {
                let unit = AccumulatorScale::Fixed(units(left.scale, &right.scales));
                self.times(node, &left.view, ZeroPoint::Fixed(left.zero), &right, unit)?
            }
            (Value::Deferred(left), Value::Deferred(Deferred::Affine(right))) => {
                match self.as_affine(&left) {
                    Some(left) => self.times_computed(node, &left, &right)?,
                    None => return run_in_float("its left side is not quantized"),
                }
            }
            _ => return run_in_float("its inputs are not quantized"),
        };
        check_overflow(&product)?;
        self.set_product(node, product);
        Ok(())
    }

    pub(super) fn set_product(&mut self, node: &ExpandedNode, product: Product) {
        let shape = product.result.shape.clone();
        let deferred = DeferredOp::new(OpKind::Product(Rc::new(product)), shape);
        self.set(node, Value::Deferred(Deferred::Op(deferred)));
    }

    /// `[..., k]` bytes times a constant `[k, n]`.
    pub(super) fn times(
        &mut self,
        node: &ExpandedNode,
        input: &TensorView,
        zero: ZeroPoint,
        weights: &Weights,
        unit: AccumulatorScale,
    ) -> LowerResult<Product> {
        let [lead @ .., k, n] = weights.tensor.shape.as_slice() else {
            return run_in_float("its right side is not a matrix");
        };
        if lead.iter().any(|&d| d != 1) || lead.len() + 2 > input.shape.len().max(2) {
            return run_in_float("its right side is more than one matrix");
        }
        if weights.scales.len() > 1 && weights.axis != lead.len() + 1 {
            return run_in_float("its weights have scales along another axis than their outputs");
        }
        let Some((values, zeros)) = matrix_parts(weights) else {
            return run_in_float("its weights are not of bytes");
        };
        let matrix = Matrix { values: transpose(&values, *k, *n), zeros, depth: *k };
        self.dense(node, input, zero, matrix, [*k, *n], unit)
    }

    /// Rows of `k` bytes times a matrix of `n` rows of `k`.
    fn dense(
        &mut self,
        node: &ExpandedNode,
        input: &TensorView,
        zero: ZeroPoint,
        matrix: Matrix,
        [k, n]: [usize; 2],
        unit: AccumulatorScale,
    ) -> LowerResult<Product> {
        let Some(last) = input.shape.len().checked_sub(1).filter(|_| input.shape.len() > 1) else {
            return run_in_float("its left side is a vector");
        };
        if input.shape.get(last) != Some(&k) {
            let reason = format!("rows of {k} weights for an input of shape {:?}", input.shape);
            return Err(self.refuse(node, reason).into());
        }
        if k == 0 || n == 0 {
            return Err(self.refuse(node, "its weights are empty").into());
        }
        let mut order: Vec<usize> = input.order.iter().copied().filter(|&a| a != last).collect();
        order.push(last);
        let view = self.builder.ordered(input, &order, ElementKind::Bytes);
        let mut shape = view.shape.clone();
        shape.truncate(last);
        let rows = shape.iter().product();
        shape.push(n);
        Ok(Product {
            input: view,
            zero,
            kind: Kind::Dense { matrix: Rc::new(matrix), rows },
            batch: 1,
            result: ResultLayout { shape, order },
            axis: last,
            columns: n,
            unit,
            bias: None,
            offset: None,
        })
    }

    /// `[..., m, k]` times `[..., k, n]`, both computed.
    fn times_computed(
        &mut self,
        node: &ExpandedNode,
        left: &Affine,
        right: &Affine,
    ) -> LowerResult<Product> {
        let (left_view, right_view) = (&left.view, &right.view);
        let ([lead @ .., m, k], [other @ .., k2, n]) =
            (left_view.shape.as_slice(), right_view.shape.as_slice())
        else {
            return run_in_float("one of its sides is a vector");
        };
        if k != k2 {
            let (a, b) = (&left_view.shape, &right_view.shape);
            return Err(self.refuse(node, format!("shapes {a:?} and {b:?} do not fit")).into());
        }
        let single = other.iter().all(|&d| d == 1) && other.len() <= lead.len();
        if !single && lead != other {
            return run_in_float("its sides are repeated along an axis");
        }
        let lead_len: usize = lead.iter().product();
        let (batch, rows) = if single { (1, lead_len * m) } else { (lead_len, *m) };
        let size = [rows, *k, *n];
        if size.contains(&0) || batch == 0 {
            return Err(self.refuse(node, "one of its sides is empty").into());
        }
        let mut swapped: Vec<usize> = (0..right_view.shape.len()).collect();
        let rank = swapped.len();
        swapped.swap(rank - 2, rank - 1);
        let transposed = right_view.has_axis_order(&swapped) && !right_view.is_plain();
        let right_view = match transposed {
            true => right_view.clone(),
            false => self.builder.plain(right_view, ElementKind::Bytes),
        };
        let shape: Vec<usize> = lead.iter().chain([m, n]).copied().collect();
        let (axis, order) = (shape.len() - 1, (0..shape.len()).collect());
        let input = self.builder.plain(left_view, ElementKind::Bytes);
        Ok(Product {
            input,
            zero: ZeroPoint::Fixed(left.zero),
            kind: Kind::Matmul { right: right_view, zero: right.zero, transposed, size },
            batch,
            columns: *n,
            result: ResultLayout { shape, order },
            axis,
            unit: AccumulatorScale::Fixed(units(left.scale, &[right.scale])),
            bias: None,
            offset: None,
        })
    }

    pub(super) fn gemm(&mut self, node: &ExpandedNode) -> LowerResult {
        let Value::Deferred(Deferred::Affine(left)) = self.value(node, 0)?.clone() else {
            return run_in_float("its input is not quantized");
        };
        let Value::Deferred(Deferred::Weights(right)) = self.value(node, 1)?.clone() else {
            return run_in_float("its weights are not quantized constants");
        };
        if node.int("transA").unwrap_or(0) != 0 {
            return run_in_float("its input is transposed");
        }
        let alpha = f64::from(node.float("alpha").unwrap_or(1.0));
        if !(alpha.is_finite() && alpha > 0.0) {
            return run_in_float(format!("its alpha is {alpha}"));
        }
        let unit: Vec<f64> = units(left.scale, &right.scales).iter().map(|u| u * alpha).collect();
        let unit = AccumulatorScale::Fixed(Rc::new(unit));
        let zero = ZeroPoint::Fixed(left.zero);
        let mut product = if node.int("transB").unwrap_or(0) == 0 {
            self.times(node, &left.view, zero, &right, unit)?
        } else {
            let [n, k] = *right.tensor.shape.as_slice() else {
                return run_in_float("its right side is not a matrix");
            };
            if right.scales.len() > 1 && right.axis != 0 {
                return run_in_float(
                    "its weights have scales along another axis than their outputs",
                );
            }
            let Some((values, zeros)) = matrix_parts(&right) else {
                return run_in_float("its weights are not of bytes");
            };
            self.dense(node, &left.view, zero, Matrix { values, zeros, depth: k }, [k, n], unit)?
        };
        if let Some(bias) = self.optional(node, 2).cloned() {
            let shape = super::shape_ops::shape(&bias).unwrap_or_default();
            let columns = product.columns;
            if !matches!(*shape, [] | [1] | [1, 1]) && *shape != [columns] && *shape != [1, columns]
            {
                return run_in_float("its bias is not one per column");
            }
            let beta = f64::from(node.float("beta").unwrap_or(1.0));
            self.add_bias(&mut product, &bias, beta)?;
        }
        check_overflow(&product)?;
        self.set_product(node, product);
        Ok(())
    }
}

/// Transposes `[k][n]` to `[n][k]`.
fn transpose(values: &[i8], k: usize, n: usize) -> Vec<i8> {
    let mut transposed = vec![0; values.len()];
    for (i, row) in values.chunks_exact(n.max(1)).enumerate() {
        let column = transposed.iter_mut().skip(i).step_by(k.max(1));
        column.zip(row).for_each(|(to, from)| *to = *from);
    }
    transposed
}
