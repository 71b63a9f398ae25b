//! What the conversions of several operators share.

use super::super::file::Operator;
use super::super::graph_builder::{Converted, GraphBuilder};
use crate::engine::graph::Attribute;

impl Operator<'_> {
    /// The tensor at a place, which must not be left out.
    pub(super) fn input(&self, i: usize) -> Converted<usize> {
        let input = self.inputs.get(i).copied().flatten();
        input.ok_or_else(|| format!("it has no input {i}").into())
    }

    pub(super) fn optional(&self, i: usize) -> Option<usize> {
        self.inputs.get(i).copied().flatten()
    }

    pub(super) fn output(&self) -> Converted<usize> {
        self.outputs.first().copied().ok_or_else(|| "it has no output".into())
    }
}

/// Adds the activation that is fused into an operator. Returns the name of its result.
fn activated(b: &mut GraphBuilder<'_>, value: String, activation: u8) -> Converted<String> {
    let bounds = match activation {
        0 => return Ok(value),
        1 => return Ok(b.step("Relu", &[&value], Vec::new())),
        2 => (-1.0, 1.0),
        3 => (0.0, 6.0),
        4 => return Ok(b.step("Tanh", &[&value], Vec::new())),
        other => return Err(format!("its activation {other} is not supported").into()),
    };
    clipped(b, &value, bounds)
}

pub(super) fn clipped(
    b: &mut GraphBuilder<'_>,
    value: &str,
    (low, high): (f32, f32),
) -> Converted<String> {
    let (low, high) = (b.scalar(low)?, b.scalar(high)?);
    Ok(b.step("Clip", &[value, &low, &high], Vec::new()))
}

/// Completes the output with a value and a fused activation.
pub(super) fn finish(
    b: &mut GraphBuilder<'_>,
    op: &Operator<'_>,
    value: String,
    activation: u8,
) -> Converted {
    let value = activated(b, value, activation)?;
    b.set(op.output()?, &value)
}

/// `[batch, height, width, channels]` to `[batch, channels, height, width]`.
pub(super) const CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];
/// The way back.
pub(super) const CHANNELS_LAST: [i64; 4] = [0, 2, 3, 1];

pub(super) fn transposed(b: &mut GraphBuilder<'_>, value: &str, perm: &[i64]) -> String {
    let perm = Attribute::ints("perm", perm.to_vec());
    b.step("Transpose", &[value], vec![perm])
}
