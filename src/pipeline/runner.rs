//! The model with its buffers: numbers in, verdict out.

use std::sync::Arc;

use super::decode::Samples;
use super::fit::FitError;
use super::infer::Infer;
use super::interpret::{OutputPlan, Scratch, Verdict};
use super::plan::Plan;
use super::prepare;
use super::reject::Reject;
use crate::bundle::card::Card;
use crate::clock::{Clock, Mono};
use crate::config::Stream;
use crate::tensor::Tensor;

/// What the model is run on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// The window that was read into [`Runner::window`].
    Window,
    Whole(&'a Samples),
    /// A payload that is the tensor itself.
    Direct(&'a [u8]),
}

/// A model as one stream runs it. Everything it needs is allocated once.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) card: Arc<Card>,
    pub(super) plan: Plan,
    model: Box<dyn Infer>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// The samples of the window at hand.
    pub(super) window: Vec<f64>,
    flat: Vec<f64>,
    /// Each input's numbers, normalised.
    reals: Vec<Vec<f64>>,
    scratch: Scratch,
}

impl Runner {
    pub(super) fn new(
        stream: &Stream,
        card: Arc<Card>,
        model: Box<dyn Infer>,
    ) -> Result<Self, Vec<FitError>> {
        let plan = Plan::new(stream, &card, model.inputs(), model.outputs())?;
        let zeros = |spec: &crate::tensor::TensorSpec| Tensor::zeros(spec.dtype, &spec.shape);
        let inputs: Vec<Tensor> = model.inputs().iter().map(zeros).collect();
        let outputs = model.outputs().iter().map(zeros).collect();
        let reals = vec![Vec::new(); inputs.len()];
        let (window, flat, scratch) = (Vec::new(), Vec::new(), Scratch::default());
        Ok(Self { card, plan, model, inputs, outputs, window, flat, reals, scratch })
    }

    /// Makes the input tensors, runs the model and interprets its output by the card.
    pub(super) fn run(
        &mut self,
        source: Source<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(Verdict<'_>, &Card), Reject> {
        self.prepare(source)?;
        watch.prepared();
        let run = self.model.run(&self.inputs, &mut self.outputs);
        watch.ran();
        run.map_err(|error| Reject::RunFailed { problem: error.to_string() })?;
        let output: &OutputPlan = &self.plan.output;
        let Some(tensor) = self.outputs.get(output.index) else {
            return Err(Reject::RunFailed { problem: "an output is missing".to_owned() });
        };
        let compared = output.compares_with().and_then(|input| self.reals.get(input));
        let compared = compared.map_or(&[][..], Vec::as_slice);
        let verdict = output.interpret(tensor, compared, &mut self.scratch)?;
        Ok((verdict, &self.card))
    }

    fn prepare(&mut self, source: Source<'_>) -> Result<(), Reject> {
        let Self { plan, inputs, reals, window, flat, .. } = self;
        for ((input, reals), tensor) in plan.inputs.iter().zip(reals).zip(inputs) {
            match source {
                Source::Window => prepare::window(input, window, plan.width, reals, tensor)?,
                Source::Whole(samples) => {
                    prepare::whole(plan, input, samples, flat, reals, tensor)?;
                }
                Source::Direct(payload) => prepare::direct(input, payload, tensor)?,
            }
        }
        Ok(())
    }
}

/// Measures a step: what passes before a run is preparation, the run is the run.
pub(super) struct Watch<'c> {
    clock: &'c dyn Clock,
    last: Mono,
    prepare: u64,
    run: u64,
}

impl<'c> Watch<'c> {
    pub(super) fn start(clock: &'c dyn Clock, started: Mono) -> Self {
        Self { clock, last: started, prepare: 0, run: 0 }
    }

    /// One of its own, by the same clock.
    pub(super) fn another(&self) -> Self {
        Self::start(self.clock, self.clock.now().mono)
    }

    /// What passed until now is nobody's time.
    pub(super) fn pass(&mut self) {
        self.last = self.clock.now().mono;
    }

    fn lap(&mut self) -> u64 {
        let now = self.clock.now().mono;
        let lap = now.0.saturating_sub(self.last.0);
        self.last = now;
        lap
    }

    /// The preparation and the run since the last time this was asked.
    pub(super) fn take(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.prepare), std::mem::take(&mut self.run))
    }

    fn prepared(&mut self) {
        self.prepare = self.lap();
    }

    fn ran(&mut self) {
        self.run = self.lap();
    }
}
