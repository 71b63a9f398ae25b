//! The pipeline of one stream, from message to prediction.

use std::sync::Arc;

use super::decode::{Decoded, PayloadDecoder, PayloadSchema, decoder_for};
use super::holes::HoleFiller;
use super::join::Join;
use super::journal::JournalRecorder;
use super::model::Infer;
use super::observers::Observers;
use super::plan::StreamPlan;
use super::prediction_id::PredictionIds;
use super::problems::CompatibilityError;
use super::publisher::ResultPublisher;
use super::retained_marks::RetainedMarks;
use super::runner::ModelRunner;
use super::shadow::{Shadow, ShadowTally};
use super::step::Step;
use super::step_report::{StageMicros, StepReport};
use super::stopwatch::Stopwatch;
use super::topics::TopicCaptures;
use super::window::Devices;
use crate::bundle::card::Card;
use crate::clock::Clock;
use crate::config::{Guarantee, Stream, WindowSafety};
use crate::ids::GatewayId;
use crate::message::{AckToken, Incoming, ResultMessage};

/// One stream: its model, the windows of its devices, its buffers. Used by one worker thread.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) stream: Stream,
    pub(super) captured: TopicCaptures,
    /// Set if messages have values of single channels.
    pub(super) join: Option<Box<Join>>,
    make_decoder: DecoderFactory,
    pub(super) decoder: Box<dyn PayloadDecoder>,
    pub(super) decoded: Decoded,
    pub(super) devices: Devices,
    pub(super) runner: ModelRunner,
    pub(super) sender: ResultPublisher,
    /// A candidate in a shadow run.
    pub(super) shadow: Option<Box<Shadow>>,
    /// Records additions to the windows since the last base.
    pub(super) recorder: JournalRecorder,
    pub(super) marks: RetainedMarks,
    pub(super) observers: Observers,
    pub(super) holes: HoleFiller,
}

/// Creates the decoder of a stream for what its payloads must contain.
pub type DecoderFactory = fn(PayloadSchema) -> Box<dyn PayloadDecoder>;

/// The effect of swapping the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapEffect {
    /// Every device keeps its partial window.
    WindowsKept,
    /// The new model has windows of another shape, so all windows were reset.
    WindowsReset,
}

impl Pipeline {
    /// Creates the pipeline of `config.streams[index]`.
    ///
    /// # Errors
    /// As [`super::check_compatibility()`]: everything in which stream, card and model do not fit.
    pub fn new(
        index: usize,
        stream: &Stream,
        gateway: &GatewayId,
        card: Arc<Card>,
        model: Box<dyn Infer>,
        ids: PredictionIds,
    ) -> Result<Self, Vec<CompatibilityError>> {
        let observers = Observers::new(stream, gateway, &card);
        let runner = ModelRunner::new(stream, card, model)?;
        let sender = ResultPublisher::new(index, stream, gateway, ids)?;
        let schema = schema(stream, &runner);
        Ok(Self {
            stream: stream.clone(),
            captured: TopicCaptures::new(stream),
            join: Join::new(stream, &runner.plan, decoder_for),
            make_decoder: decoder_for,
            holes: holes(stream, &schema),
            decoder: decoder_for(schema),
            decoded: Decoded::default(),
            devices: Devices::new(stream.max_keys, stream.key_ttl),
            runner,
            sender: sender.keeping_ids(observers.need_ids()),
            shadow: None,
            recorder: JournalRecorder::default(),
            marks: RetainedMarks::new(stream),
            observers,
        })
    }

    /// Decodes payloads with a custom decoder instead of that of `payload.format`. It is created again
    /// at each [`Pipeline::swap`], for the new model.
    #[must_use]
    pub fn with_decoder(mut self, make_decoder: DecoderFactory) -> Self {
        self.decoder = make_decoder(schema(&self.stream, &self.runner));
        self.join = Join::new(&self.stream, &self.runner.plan, make_decoder);
        self.make_decoder = make_decoder;
        self
    }

    /// Processes one message and appends the results to `out`. The clock is used for timings and for
    /// the age of samples only.
    ///
    /// A request is answered with every prediction that its samples complete, or with the first reason
    /// why they were rejected. If its samples only wait in a window, it is not answered.
    pub fn step(
        &mut self,
        incoming: &Incoming,
        clock: &dyn Clock,
        out: &mut Vec<ResultMessage>,
    ) -> StepReport {
        let started = clock.now();
        let queue = started.mono.0.saturating_sub(incoming.received.mono.0);
        let outcome = StepReport {
            us: StageMicros { queue, ..StageMicros::default() },
            ..StepReport::default()
        };
        let watch = Stopwatch::start(clock, started.mono);
        let mut step = Step { incoming, started, watch, out, outcome };
        let taken = self.take(&mut step);
        let mut outcome = step.outcome;
        if let Err(reject) = taken {
            outcome.reject(reject);
        }
        if outcome.runs > 0 {
            self.note_input();
        }
        if incoming.reply.is_some()
            && let Some(first) = outcome.rejects.first().map(|r| r.reject.clone())
        {
            let token = self.awaiting(incoming);
            self.sender.refuse(&first, incoming, token, out, &mut outcome);
        }
        self.observers.note_step(&outcome, started);
        outcome
    }

    /// The token that results carry: an at-least-once input is acknowledged when its results are safe.
    /// If windows are not saved, samples do not wait for their window, because a redelivered sample
    /// would be useless without the others.
    pub(super) fn awaiting(&self, incoming: &Incoming) -> Option<AckToken> {
        let whole = self.runner.plan.shape.is_none();
        let comes_back = whole || self.stream.windows != WindowSafety::Memory;
        let waits = comes_back && self.stream.guarantee == Guarantee::AtLeastOnce;
        incoming.token.filter(|_| waits)
    }

    /// The card of the active model.
    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.runner.card
    }

    /// The device of the last message.
    #[must_use]
    pub fn device(&self) -> &str {
        self.captured.device()
    }

    /// Whether something of earlier messages is kept: in windows, to be joined, or as carried state.
    #[must_use]
    pub fn keeps_samples(&self) -> bool {
        let plan = &self.runner.plan;
        plan.shape.is_some() || plan.join.is_some() || plan.carried.is_some()
    }

    /// Devices with state.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.known.len()
    }

    /// Replaces the model between two steps.
    ///
    /// # Errors
    /// As [`super::check_compatibility()`]; the model is then unchanged.
    pub fn swap(
        &mut self,
        card: Arc<Card>,
        model: Box<dyn Infer>,
    ) -> Result<SwapEffect, Vec<CompatibilityError>> {
        let runner = ModelRunner::new(&self.stream, card, model)?;
        let rows = |r: &ModelRunner| r.plan.shape.map(|s| (s.length, s.channels, s.wide));
        let is_same =
            rows(&runner) == rows(&self.runner) && runner.plan.join == self.runner.plan.join;
        let swapped = if is_same {
            SwapEffect::WindowsKept
        } else {
            self.devices.clear_windows();
            SwapEffect::WindowsReset
        };
        self.devices.clear_states();
        let schema = schema(&self.stream, &runner);
        self.holes = holes(&self.stream, &schema);
        let names = self.decoder.take_names();
        self.decoder = (self.make_decoder)(schema);
        if let Some(names) = names {
            self.decoder.set_names(names);
        }
        self.join = Join::new(&self.stream, &runner.plan, self.make_decoder);
        self.runner = runner;
        self.observers.activate(&self.runner.card);
        self.recorder = JournalRecorder::default();
        self.end_shadow();
        Ok(swapped)
    }

    /// Starts a shadow run of a candidate with the next step; it replaces an earlier one.
    ///
    /// # Errors
    /// It cannot be compared with the active model; the text says why.
    pub fn shadow(&mut self, card: Arc<Card>, model: Box<dyn Infer>) -> Result<(), String> {
        let shadow = Shadow::new(&self.stream, &self.runner, card, model)?;
        self.devices.clear_candidate_states();
        if let StreamPlan { carried: None, shape: Some(shape), .. } = &mut self.runner.plan {
            shape.state_gap = shadow.state_gap();
        }
        self.shadow = Some(Box::new(shadow));
        Ok(())
    }

    /// Takes the counts of the candidate since the last call.
    pub fn shadow_tally(&mut self) -> ShadowTally {
        self.shadow.as_mut().map(|shadow| shadow.take_tally()).unwrap_or_default()
    }

    /// Ends the shadow run.
    pub fn end_shadow(&mut self) {
        self.shadow = None;
        self.devices.clear_candidate_states();
    }
}

fn schema(stream: &Stream, runner: &ModelRunner) -> PayloadSchema {
    let plan = &runner.plan;
    let (fields, whole) = (plan.fields.clone(), plan.shape.is_none());
    PayloadSchema::new(&stream.payload, fields, plan.width, whole, plan.tensor_payload.clone())
        .with_max_inflated(stream.max_payload)
}

fn holes(stream: &Stream, schema: &PayloadSchema) -> HoleFiller {
    let hold = stream.payload.reading.missing.hold;
    HoleFiller::new(schema.missing_plan(), hold, schema.fields().to_vec(), schema.width())
}
