//! Axes that the float runtime takes as they are: it loops from an axis to the last one, and does
//! not end where the tensor has no such axis.

use super::{Values, axis};
use crate::engine::graph::Node;

/// Checks the axis of a normalization.
///
/// # Errors
/// An axis that the input does not have, or may not have.
pub(super) fn check(node: &Node, values: &Values<'_>) -> Result<(), String> {
    if !matches!(node.op.as_str(), "LayerNormalization" | "RMSNormalization") {
        return Ok(());
    }
    let first = node.int("axis").unwrap_or(-1);
    match values.shape(node.input(0)) {
        Some(shape) if axis(first, shape.len()).is_none() => {
            Err(format!("its axis {first} is not one of its input, whose shape is {shape:?}"))
        }
        // Nearly every model normalizes the last axis, and every tensor but a number has one.
        None if first != -1 => {
            Err(format!("its axis is {first}, and the shape of its input is unknown before a run"))
        }
        _ => Ok(()),
    }
}
