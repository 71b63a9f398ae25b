//! Which inputs and outputs of a model carry its state.

use std::time::Duration;

use crate::bundle::card::{Card, StateSpec};
use crate::bundle::state_mismatches;
use crate::pipeline::problems::Problems;
use crate::tensor::{Data, Dtype, TensorSpec};

/// The states of a model.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct CarriedPlan {
    pub(in crate::pipeline) slots: Vec<StateSlot>,
    /// A longer time between two samples starts them over.
    pub(in crate::pipeline) max_gap: Option<Duration>,
    /// Bytes of the states of a device.
    pub(in crate::pipeline) size: usize,
    /// Changes with the model's version and with everything that the saved bytes depend on.
    pub(in crate::pipeline) fingerprint: u32,
}

/// One state.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct StateSlot {
    /// Its place among the model's inputs.
    pub(super) input: usize,
    /// Its place among the model's outputs.
    pub(super) output: usize,
    /// What the first run takes.
    pub(super) initial: Data,
}

impl StateSlot {
    pub(super) fn dtype(&self) -> Dtype {
        self.initial.dtype()
    }

    /// Bytes of it.
    pub(super) fn size(&self) -> usize {
        self.initial.len().saturating_mul(self.dtype().size())
    }
}

impl CarriedPlan {
    /// `None` if the card has no state, or if there are problems.
    pub(in crate::pipeline) fn new(
        card: &Card,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
        problems: &mut Problems,
    ) -> Option<Self> {
        let first = card.states.first()?;
        let mismatches = state_mismatches(card, inputs, outputs);
        let is_fit = mismatches.is_empty();
        mismatches.into_iter().for_each(|mismatch| problems.add("card: state", mismatch));
        let slot = |state: &StateSpec| {
            let input = inputs.iter().position(|spec| spec.name == state.input)?;
            let output = outputs.iter().position(|spec| spec.name == state.output)?;
            let initial = initial(state, inputs.get(input)?);
            Some(StateSlot { input, output, initial })
        };
        let slots: Vec<StateSlot> = card.states.iter().filter_map(slot).collect();
        let size = slots.iter().map(StateSlot::size).sum();
        let shapes: Vec<_> = slots.iter().map(|slot| (slot.dtype(), slot.initial.len())).collect();
        let max_gap = first.max_gap;
        let of = format!("{} {} {:?} {shapes:?}", card.name, card.version, card.states);
        let fingerprint = crc32fast::hash(of.as_bytes());
        is_fit.then_some(Self { slots, max_gap, size, fingerprint })
    }
}

/// The values of the card as elements.
#[expect(
    clippy::cast_possible_truncation,
    reason = "elements are what the card's numbers round to"
)]
fn initial(state: &StateSpec, spec: &TensorSpec) -> Data {
    let given = state.value.iter().copied().cycle().take(spec.len());
    match spec.dtype {
        Dtype::F64 => Data::F64(given.collect()),
        Dtype::I32 => Data::I32(given.map(|value| value as i32).collect()),
        Dtype::I64 => Data::I64(given.map(|value| value as i64).collect()),
        _ => Data::F32(given.map(|value| value as f32).collect()),
    }
}
