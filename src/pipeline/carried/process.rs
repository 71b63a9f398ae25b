//! Whole inputs of a model that carries state: each belongs to its device, in order.

use super::CarriedPlan;
use crate::pipeline::decode::Decoded;
use crate::pipeline::predictor::{InputMemory, Predictor};
use crate::pipeline::process::{admit, sample_micros};
use crate::pipeline::publisher::ResultContext;
use crate::pipeline::reject::Reject;
use crate::pipeline::runner::InputSource;
use crate::pipeline::step::Step;
use crate::pipeline::stream::Pipeline;
use crate::pipeline::window::{ForgottenDevices, micros};

impl Pipeline {
    /// Takes a message that is a whole input. The journal has it, if it was in order, with the state
    /// after it.
    pub(in crate::pipeline) fn take_carried(
        &mut self,
        carried: &CarriedPlan,
        step: &mut Step<'_, '_>,
    ) -> Result<(), Reject> {
        let (incoming, started) = (step.incoming, step.started);
        let times = self.decoded.samples().map(|samples| samples.times.as_slice());
        let own = times.and_then(|times| times.first().copied().flatten());
        let time = admit(&self.stream, own, incoming, started.wall)?;
        let token = self.awaiting(incoming);
        let Self { captured, decoded, devices, holes, recorder, runner, sender, .. } = self;
        let key = captured.device();
        let mut forgotten = ForgottenDevices::default();
        let device = devices.device(key, started.mono, &mut forgotten);
        forgotten.count_in(0, &mut step.outcome);
        let Some(device) = device else {
            let problem = "names no device";
            return Err(Reject::Topic { topic: incoming.topic.clone(), problem });
        };
        if let Decoded::Samples(samples) = decoded {
            holes.fill_whole(samples, &mut device.held, sample_micros(own, incoming))?;
        }
        let received = incoming.received.mono;
        recorder.begin(key, &device.publish_state, received, started.mono);
        match device.order_input(own) {
            Ok(false) => {}
            Ok(true) => recorder.restart(),
            Err(by) => {
                recorder.end(None);
                return Err(Reject::OutOfOrder { by });
            }
        }
        recorder.input(own);
        device.take_input(carried.max_gap, own, micros(received));
        let source = match &*decoded {
            Decoded::Samples(samples) => InputSource::Whole(samples),
            Decoded::Tensor(data) => InputSource::Tensor(data),
        };
        let (name, retained) = (token.and(incoming.input_id), self.marks.is_marked(incoming));
        let us = step.outcome.us;
        let about = ResultContext { incoming, captured, time, us, token, name, retained };
        let (shadow, observers) = (self.shadow.as_deref_mut(), &mut self.observers);
        let mut predictor = Predictor { runner, sender, shadow, observers };
        let memory =
            InputMemory { publish: &mut device.publish_state, carried: &mut device.carried };
        let sent = predictor.predict(source, about, memory, step);
        step.outcome.samples = step.outcome.runs;
        recorder.publish_state(&device.publish_state);
        let plan = predictor.runner.plan.carried.as_deref();
        recorder.state(plan, &device.carried, step.outcome.runs > 0);
        recorder.end(incoming.input_id.filter(|_| step.outcome.runs > 0));
        sent
    }
}
