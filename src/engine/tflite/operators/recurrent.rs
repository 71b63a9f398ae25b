//! Recurrent layers.

use super::super::file::Operator;
use super::super::graph_builder::{Converted, GraphBuilder, is_quantized};
use super::steps::transposed;
use crate::engine::graph::{Attribute, ElementType};

/// The gates in ONNX's order (input, output, forget, cell), by their places among those of TensorFlow
/// Lite (input, forget, cell, output).
const GATES: [usize; 4] = [0, 3, 1, 2];

/// An LSTM over sequences, whose states are zero at the start of every run.
pub(super) fn lstm(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let (input, output) = (op.input(0)?, op.output()?);
    let more = (9..12).chain([16, 17]).chain(20..24).find(|&i| op.optional(i).is_some());
    if let Some(i) = more {
        return Err(format!(
            "its input {i} is not supported: peepholes, projection, normalization"
        )
        .into());
    }
    if op.options.byte(0)? != 4 || op.options.flag(5)? || op.options.float(2, 0.0)? != 0.0 {
        return Err(
            "its activation is not tanh, its output is clipped, or its matrices are diagonal"
                .into(),
        );
    }
    refuse_clip(b, op)?;
    for i in [input, output] {
        if is_quantized(b.tensor(i)?)? {
            return Err("it is quantized: convert the LSTM in float".into());
        }
    }
    let units = b.tensor(op.input(5)?)?.shape.get(1).copied().unwrap_or(0);
    let side = |b: &mut GraphBuilder<'_>, first: usize| -> Converted<String> {
        let gates = GATES.map(|gate| b.weights(op.input(first + gate)?, &[0, 1], true));
        stacked(b, gates)
    };
    let (weights, recurrent) = (side(b, 1)?, side(b, 5)?);
    let biases = GATES.map(|gate| b.real(op.input(12 + gate)?));
    let bias = joined(b, biases)?;
    let zeros = vec![0; units.saturating_mul(16)];
    let none = b.constant(ElementType::F32, vec![units * 4], zeros)?;
    let bias = b.step("Concat", &[&bias, &none], vec![Attribute::int("axis", 0)]);
    let bias = unsqueezed(b, &bias, 0)?;
    let mut sequence = b.real(input)?;
    let by_batch = !op.options.flag(3)?;
    if by_batch {
        sequence = transposed(b, &sequence, &[1, 0, 2]);
    }
    let hidden = i64::try_from(units).unwrap_or(0);
    let inputs = [&sequence, &weights, &recurrent, &bias].map(String::as_str);
    let all = b.step("LSTM", &inputs, vec![Attribute::int("hidden_size", hidden)]);
    let axes = b.numbers(&[1])?;
    let mut result = b.step("Squeeze", &[&all, &axes], Vec::new());
    if by_batch {
        result = transposed(b, &result, &[1, 0, 2]);
    }
    b.set(output, &result)
}

fn joined(b: &mut GraphBuilder<'_>, parts: [Converted<String>; 4]) -> Converted<String> {
    let [i, o, f, c] = parts;
    let parts = [i?, o?, f?, c?];
    let parts = parts.each_ref().map(String::as_str);
    Ok(b.step("Concat", &parts, vec![Attribute::int("axis", 0)]))
}

fn stacked(b: &mut GraphBuilder<'_>, parts: [Converted<String>; 4]) -> Converted<String> {
    let all = joined(b, parts)?;
    unsqueezed(b, &all, 0)
}

fn unsqueezed(b: &mut GraphBuilder<'_>, value: &str, axis: i64) -> Converted<String> {
    let axes = b.numbers(&[axis])?;
    Ok(b.step("Unsqueeze", &[value, &axes], Vec::new()))
}

/// Refuses a bound of the cells that they can reach: a step adds at most 1 to a cell.
fn refuse_clip(b: &GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let clip = op.options.float(1, 0.0)?;
    let axis = usize::from(!op.options.flag(3)?);
    let steps = b.tensor(op.input(0)?)?.shape.get(axis).copied().unwrap_or(usize::MAX);
    #[expect(clippy::cast_precision_loss, reason = "a comparison with a small number")]
    let reachable = clip.is_nan() || clip != 0.0 && steps as f32 > clip;
    if reachable {
        let reason = format!(
            "its cells are clipped at {clip}, which its {steps} steps can reach: convert the model \
             of Keras to ONNX, where they are not"
        );
        return Err(reason.into());
    }
    Ok(())
}
