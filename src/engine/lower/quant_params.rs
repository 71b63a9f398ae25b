//! Small constants of a node: scales, zero points, axes, shapes.

use super::context::{LowerResult, Lowering, run_in_float};
use super::value::Value;
use crate::engine::graph::{Node, integers, reals};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::shapes;
use crate::tensor::{Data, Dtype};

/// Scales and zero points of a (de)quantization: one, or one per index along an axis.
#[derive(Debug)]
pub(super) struct QuantParams {
    pub scales: Vec<f32>,
    pub zeros: Vec<i32>,
    /// The type of the zero point, if there is one.
    pub dtype: Option<Dtype>,
}

impl Lowering<'_> {
    /// Reads inputs 1 (scale) and 2 (zero point).
    ///
    /// # Errors
    /// Scales that are not positive and finite, or zero points that do not match them.
    pub(super) fn quant_params(&self, node: &ExpandedNode) -> LowerResult<QuantParams> {
        if node.int("block_size").unwrap_or(0) != 0 {
            return run_in_float("its scales are per block");
        }
        let Some(scale) = self.constant(node, 1) else {
            return run_in_float("its scale is not a constant");
        };
        let Data::F32(scales) = &scale.data else {
            return run_in_float(format!("its scale is of type {}", scale.dtype()));
        };
        if let Some(scale) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(self.refuse(node, format!("its scale is {scale}")).into());
        }
        if scales.is_empty() {
            return Err(self.refuse(node, "it has no scale").into());
        }
        let mut params =
            QuantParams { scales: scales.clone(), zeros: vec![0; scales.len()], dtype: None };
        let Some(value) = self.optional(node, 2) else { return Ok(params) };
        let Value::Constant(zero) = value else {
            return run_in_float("its zero point is not a constant");
        };
        let Some(zeros) = integers(zero) else {
            let reason = format!("its zero point is of type {}", zero.dtype());
            return Err(self.refuse(node, reason).into());
        };
        if zeros.len() != scales.len() {
            let reason = format!("it has {} scales, but {} zero points", scales.len(), zeros.len());
            return Err(self.refuse(node, reason).into());
        }
        let Ok(zeros) = zeros.into_iter().map(i32::try_from).collect() else {
            return Err(self.refuse(node, "its zero point is beyond 32 bits").into());
        };
        params.zeros = zeros;
        params.dtype = Some(zero.dtype());
        Ok(params)
    }

    /// The axis of per-channel parameters for a tensor of this shape.
    ///
    /// # Errors
    /// An axis that the tensor does not have, or that has another length.
    pub(super) fn channel_axis(
        &self,
        node: &ExpandedNode,
        params: &QuantParams,
        shape: &[usize],
    ) -> LowerResult<usize> {
        if params.scales.len() == 1 {
            return Ok(0);
        }
        let axis = node.int("axis").unwrap_or(1);
        let Some(axis) = shapes::axis(axis, shape.len()) else {
            let reason = format!("axis {axis} is out of range for shape {shape:?}");
            return Err(self.refuse(node, reason).into());
        };
        if shape.get(axis) != Some(&params.scales.len()) {
            let count = params.scales.len();
            let reason = format!("{count} scales do not fit axis {axis} of shape {shape:?}");
            return Err(self.refuse(node, reason).into());
        }
        Ok(axis)
    }

    /// The integers of a constant input.
    pub(super) fn whole_numbers(&self, node: &Node, i: usize) -> Option<Vec<i64>> {
        integers(self.constant(node, i)?)
    }

    /// A constant input with one element.
    pub(super) fn number(&self, node: &Node, i: usize) -> Option<f64> {
        let tensor = self.constant(node, i)?;
        match (reals(tensor).as_deref(), integers(tensor).as_deref()) {
            (Some(&[one]), _) => Some(one),
            (_, Some(&[one])) => i32::try_from(one).ok().map(f64::from),
            _ => None,
        }
    }

    /// A list of axes from an attribute (before operator set 13) or a constant input (since).
    pub(super) fn axes(
        &self,
        node: &Node,
        input: usize,
        rank: usize,
    ) -> LowerResult<Option<Vec<usize>>> {
        let given = match (node.ints("axes"), self.optional(node, input)) {
            (Some(axes), _) => axes.to_vec(),
            (None, None) => return Ok(None),
            (None, Some(_)) => match self.whole_numbers(node, input) {
                Some(axes) => axes,
                None => return run_in_float("its axes are not constants"),
            },
        };
        let axes: Option<Vec<usize>> = given.iter().map(|&a| shapes::axis(a, rank)).collect();
        match axes {
            Some(axes) => Ok(Some(axes)),
            None => run_in_float("an axis is out of range"),
        }
    }
}
