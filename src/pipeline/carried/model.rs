//! A model with its states: what samples are made into comes in, and the states are put beside it.

use std::mem::swap;
use std::sync::Arc;

use super::{CarriedPlan, CarriedState, is_finite};
use crate::bundle::card::Card;
use crate::pipeline::model::Infer;
use crate::pipeline::reject::Reject;
use crate::tensor::{Tensor, TensorSpec};

/// A model whose inputs are those that samples are made into.
#[derive(Debug)]
pub(in crate::pipeline) struct StatefulModel {
    model: Box<dyn Infer>,
    /// The inputs without states.
    inputs: Vec<TensorSpec>,
    /// With states only.
    carried: Option<Carried>,
}

#[derive(Debug)]
struct Carried {
    plan: Arc<CarriedPlan>,
    /// The places of `inputs` among the model's.
    fed: Vec<usize>,
    /// All inputs; those of samples are here during a run only.
    tensors: Vec<Tensor>,
}

impl StatefulModel {
    pub(in crate::pipeline) fn new(
        card: &Card,
        plan: Option<Arc<CarriedPlan>>,
        model: Box<dyn Infer>,
    ) -> Self {
        let inputs = card.fed(model.inputs());
        let carried = plan.map(|plan| {
            let is_state = |place: &usize| plan.slots.iter().any(|slot| slot.input == *place);
            let fed = (0..model.inputs().len()).filter(|place| !is_state(place)).collect();
            let empty = |spec: &TensorSpec| Tensor::zeros(spec.dtype, &spec.shape);
            Carried { tensors: model.inputs().iter().map(empty).collect(), fed, plan }
        });
        Self { model, inputs, carried }
    }

    /// The inputs that samples are made into.
    pub(in crate::pipeline) fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    pub(in crate::pipeline) fn outputs(&self) -> &[TensorSpec] {
        self.model.outputs()
    }

    /// The states that the last run took.
    pub(in crate::pipeline) fn states(&self) -> impl Iterator<Item = (&TensorSpec, &Tensor)> {
        self.carried.iter().flat_map(|carried| {
            let Carried { plan, tensors, .. } = carried;
            let of = |place: usize| self.model.inputs().get(place).zip(tensors.get(place));
            plan.slots.iter().filter_map(move |slot| of(slot.input))
        })
    }

    /// Runs the model once with the states of a device, and replaces them.
    ///
    /// # Errors
    /// The run failed, which leaves the states, or a state is not finite: they start over.
    pub(in crate::pipeline) fn run(
        &mut self,
        inputs: &mut [Tensor],
        outputs: &mut [Tensor],
        state: &mut Option<Box<CarriedState>>,
    ) -> Result<(), Reject> {
        let failed = |problem: String| Reject::RunFailed { problem };
        let Some(Carried { plan, fed, tensors }) = &mut self.carried else {
            let run = self.model.run(inputs, outputs);
            return run.map_err(|error| failed(error.to_string()));
        };
        let kept = state.as_ref().map_or(&[][..], |state| &state.0);
        for (place, slot) in plan.slots.iter().enumerate() {
            if let Some(tensor) = tensors.get_mut(slot.input) {
                tensor.data = kept.get(place).unwrap_or(&slot.initial).clone();
            }
        }
        exchange(fed, tensors, inputs);
        let run = self.model.run(tensors, outputs);
        exchange(fed, tensors, inputs);
        run.map_err(|error| failed(error.to_string()))?;
        let next = plan.slots.iter().filter_map(|slot| outputs.get(slot.output));
        let next: Vec<_> = next.map(|tensor| tensor.data.clone()).collect();
        if !next.iter().all(is_finite) {
            *state = None;
            return Err(failed("the state it gives is not finite, and starts over".to_owned()));
        }
        *state = Some(Box::new(CarriedState(next)));
        Ok(())
    }
}

/// Exchanges the tensors of samples with those in their places.
fn exchange(places: &[usize], all: &mut [Tensor], fed: &mut [Tensor]) {
    for (place, tensor) in places.iter().zip(fed) {
        if let Some(there) = all.get_mut(*place) {
            swap(there, tensor);
        }
    }
}
