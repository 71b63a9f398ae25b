//! The samples of one message: decoded, admitted, put into windows, run.

use std::ops::Range;

use super::carried::DeviceStates;
use super::decode::{Decoded, Samples};
use super::holes::HeldValues;
use super::journal::JournalRecorder;
use super::predictor::{InputMemory, Predictor};
use super::publish_state::PublishState;
use super::publisher::ResultContext;
use super::reject::Reject;
use super::runner::InputSource;
use super::shape::WindowShape;
use super::step::Step;
use super::step_report::StepReport;
use super::stream::Pipeline;
use super::window::{AddedSample, Device, ForgottenDevices, micros};
use super::window_loss::{LossCause, WindowLoss};
use crate::clock::Timestamp;
use crate::config::{DeviceClock, Stream, WindowSafety};
use crate::message::Incoming;

impl Pipeline {
    pub(super) fn take(&mut self, step: &mut Step<'_, '_>) -> Result<(), Reject> {
        let incoming = step.incoming;
        self.captured.read(&incoming.topic, &incoming.captures)?;
        let (got, max) = (incoming.payload.len(), self.stream.max_payload);
        if got > max {
            return Err(Reject::TooLarge { got, max });
        }
        if let Some(mut join) = self.join.take() {
            let taken = self.take_values(&mut join, step);
            self.join = Some(join);
            return taken;
        }
        self.decoder.begin(&incoming.topic, incoming.received.wall);
        self.decoder.decode(&incoming.payload, &mut self.decoded)?;
        if let Some(samples) = self.decoded.samples().filter(|samples| samples.skipped > 0) {
            step.outcome.skipped = step.outcome.skipped.saturating_add(samples.skipped);
            if samples.times.is_empty() {
                return Ok(());
            }
        }
        let Some(shape) = self.runner.plan.shape else {
            self.name_device(0)?;
            self.date_samples(0..1, 0, step);
            // A candidate may carry state beside a model that does not.
            let candidate = self.shadow.as_ref().and_then(|shadow| shadow.carried());
            let carried = self.runner.plan.carried.as_ref().or(candidate).cloned();
            return match carried {
                Some(carried) => self.take_carried(&carried, step),
                None => self.take_whole(step),
            };
        };
        // Each device's samples go into its own window, whatever other devices are in the message.
        let Decoded::Samples(_) = &self.decoded else {
            let problem = "it is a tensor, and the model takes windows of samples".to_owned();
            return Err(Reject::Syntax { format: "of the configured shape", problem });
        };
        let mut from = 0;
        while let Some(rows) = self.decoded.device_rows(from) {
            from = rows.end;
            match self.name_device(rows.start) {
                Ok(()) => {
                    self.date_samples(rows.clone(), shape.length, step);
                    self.take_samples(&shape, rows, step)?;
                }
                Err(reject) => rows.for_each(|_| step.outcome.reject(reject.clone())),
            }
        }
        Ok(())
    }

    /// Takes up the name of a sample's device, where payloads have it.
    pub(super) fn name_device(&mut self, sample: usize) -> Result<(), Reject> {
        let Some(Samples { devices, .. }) = self.decoded.samples() else { return Ok(()) };
        if devices.run_from(sample).is_none() {
            return Ok(());
        }
        self.captured.name(|name| devices.write(sample, name))
    }

    /// Turns the times of samples into times since 1970 where a device's clock counts from a moment
    /// of its own. `length` is the samples in a window.
    pub(super) fn date_samples(
        &mut self,
        rows: Range<usize>,
        length: usize,
        step: &mut Step<'_, '_>,
    ) {
        if self.stream.payload.reading.times.clock != DeviceClock::Own {
            return;
        }
        let mut forgotten = ForgottenDevices::default();
        let device = self.devices.device(self.captured.device(), step.started.mono, &mut forgotten);
        forgotten.count_in(length, &mut step.outcome);
        let (Some(device), Decoded::Samples(samples)) = (device, &mut self.decoded) else { return };
        let times = samples.times.get_mut(rows).unwrap_or_default();
        device.origin.date(times, step.incoming.received.wall);
    }

    fn take_whole(&mut self, step: &mut Step<'_, '_>) -> Result<(), Reject> {
        let (incoming, started) = (step.incoming, step.started);
        let times = self.decoded.samples().map(|samples| samples.times.as_slice());
        let own = times.and_then(|times| times.first().copied().flatten());
        let time = admit(&self.stream, own, incoming, started.wall)?;
        let token = self.awaiting(incoming);
        let mut forgotten = ForgottenDevices::default();
        let (mut nothing, mut no_states) = (PublishState::default(), DeviceStates::default());
        let remembers = self.sender.policy.remembers() || self.stream.payload.reading.keeps_state();
        let mut device = if remembers {
            self.devices.device(self.captured.device(), started.mono, &mut forgotten)
        } else {
            None
        };
        forgotten.count_in(0, &mut step.outcome);
        let mut none_held = HeldValues::default();
        let held = device.as_mut().map_or(&mut none_held, |device| {
            device.touch(incoming.received.mono);
            &mut device.held
        });
        if let Decoded::Samples(samples) = &mut self.decoded {
            self.holes.fill_whole(samples, held, sample_micros(own, incoming))?;
        }
        let memory = match device {
            Some(Device { publish_state: publish, carried, .. }) => {
                InputMemory { publish, carried }
            }
            None => InputMemory { publish: &mut nothing, carried: &mut no_states },
        };
        let source = match &self.decoded {
            Decoded::Samples(samples) => InputSource::Whole(samples),
            Decoded::Tensor(data) => InputSource::Tensor(data),
        };
        let name = token.and(incoming.input_id);
        let retained = self.marks.is_marked(incoming);
        let (captured, us) = (&self.captured, step.outcome.us);
        let about = ResultContext { incoming, captured, time, us, token, name, retained };
        let (runner, sender) = (&mut self.runner, &mut self.sender);
        let (shadow, observers) = (self.shadow.as_deref_mut(), &mut self.observers);
        let mut predictor = Predictor { runner, sender, shadow, observers };
        let sent = predictor.predict(source, about, memory, step);
        step.outcome.samples = step.outcome.runs;
        sent
    }

    /// Takes the samples of one device into its window. A sample that is refused leaves the
    /// others alone, and so does a window that the model fails on.
    fn take_samples(
        &mut self,
        shape: &WindowShape,
        rows: Range<usize>,
        step: &mut Step<'_, '_>,
    ) -> Result<(), Reject> {
        let (incoming, started) = (step.incoming, step.started);
        let (token, taken) = (self.awaiting(incoming), step.outcome.samples);
        let Self { stream, captured, decoded, devices, runner, sender, shadow, .. } = self;
        let (shadow, observers) = (shadow.as_deref_mut(), &mut self.observers);
        let mut predictor = Predictor { runner, sender, shadow, observers };
        let Some(samples) = decoded.samples() else { return Ok(()) };
        let (recorder, marks, holes) = (&mut self.recorder, &mut self.marks, &mut self.holes);
        let admits = |own: &Option<Timestamp>| admit(stream, *own, incoming, started.wall);
        // No device is made for the sake of samples that are refused.
        let times = samples.times.get(rows.clone()).unwrap_or_default();
        if all_refused(times, admits, &mut step.outcome) {
            return Ok(());
        }
        let mut forgotten = ForgottenDevices::default();
        let device = devices.device(captured.device(), started.mono, &mut forgotten);
        forgotten.count_in(shape.length, &mut step.outcome);
        let Some(device) = device else {
            let problem = "names no device";
            return Err(Reject::Topic { topic: incoming.topic.clone(), problem });
        };
        let received = incoming.received.mono;
        recorder.begin(captured.device(), &device.publish_state, received, started.mono);
        let runs = step.outcome.runs;
        let values = samples.values.chunks_exact(shape.channels).skip(rows.start);
        for (sample, own) in values.zip(times) {
            let added = admits(own).and_then(|time| {
                let at = sample_micros(*own, incoming);
                let sample = holes.fill(sample, &mut device.held, at)?;
                let added = device.add(shape, sample, *own, incoming.received.mono);
                added.map(|added| (added, time, sample)).map_err(|by| Reject::OutOfOrder { by })
            });
            let Some((added, time, sample)) = accepted(added, &mut step.outcome) else { continue };
            note(&added, device, captured.device(), shape, &mut step.outcome);
            record(recorder, shape, &added, sample, *own);
            let restarted = added.restart.is_some();
            if restarted {
                device.rate.interrupt();
            }
            let retained = marks.add(captured.device(), shape.length, incoming.retained, restarted);
            if !added.complete {
                continue;
            }
            device.ring.read(shape, &mut predictor.runner.window);
            let rate = device.rate.window(time);
            predictor.observers.note_rate(captured.device(), rate, incoming.received);
            // The same window is completed again after a crash only where every sample was kept.
            let again = stream.windows == WindowSafety::Journal && step.outcome.runs == 0;
            let name = token.and(incoming.input_id).filter(|_| again);
            let us = step.outcome.us;
            let about = ResultContext { incoming, captured, time, us, token, name, retained };
            let (publish, carried) = (&mut device.publish_state, &mut device.carried);
            let memory = InputMemory { publish, carried };
            let sent = predictor.predict(InputSource::Window, about, memory, step);
            let _published = accepted(sent, &mut step.outcome);
            recorder.publish_state(&device.publish_state);
        }
        let ran = step.outcome.runs > runs;
        recorder.state(predictor.runner.plan.carried.as_deref(), &device.carried, ran);
        // All devices of a message are in one addition: the first of them has its id.
        recorder.end(incoming.input_id.filter(|_| taken == 0 && step.outcome.samples > 0));
        step.outcome.fill = Some(device.fill(shape));
        Ok(())
    }
}

/// A sample's time in microseconds, by a clock that is the same for all samples of its device.
pub(super) fn sample_micros(own: Option<Timestamp>, incoming: &Incoming) -> i64 {
    own.map_or_else(|| micros(incoming.received.mono), |own| own.0)
}

/// The value; a reject is counted.
pub(super) fn accepted<T>(result: Result<T, Reject>, outcome: &mut StepReport) -> Option<T> {
    result.map_err(|reject| outcome.reject(reject)).ok()
}

/// Whether all samples are refused for their times; then counts them.
pub(super) fn all_refused(
    times: &[Option<Timestamp>],
    admits: impl Fn(&Option<Timestamp>) -> Result<Timestamp, Reject>,
    outcome: &mut StepReport,
) -> bool {
    let all = !times.iter().any(|own| admits(own).is_ok());
    if all {
        outcome.fill = None;
        times.iter().filter_map(|own| admits(own).err()).for_each(|reject| outcome.reject(reject));
    }
    all
}

/// Counts a sample that is in the window, and the window that it ended.
pub(super) fn note(
    added: &AddedSample,
    device: &mut Device,
    key: &str,
    shape: &WindowShape,
    outcome: &mut StepReport,
) {
    let samples = 1 + u32::from(added.first.is_some());
    outcome.samples = outcome.samples.saturating_add(samples);
    note_loss(added, device, key, shape, outcome);
}

/// Counts the window that a sample, or a clock that was set, ended.
pub(super) fn note_loss(
    added: &AddedSample,
    device: &mut Device,
    key: &str,
    shape: &WindowShape,
    outcome: &mut StepReport,
) {
    let Some(cause) = added.restart.filter(|_| added.lost > 0) else { return };
    let gap = matches!(cause, LossCause::Gap { .. });
    outcome.gaps = outcome.gaps.saturating_add(u32::from(gap));
    let in_a_row = device.count_loss();
    outcome.losses.note(cause, || WindowLoss {
        device: key.to_owned(),
        cause,
        samples: added.lost,
        length: shape.length,
        in_a_row,
    });
}

/// Notes for the journal what a sample did to its window.
fn record(
    recorder: &mut JournalRecorder,
    shape: &WindowShape,
    added: &AddedSample,
    sample: &[f64],
    own: Option<Timestamp>,
) {
    if matches!(added.restart, Some(LossCause::Clock { .. })) {
        recorder.restart();
    }
    if let Some(first) = &added.first {
        recorder.sample(shape, &first.sample, Some(first.time));
    }
    recorder.sample(shape, sample, own);
}

/// The time a sample counts for: its own, if that is neither too old nor from the future, or when it came. A
/// clock that is not set knows of no future.
pub(super) fn admit(
    stream: &Stream,
    own: Option<Timestamp>,
    incoming: &Incoming,
    now: Timestamp,
) -> Result<Timestamp, Reject> {
    let Some(own) = own else { return Ok(incoming.received.wall) };
    let age = now.since(own);
    if let Some(max) = stream.max_age.filter(|&max| age > max) {
        return Err(Reject::Stale { age, max });
    }
    let ahead = own.since(now);
    if ahead > stream.max_ahead && now.is_set() {
        return Err(Reject::Future { ahead, max: stream.max_ahead });
    }
    Ok(own)
}
