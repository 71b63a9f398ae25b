//! One stream's way from message to prediction.

use std::sync::Arc;

use super::decode::{Decoder, Expect, Samples};
use super::fit::FitError;
use super::infer::{Ids, Infer};
use super::journal::Recorder;
use super::outcome::{Micros, Outcome};
use super::plan::Shape;
use super::policy::Memory;
use super::reject::Reject;
use super::runner::{Runner, Source, Watch};
use super::sender::{Circumstance, Sender};
use super::shadow::{Shadow, ShadowTally};
use super::topics::Captured;
use super::window::{Devices, Forgotten};
use crate::bundle::card::Card;
use crate::clock::{Clock, Now, Timestamp};
use crate::config::{Guarantee, Stream, WindowSafety};
use crate::ids::GatewayId;
use crate::message::{Finished, Incoming, InputToken};

/// One stream: its model, its devices' windows, its buffers. Lives on one worker thread.
#[derive(Debug)]
pub struct Pipeline {
    stream: Stream,
    captured: Captured,
    decoder: Decoder,
    samples: Samples,
    pub(super) devices: Devices,
    pub(super) runner: Runner,
    sender: Sender,
    /// A candidate beside the model.
    shadow: Option<Box<Shadow>>,
    /// What comes into the windows after a base.
    pub(super) recorder: Recorder,
}

/// What a swap of the model kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// Every device goes on with its partial window.
    WindowsKept,
    /// The new model takes windows of another shape, so all of them start anew.
    WindowsReset,
}

impl Pipeline {
    /// A pipeline for `config.streams[index]`.
    ///
    /// # Errors
    /// As [`super::fit()`]: everything in which stream, card and model do not fit.
    pub fn new(
        index: usize,
        stream: &Stream,
        gateway: &GatewayId,
        card: Arc<Card>,
        model: Box<dyn Infer>,
        ids: Ids,
    ) -> Result<Self, Vec<FitError>> {
        let runner = Runner::new(stream, card, model)?;
        Ok(Self {
            stream: stream.clone(),
            captured: Captured::default(),
            decoder: decoder(stream, &runner),
            samples: Samples::default(),
            devices: Devices::new(stream.max_keys, stream.key_ttl),
            runner,
            sender: Sender::new(index, stream, gateway, ids)?,
            shadow: None,
            recorder: Recorder::default(),
        })
    }

    /// Takes one message through; what is to be sent is added to `out`. The clock is read for the
    /// timings in predictions and for nothing else but the age of samples.
    ///
    /// A request is answered with every prediction that its samples complete, or with the first
    /// reason why they were refused; one whose samples only wait in a window gets no answer.
    pub fn step(
        &mut self,
        incoming: &Incoming,
        clock: &dyn Clock,
        out: &mut Vec<Finished>,
    ) -> Outcome {
        let started = clock.now();
        let queue = started.mono.0.saturating_sub(incoming.received.mono.0);
        let mut outcome =
            Outcome { us: Micros { queue, ..Micros::default() }, ..Outcome::default() };
        let mut watch = Watch::start(clock, started.mono);
        if let Err(reject) = self.take(incoming, started, &mut watch, out, &mut outcome) {
            outcome.reject(reject);
        }
        if incoming.reply.is_some()
            && let Some(first) = outcome.rejects.first().map(|r| r.reject.clone())
        {
            let token = self.awaiting(incoming);
            self.sender.refuse(&first, incoming, token, out, &mut outcome);
        }
        outcome
    }

    /// The token that results carry: an at-least-once input is acknowledged when its results are
    /// safe. Where windows are not saved, no sample of theirs waits for the whole: it would be of
    /// no use alone when it comes again.
    fn awaiting(&self, incoming: &Incoming) -> Option<InputToken> {
        let whole = self.runner.plan.shape.is_none();
        let comes_back = whole || self.stream.windows != WindowSafety::Memory;
        let waits = comes_back && self.stream.guarantee == Guarantee::AtLeastOnce;
        incoming.token.filter(|_| waits)
    }

    fn take(
        &mut self,
        incoming: &Incoming,
        started: Now,
        watch: &mut Watch<'_>,
        out: &mut Vec<Finished>,
        outcome: &mut Outcome,
    ) -> Result<(), Reject> {
        self.captured.read(&self.stream.topic, &incoming.topic)?;
        if self.runner.plan.direct {
            self.decoder.check_size(&incoming.payload)?;
            self.samples.set_direct();
        } else {
            self.decoder.read(&incoming.payload, &mut self.samples)?;
        }
        match self.runner.plan.shape {
            Some(shape) => self.take_samples(&shape, incoming, started, watch, out, outcome),
            None => self.take_whole(incoming, started, watch, out, outcome),
        }
    }

    fn take_whole(
        &mut self,
        incoming: &Incoming,
        started: Now,
        watch: &mut Watch<'_>,
        out: &mut Vec<Finished>,
        outcome: &mut Outcome,
    ) -> Result<(), Reject> {
        let own = self.samples.times.first().copied().flatten();
        let time = admit(&self.stream, own, incoming, started.wall)?;
        let token = self.awaiting(incoming);
        let mut forgotten = Forgotten::default();
        let mut nothing = Memory::default();
        let memory = if self.sender.policy.remembers() {
            let device = self.devices.device(self.captured.device(), started.mono, &mut forgotten);
            device.map(|device| {
                device.touch(incoming.received.mono);
                &mut device.memory
            })
        } else {
            None
        };
        forgotten.count_in(outcome);
        let source = if self.runner.plan.direct {
            Source::Direct(&incoming.payload)
        } else {
            Source::Whole(&self.samples)
        };
        let verdict = self.runner.run(source, watch);
        let (prepare, run) = watch.take();
        outcome.us.add((prepare, run));
        let name = token.and(incoming.origin);
        let about =
            Circumstance { incoming, captured: &self.captured, time, us: outcome.us, token, name };
        let (verdict, card) = verdict?;
        outcome.samples = 1;
        outcome.runs = 1;
        if let Some(shadow) = &mut self.shadow {
            shadow.note(&verdict);
        }
        let memory = memory.unwrap_or(&mut nothing);
        let sent = self.sender.send(&verdict, card, memory, about, out, outcome);
        if let Some(shadow) = &mut self.shadow {
            shadow.run(source, &[], run, watch);
        }
        sent
    }

    /// Takes the samples of a message into the device's window. A sample that is refused leaves the
    /// others alone, and so does a window that the model fails on.
    fn take_samples(
        &mut self,
        shape: &Shape,
        incoming: &Incoming,
        started: Now,
        watch: &mut Watch<'_>,
        out: &mut Vec<Finished>,
        outcome: &mut Outcome,
    ) -> Result<(), Reject> {
        let token = self.awaiting(incoming);
        let Self { stream, captured, samples, devices, runner, sender, shadow, recorder, .. } =
            self;
        let admits = |own: &Option<Timestamp>| admit(stream, *own, incoming, started.wall);
        if !samples.times.iter().any(|own| admits(own).is_ok()) {
            // No device is made for the sake of samples that are refused.
            let refused = samples.times.iter().filter_map(|own| admits(own).err());
            refused.for_each(|reject| outcome.reject(reject));
            return Ok(());
        }
        let mut forgotten = Forgotten::default();
        let device = devices.device(captured.device(), started.mono, &mut forgotten);
        forgotten.count_in(outcome);
        let Some(device) = device else {
            let problem = "names no device";
            return Err(Reject::Topic { topic: incoming.topic.clone(), problem });
        };
        recorder.begin(captured.device(), &device.memory, incoming.received.mono, started.mono);
        for (sample, own) in samples.values.chunks_exact(shape.channels).zip(&samples.times) {
            let added = admits(own).and_then(|time| {
                let added = device.add(shape, sample, *own, incoming.received.mono);
                added.map(|added| (added, time)).map_err(|by| Reject::OutOfOrder { by })
            });
            let (added, time) = match added {
                Ok(added) => added,
                Err(reject) => {
                    outcome.reject(reject);
                    continue;
                }
            };
            recorder.sample(shape, sample, *own);
            outcome.samples = outcome.samples.saturating_add(1);
            outcome.gaps = outcome.gaps.saturating_add(u32::from(added.gap));
            if !added.complete {
                continue;
            }
            device.ring.read(shape, &mut runner.window);
            let verdict = runner.run(Source::Window, watch);
            let (prepare, run) = watch.take();
            outcome.us.add((prepare, run));
            let us = Micros { queue: outcome.us.queue, prepare, run };
            // The same window comes again after a crash only where every sample was kept.
            let again = stream.windows == WindowSafety::Journal && outcome.runs == 0;
            let name = token.and(incoming.origin).filter(|_| again);
            let about = Circumstance { incoming, captured, time, us, token, name };
            let sent = verdict.and_then(|(verdict, card)| {
                outcome.runs = outcome.runs.saturating_add(1);
                if let Some(shadow) = shadow.as_mut() {
                    shadow.note(&verdict);
                }
                sender.send(&verdict, card, &mut device.memory, about, out, outcome)
            });
            if let Err(reject) = sent {
                outcome.reject(reject);
            }
            recorder.memory(&device.memory);
            if let Some(shadow) = shadow.as_mut() {
                shadow.run(Source::Window, &runner.window, run, watch);
            }
        }
        recorder.end(incoming.origin.filter(|_| outcome.samples > 0));
        Ok(())
    }

    /// The card of the model in use.
    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.runner.card
    }

    /// Devices with state.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.known.len()
    }

    /// Puts another model in the place of this one, between two steps.
    ///
    /// # Errors
    /// As [`super::fit()`]; the model in use then stays.
    pub fn swap(
        &mut self,
        card: Arc<Card>,
        model: Box<dyn Infer>,
    ) -> Result<Swapped, Vec<FitError>> {
        let runner = Runner::new(&self.stream, card, model)?;
        let rows = |r: &Runner| r.plan.shape.map(|s| (s.length, s.channels, s.wide));
        let swapped = if rows(&runner) == rows(&self.runner) {
            Swapped::WindowsKept
        } else {
            self.devices.clear_windows();
            Swapped::WindowsReset
        };
        self.decoder = decoder(&self.stream, &runner);
        self.runner = runner;
        self.recorder = Recorder::default();
        self.end_shadow();
        Ok(swapped)
    }

    /// Runs a candidate beside the model from the next step on, in the place of any before it.
    ///
    /// # Errors
    /// Why it cannot be compared with the model in use.
    pub fn shadow(&mut self, card: Arc<Card>, model: Box<dyn Infer>) -> Result<(), String> {
        self.shadow = Some(Box::new(Shadow::new(&self.stream, &self.runner, card, model)?));
        Ok(())
    }

    /// What the candidate did since this was asked last.
    pub fn shadow_tally(&mut self) -> ShadowTally {
        self.shadow.as_mut().map(|shadow| shadow.take_tally()).unwrap_or_default()
    }

    /// Lets go of the candidate.
    pub fn end_shadow(&mut self) {
        self.shadow = None;
    }
}

fn decoder(stream: &Stream, runner: &Runner) -> Decoder {
    let plan = &runner.plan;
    let (fields, whole) = (plan.fields.clone(), plan.shape.is_none());
    let expect = Expect::new(&stream.payload, fields, plan.width, whole, stream.max_payload);
    Decoder::new(stream.payload.format, expect)
}

/// The time a sample counts for: its own, if that is neither too old nor from the future, or when it came. A
/// clock that is not set knows of no future.
fn admit(
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
