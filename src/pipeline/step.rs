//! One stream's way from message to prediction.

use std::sync::Arc;

use super::decode::{Decoder, Expect, Samples};
use super::fit::FitError;
use super::infer::{Ids, Infer};
use super::journal::Recorder;
use super::marks::Marks;
use super::outcome::{Micros, Outcome};
use super::runner::{Runner, Watch};
use super::sender::Sender;
use super::shadow::{Shadow, ShadowTally};
use super::topics::Captured;
use super::window::Devices;
use crate::bundle::card::Card;
use crate::clock::Clock;
use crate::config::{Guarantee, Stream, WindowSafety};
use crate::ids::GatewayId;
use crate::message::{AckToken, Incoming, ResultMessage};

/// One stream: its model, its devices' windows, its buffers. Lives on one worker thread.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) stream: Stream,
    pub(super) captured: Captured,
    pub(super) decoder: Decoder,
    pub(super) samples: Samples,
    pub(super) devices: Devices,
    pub(super) runner: Runner,
    pub(super) sender: Sender,
    /// A candidate beside the model.
    pub(super) shadow: Option<Box<Shadow>>,
    /// What comes into the windows after a base.
    pub(super) recorder: Recorder,
    pub(super) marks: Marks,
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
            marks: Marks::new(stream),
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
        out: &mut Vec<ResultMessage>,
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
    pub(super) fn awaiting(&self, incoming: &Incoming) -> Option<AckToken> {
        let whole = self.runner.plan.shape.is_none();
        let comes_back = whole || self.stream.windows != WindowSafety::Memory;
        let waits = comes_back && self.stream.guarantee == Guarantee::AtLeastOnce;
        incoming.token.filter(|_| waits)
    }

    /// The card of the model in use.
    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.runner.card
    }

    /// The device that the last message was about.
    #[must_use]
    pub fn device(&self) -> &str {
        self.captured.device()
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
