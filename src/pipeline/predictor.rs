//! One input through the model: run, publish, and show to what observes the predictions.

use super::carried::DeviceStates;
use super::observation::{Observation, RanInput, RunOutcome};
use super::observers::Observers;
use super::publish_state::PublishState;
use super::publisher::{ResultContext, ResultPublisher};
use super::reject::Reject;
use super::runner::{InputSource, ModelRunner};
use super::shadow::Shadow;
use super::step::Step;
use super::step_report::{StageMicros, StepReport};
use super::stopwatch::Stopwatch;

/// The parts of a pipeline that an input goes through once it is complete.
#[derive(Debug)]
pub(super) struct Predictor<'a> {
    pub(super) runner: &'a mut ModelRunner,
    pub(super) sender: &'a mut ResultPublisher,
    pub(super) shadow: Option<&'a mut Shadow>,
    pub(super) observers: &'a mut Observers,
}

/// What is remembered of the device of an input.
#[derive(Debug)]
pub(super) struct InputMemory<'a> {
    pub(super) publish: &'a mut PublishState,
    pub(super) carried: &'a mut DeviceStates,
}

impl Predictor<'_> {
    /// Runs the model on one input with what is remembered of its device, and publishes the prediction.
    /// Then a candidate runs on it, too.
    ///
    /// # Errors
    /// The model failed on the input, or the prediction cannot be encoded.
    pub(super) fn predict(
        &mut self,
        source: InputSource<'_>,
        about: ResultContext<'_>,
        memory: InputMemory<'_>,
        step: &mut Step<'_, '_>,
    ) -> Result<(), Reject> {
        let Self { runner, sender, shadow, observers } = self;
        let Step { watch, out, outcome, .. } = step;
        let InputMemory { publish: state, carried } = memory;
        let prediction = runner.run(source, &mut carried.active, watch);
        let us = timed(watch, outcome);
        let about = ResultContext { us, ..about };
        let sent = prediction.and_then(|(prediction, card)| {
            outcome.runs = outcome.runs.saturating_add(1);
            if let Some(shadow) = shadow {
                shadow.note(&prediction);
            }
            let sent = sender.send(&prediction, card, state, about, out, outcome);
            let (id, device, time) = (sender.last_id(), about.captured.device(), about.time);
            let now = about.incoming.received;
            let seen = Observation { prediction: &prediction, id, device, time, now };
            observers.note(&seen, shadow.is_some());
            sent
        });
        let window = &runner.window;
        let own = &mut carried.candidate;
        let agreed = shadow.as_mut().and_then(|it| it.run(source, own, window, us.run, watch));
        let outcome = match (&sent, agreed) {
            (Err(reject), _) if reject.is_of_model() => RunOutcome::Failed,
            (_, Some(false)) => RunOutcome::Disagreed,
            _ => RunOutcome::Predicted,
        };
        let (device, time, now) = (about.captured.device(), about.time, about.incoming.received);
        observers.finish(&RanInput { device, time, now, outcome }, runner);
        sent
    }
}

/// Counts the times of a run, and gives them as its prediction shows them.
fn timed(watch: &mut Stopwatch<'_>, outcome: &mut StepReport) -> StageMicros {
    let (prepare, run) = watch.take();
    outcome.us.add((prepare, run));
    StageMicros { queue: outcome.us.queue, prepare, run }
}
