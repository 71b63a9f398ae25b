//! Checks of the states of a card against its model.

use super::card::{Card, StateSpec};
use crate::tensor::{Dtype, TensorSpec};

/// The most bytes of the states of one device.
const MAX_STATE_SIZE: usize = 1 << 20;

/// Every point in which the states of the card and the model differ, as text.
pub(crate) fn state_mismatches(
    card: &Card,
    inputs: &[TensorSpec],
    outputs: &[TensorSpec],
) -> Vec<String> {
    let each = card.states.iter().filter_map(|state| mismatch(state, inputs, outputs));
    let mut all: Vec<String> = each.collect();
    let sizes = card.states.iter().filter_map(|state| named(&state.input, inputs));
    let size: usize = sizes.map(|spec| spec.len().saturating_mul(spec.dtype.size())).sum();
    if size > MAX_STATE_SIZE {
        all.push(format!(
            "the states have {size} bytes; at most {MAX_STATE_SIZE} are kept a device"
        ));
    }
    all
}

fn mismatch(state: &StateSpec, inputs: &[TensorSpec], outputs: &[TensorSpec]) -> Option<String> {
    let place = format!("[[state]] {:?}", state.input);
    let names =
        |specs: &[TensorSpec]| specs.iter().map(|spec| spec.name.clone()).collect::<Vec<_>>();
    let Some(input) = named(&state.input, inputs) else {
        return Some(format!("{place}: the model has the inputs {:?}", names(inputs)));
    };
    let Some(output) = named(&state.output, outputs) else {
        let found = names(outputs);
        return Some(format!("{place}: no output is {:?}; the model has {found:?}", state.output));
    };
    if (input.dtype, &input.shape) != (output.dtype, &output.shape) {
        return Some(format!(
            "{place} is {} {:?}, and output {:?} is {} {:?}: they must be the same",
            input.dtype, input.shape, output.name, output.dtype, output.shape
        ));
    }
    if !matches!(input.dtype, Dtype::F32 | Dtype::F64 | Dtype::I32 | Dtype::I64) {
        return Some(format!("{place} is {}; f32, f64, i32 and i64 are carried", input.dtype));
    }
    let (given, wanted) = (state.value.len(), input.len());
    (given != 1 && given != wanted)
        .then(|| format!("{place}: value has {given} numbers for {wanted} elements"))
}

fn named<'a>(name: &str, specs: &'a [TensorSpec]) -> Option<&'a TensorSpec> {
    specs.iter().find(|spec| spec.name == name)
}
