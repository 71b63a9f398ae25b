//! Reading small constants: scales, zero points, axes, shapes.

use super::{Lower, Lowering, Value, float};
use crate::engine::constant::{floats, integers};
use crate::engine::proto::Attributes;
use crate::engine::qoperator::Node;
use crate::tensor::{Data, Dtype};
use tract_onnx::pb::NodeProto;

/// Scales and zero points of a (de)quantization: one, or one per index along an axis.
#[derive(Debug)]
pub(super) struct Amounts {
    pub scales: Vec<f32>,
    pub zeros: Vec<i32>,
    /// The type of the zero point, where there is one.
    pub dtype: Option<Dtype>,
}

impl Lowering<'_> {
    /// Inputs 1 (scale) and 2 (zero point).
    ///
    /// # Errors
    /// Refuses scales that are not positive and finite, and zero points that do not go with them.
    pub(super) fn amounts(&self, node: &Node) -> Lower<Amounts> {
        let proto = &node.proto;
        if proto.int("block_size").unwrap_or(0) != 0 {
            return float("its scales are per block");
        }
        let Some(scale) = self.constant(proto, 1) else {
            return float("its scale is not a constant");
        };
        let Data::F32(scales) = &scale.data else {
            return float(format!("its scale is of type {}", scale.dtype()));
        };
        if let Some(scale) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(self.refuse(node, format!("its scale is {scale}")).into());
        }
        if scales.is_empty() {
            return Err(self.refuse(node, "it has no scale").into());
        }
        let mut amounts =
            Amounts { scales: scales.clone(), zeros: vec![0; scales.len()], dtype: None };
        let Some(value) = self.optional(proto, 2) else { return Ok(amounts) };
        let Value::Constant(zero) = value else { return float("its zero point is not a constant") };
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
        amounts.zeros = zeros;
        amounts.dtype = Some(zero.dtype());
        Ok(amounts)
    }

    /// The axis of per-channel amounts, for a tensor of this shape.
    ///
    /// # Errors
    /// Refuses an axis that the tensor has not, or has in another length.
    pub(super) fn channel_axis(
        &self,
        node: &Node,
        amounts: &Amounts,
        shape: &[usize],
    ) -> Lower<usize> {
        if amounts.scales.len() == 1 {
            return Ok(0);
        }
        let axis = node.proto.int("axis").unwrap_or(1);
        let Some(axis) = self::axis(axis, shape.len()) else {
            let reason = format!("axis {axis} is out of range for shape {shape:?}");
            return Err(self.refuse(node, reason).into());
        };
        if shape.get(axis) != Some(&amounts.scales.len()) {
            let count = amounts.scales.len();
            let reason = format!("{count} scales do not fit axis {axis} of shape {shape:?}");
            return Err(self.refuse(node, reason).into());
        }
        Ok(axis)
    }

    /// The integers of a constant input.
    pub(super) fn whole_numbers(&self, proto: &NodeProto, i: usize) -> Option<Vec<i64>> {
        integers(self.constant(proto, i)?)
    }

    /// A constant input with one element.
    pub(super) fn number(&self, proto: &NodeProto, i: usize) -> Option<f64> {
        let tensor = self.constant(proto, i)?;
        match (floats(tensor).as_deref(), integers(tensor).as_deref()) {
            (Some(&[one]), _) => Some(one),
            (_, Some(&[one])) => i32::try_from(one).ok().map(f64::from),
            _ => None,
        }
    }

    /// A list of axes from an attribute (before operator set 13) or a constant input (since).
    pub(super) fn axes(
        &self,
        proto: &NodeProto,
        input: usize,
        rank: usize,
    ) -> Lower<Option<Vec<usize>>> {
        let given = match (proto.ints("axes"), self.optional(proto, input)) {
            (Some(axes), _) => axes.to_vec(),
            (None, None) => return Ok(None),
            (None, Some(_)) => match self.whole_numbers(proto, input) {
                Some(axes) => axes,
                None => return float("its axes are not constants"),
            },
        };
        let axes: Option<Vec<usize>> = given.iter().map(|&a| axis(a, rank)).collect();
        match axes {
            Some(axes) => Ok(Some(axes)),
            None => float("an axis is out of range"),
        }
    }
}

/// An axis counted from the front, where `rank` has it.
pub(super) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    usize::try_from(axis).ok().filter(|_| axis < rank)
}
