//! The values of one message: decoded, admitted, joined, and the samples run.

use std::ops::Range;

use super::plan::JoinPlan;
use super::rows::{ChannelValues, JoinedRows};
use super::source::{Join, SourceChannels};
use super::state::JoinState;
use crate::clock::Timestamp;
use crate::config::WindowSafety;
use crate::message::AckToken;
use crate::pipeline::decode::Samples;
use crate::pipeline::journal::JournalRecorder;
use crate::pipeline::predictor::{InputMemory, Predictor};
use crate::pipeline::process::{accepted, admit, all_refused, note, note_loss};
use crate::pipeline::publisher::ResultContext;
use crate::pipeline::reject::Reject;
use crate::pipeline::retained_marks::RetainedMarks;
use crate::pipeline::runner::InputSource;
use crate::pipeline::shape::WindowShape;
use crate::pipeline::step::Step;
use crate::pipeline::step_report::{JoinReport, StepReport};
use crate::pipeline::stream::Pipeline;
use crate::pipeline::topics::TopicCaptures;
use crate::pipeline::window::{AddedSample, Device, Devices, ForgottenDevices, micros};
use crate::pipeline::window_loss::LossCause;

impl Pipeline {
    /// Takes a message of a stream whose values are joined.
    pub(in crate::pipeline) fn take_values(
        &mut self,
        join: &mut Join,
        step: &mut Step<'_, '_>,
    ) -> Result<(), Reject> {
        let incoming = step.incoming;
        step.outcome.join = Some(JoinReport::default());
        let Some(source) = join.sources.get_mut(incoming.captures.topic) else { return Ok(()) };
        if let SourceChannels::OfTopic = source.channels
            && join.plan.channel(self.captured.channel()).is_none()
        {
            step.outcome.join = Some(JoinReport { unused: 1, ..JoinReport::default() });
            return Ok(());
        }
        source.decoder.begin(&incoming.topic, incoming.received.wall);
        let decoded = source.decoder.decode(&incoming.payload, &mut self.decoded);
        decoded.map_err(|reject| named(reject, &source.channels))?;
        let skipped = self.decoded.samples().map_or(0, |samples| samples.skipped);
        step.outcome.skipped = step.outcome.skipped.saturating_add(skipped);
        let length = self.runner.plan.shape.map_or(0, |shape| shape.length);
        let mut from = 0;
        while let Some(rows) = self.decoded.device_rows(from) {
            from = rows.end;
            match self.name_device(rows.start) {
                Ok(()) => {
                    self.date_samples(rows.clone(), length, step);
                    self.join_samples(join, rows, step)?;
                }
                Err(reject) => rows.for_each(|_| step.outcome.reject(reject.clone())),
            }
        }
        Ok(())
    }

    /// Joins the values of one device. Values that are refused leave the others alone.
    fn join_samples(
        &mut self,
        join: &mut Join,
        rows: Range<usize>,
        step: &mut Step<'_, '_>,
    ) -> Result<(), Reject> {
        let (incoming, started) = (step.incoming, step.started);
        let (token, shape, taken) =
            (self.awaiting(incoming), self.runner.plan.shape, step.outcome.values());
        let Self { stream, captured, decoded, devices, runner, sender, shadow, recorder, .. } =
            self;
        let (shadow, observers, marks) =
            (shadow.as_deref_mut(), &mut self.observers, &mut self.marks);
        let Join { plan, sources, values, rows: joined, whole } = join;
        let source = sources.get(incoming.captures.topic);
        let (Some(source), Some(samples)) = (source, decoded.samples()) else { return Ok(()) };
        let own = |own: &Option<Timestamp>| Some(Timestamp(own.as_ref()?.0 + source.offset));
        let admits = |time: &Option<Timestamp>| admit(stream, own(time), incoming, started.wall);
        let times = samples.times.get(rows.clone()).unwrap_or_default();
        if all_refused(times, admits, &mut step.outcome) {
            return Ok(());
        }
        let device = look_up(devices, captured.device(), shape, step)?;
        let received = incoming.received.mono;
        recorder.begin(captured.device(), &device.publish_state, received, started.mono);
        device.touch(received);
        let predictor = Predictor { runner, sender, shadow, observers };
        let names = stream.windows == WindowSafety::Journal;
        let mut run = JoinRun { token, names, captured, predictor, recorder, step };
        let runs = run.step.outcome.runs;
        let (channel, width) = (plan.channel(captured.channel()), source.channels.width());
        for (sample, own) in samples.values.chunks_exact(width).skip(rows.start).zip(times) {
            let Some(time) = accepted(admits(own), &mut run.step.outcome) else { continue };
            source.channels.place(sample, channel, values);
            let values = ChannelValues { values, time: time.0, by_arrival: own.is_none() };
            run.recorder.values(&values);
            let state = device.join.get_or_insert_with(|| Box::new(JoinState::new(plan)));
            let added = state.add(plan, values, joined).map_err(|by| Reject::OutOfOrder { by });
            if accepted(added, &mut run.step.outcome).is_some() {
                count(plan, joined, values.values.len(), &mut run.step.outcome);
                run.rows(joined, whole, device, shape.as_ref(), marks);
            }
        }
        let ran = run.step.outcome.runs > runs;
        let carried = run.predictor.runner.plan.carried.as_deref();
        run.recorder.state(carried, &device.carried, ran);
        run.recorder.end(incoming.input_id.filter(|_| taken == 0 && run.step.outcome.values() > 0));
        run.step.outcome.fill = shape.map(|shape| device.fill(&shape));
        Ok(())
    }
}

/// The device of values, a new one if it is not known.
fn look_up<'d>(
    devices: &'d mut Devices,
    key: &str,
    shape: Option<WindowShape>,
    step: &mut Step<'_, '_>,
) -> Result<&'d mut Device, Reject> {
    let mut forgotten = ForgottenDevices::default();
    let device = devices.device(key, step.started.mono, &mut forgotten);
    forgotten.count_in(shape.map_or(0, |shape| shape.length), &mut step.outcome);
    let problem = "names no device";
    device.ok_or_else(|| Reject::Topic { topic: step.incoming.topic.clone(), problem })
}

/// What the samples of one message are run with.
struct JoinRun<'r, 'a, 'c> {
    token: Option<AckToken>,
    /// Whether a result has the same id if the input is delivered again: only where every value is kept.
    names: bool,
    captured: &'r TopicCaptures,
    predictor: Predictor<'r>,
    recorder: &'r mut JournalRecorder,
    step: &'r mut Step<'a, 'c>,
}

impl JoinRun<'_, '_, '_> {
    /// Puts joined samples into the window of their device, or runs the model on each.
    fn rows(
        &mut self,
        rows: &JoinedRows,
        whole: &mut Samples,
        device: &mut Device,
        shape: Option<&WindowShape>,
        marks: &mut RetainedMarks,
    ) {
        let (key, retained) = (self.captured.device(), self.step.incoming.retained);
        if let Some(by) = rows.restarted() {
            let (restart, lost) = (Some(LossCause::Clock { by, back: true }), device.ring.fresh);
            device.start_over();
            if let Some(shape) = shape {
                let added = AddedSample { complete: false, restart, lost, first: None };
                note_loss(&added, device, key, shape, &mut self.step.outcome);
            }
        }
        for (row, time) in rows.iter() {
            let Some(shape) = shape else {
                whole.values.clear();
                whole.values.extend_from_slice(row);
                self.step.outcome.samples = self.step.outcome.samples.saturating_add(1);
                let retained = marks.is_marked(self.step.incoming);
                if let Some(carried) = &self.predictor.runner.plan.carried {
                    let received = micros(self.step.incoming.received.mono);
                    device.take_input(carried.max_gap, Some(time), received);
                }
                self.run(InputSource::Whole(whole), device, time, retained);
                continue;
            };
            let added =
                device.put(shape, row, Some(time), micros(self.step.incoming.received.mono));
            note(&added, device, key, shape, &mut self.step.outcome);
            let retained = marks.add(key, shape.length, retained, added.restart.is_some());
            if added.complete {
                device.ring.read(shape, &mut self.predictor.runner.window);
                self.run(InputSource::Window, device, time, retained);
            }
        }
    }

    fn run(
        &mut self,
        source: InputSource<'_>,
        device: &mut Device,
        time: Timestamp,
        retained: bool,
    ) {
        let (incoming, captured, token) = (self.step.incoming, self.captured, self.token);
        let is_named = self.names && self.step.outcome.runs == 0;
        let name = token.and(incoming.input_id).filter(|_| is_named);
        let us = self.step.outcome.us;
        let about = ResultContext { incoming, captured, time, us, token, name, retained };
        let Device { publish_state: publish, carried, .. } = device;
        let memory = InputMemory { publish, carried };
        let sent = self.predictor.predict(source, about, memory, self.step);
        let _published = accepted(sent, &mut self.step.outcome);
        self.recorder.publish_state(&device.publish_state);
    }
}

/// Counts values that were taken, and channels that samples lacked.
fn count(plan: &JoinPlan, rows: &JoinedRows, values: usize, outcome: &mut StepReport) {
    let report = outcome.join.get_or_insert_default();
    let values = u32::try_from(values).unwrap_or(u32::MAX);
    report.values = report.values.saturating_add(values);
    for (channel, missing) in plan.channels.iter().zip(rows.missing()).filter(|(_, n)| **n > 0) {
        match report.missing.iter_mut().find(|(name, _)| name == channel) {
            Some((_, count)) => *count = count.saturating_add(*missing),
            None => report.missing.push((channel.clone(), *missing)),
        }
    }
}

/// A reject with the option of a join where it names one of samples.
fn named(reject: Reject, channels: &SourceChannels) -> Reject {
    match (reject, channels) {
        (Reject::MissingField { fields, option: "payload.fields" }, SourceChannels::OfTopic) => {
            Reject::MissingField { fields, option: "payload.join.value" }
        }
        (reject, _) => reject,
    }
}
