//! What looks at every prediction of a stream beside its publication.

use super::capture::{CaptureTap, CapturedInput};
use super::drift::{Collector, DriftObserver};
use super::labels::{LabelJoin, LabelReport};
use super::live::{LiveRecorder, LiveStep};
use super::observation::{Observation, RanInput, RunOutcome};
use super::outputs::OutputStats;
use super::runner::ModelRunner;
use super::step_report::StepReport;
use super::stream::Pipeline;
use crate::bundle::card::Card;
use crate::clock::Now;
use crate::config::Stream;
use crate::drift::RateChange;
use crate::ids::GatewayId;
use crate::message::Incoming;
use crate::truth::{BadSave, LabelStats};

/// The observers of one stream.
#[derive(Debug)]
pub(super) struct Observers {
    pub(super) labels: Option<Box<LabelJoin>>,
    /// While somebody looks.
    live: Option<Box<LiveRecorder>>,
    pub(super) capture: Option<Box<CaptureTap>>,
    outputs: OutputStats,
    pub(super) drift: Option<Box<DriftObserver>>,
    /// While a baseline is made.
    pub(super) collector: Option<Collector>,
}

impl Observers {
    pub(super) fn new(stream: &Stream, gateway: &GatewayId, card: &Card) -> Self {
        Self {
            labels: LabelJoin::new(stream, gateway, card).map(Box::new),
            live: None,
            outputs: OutputStats::new(card),
            capture: CaptureTap::new(stream).map(Box::new),
            drift: None,
            collector: None,
        }
    }

    /// Whether an observer needs the ids of predictions.
    pub(super) fn need_ids(&self) -> bool {
        self.labels.is_some() || self.capture.is_some()
    }

    /// Looks at a prediction. `has_shadow`: a candidate runs on the same input next.
    pub(super) fn note(&mut self, seen: &Observation<'_>, has_shadow: bool) {
        self.outputs.note(seen);
        if let Some(labels) = &mut self.labels {
            labels.note(seen);
        }
        if let Some(live) = &mut self.live {
            live.note(seen);
        }
        if let Some(capture) = &mut self.capture {
            let is_drifting = self.drift.as_ref().is_some_and(|drift| drift.is_drifting());
            capture.note(seen, has_shadow, is_drifting);
        }
    }

    /// Looks at an input after all runs. `runner` has it in its buffers.
    pub(super) fn finish(&mut self, ran: &RanInput<'_>, runner: &ModelRunner) {
        let features = runner.features().filter(|_| ran.outcome != RunOutcome::Failed);
        if let Some(capture) = &mut self.capture {
            let compared = features.zip(self.drift.as_ref());
            let is_outside = compared.is_some_and(|(features, drift)| drift.is_outside(features));
            capture.finish(ran, is_outside, runner);
        }
        let Some(features) = features else { return };
        if let Some(drift) = &mut self.drift {
            drift.window(features, ran.now);
        }
        if let Some(collector) = &mut self.collector {
            collector.windows.push((ran.time, features.clone()));
        }
    }

    /// A window of a device is complete; `change` if the device is not at its usual rate.
    pub(super) fn note_rate(&mut self, device: &str, change: Option<RateChange>, now: Now) {
        if let Some(drift) = &mut self.drift {
            drift.device(device, change, now);
        }
    }

    /// Takes the counts of one message.
    pub(super) fn note_step(&mut self, report: &StepReport, now: Now) {
        if let Some(drift) = &mut self.drift {
            drift.inputs(report, now);
        }
    }

    /// The following predictions are of this version.
    pub(super) fn activate(&mut self, card: &Card) {
        self.outputs.activate(card);
        if let Some(labels) = &mut self.labels {
            labels.activate(card);
        }
    }
}

impl Pipeline {
    /// Records the next step for [`Self::take_live`], with the input of the last run if that is of
    /// one of these devices, or of any if there are none.
    pub fn watch(&mut self, devices: &[String]) {
        self.observers.live.get_or_insert_default().want(devices);
    }

    /// Ends the recording. Returns whether there was one.
    pub fn unwatch(&mut self) -> bool {
        self.observers.live.take().is_some()
    }

    /// What the last step gave; `None` if it was not watched.
    pub fn take_live(&mut self) -> Option<LiveStep> {
        self.observers.live.as_mut().map(|live| live.take())
    }

    /// Shows the input of the last run to observers.
    pub(super) fn note_input(&mut self) {
        if let Some(live) = &mut self.observers.live {
            let samples = self.decoded.samples().map(|samples| samples.values.as_slice());
            live.note_input(self.captured.device(), &self.runner, samples.unwrap_or_default());
        }
    }

    /// Joins the labels of a message with the predictions of this stream.
    pub fn take_labels(&mut self, incoming: &Incoming) -> LabelReport {
        let labels = self.observers.labels.as_mut();
        labels.map(|labels| labels.take(incoming)).unwrap_or_default()
    }

    /// The predictions by label and by score, and the last one.
    #[must_use]
    pub fn outputs(&self) -> &OutputStats {
        &self.observers.outputs
    }

    /// The accuracy by the labels so far; `None` if the stream has no labels.
    #[must_use]
    pub fn label_stats(&self) -> Option<LabelStats> {
        self.observers.labels.as_ref().map(|labels| labels.stats())
    }

    /// The remembered predictions and their outcomes; `None` if the stream has no labels.
    #[must_use]
    pub fn save_labels(&self) -> Option<Vec<u8>> {
        self.observers.labels.as_ref().map(|labels| labels.tracker.save())
    }

    /// The inputs that were captured since this was called last, and how many were dropped.
    pub fn take_captured(&mut self) -> (Vec<CapturedInput>, u64) {
        let capture = self.observers.capture.as_mut();
        capture.map(|capture| (capture.take(), capture.take_dropped())).unwrap_or_default()
    }

    /// Captures the next `count` inputs of the stream, if it captures any.
    pub fn request_capture(&mut self, count: u32) {
        if let Some(capture) = &mut self.observers.capture {
            capture.request(count);
        }
    }

    /// Takes what [`Self::save_labels`] returned, possibly in an earlier process.
    ///
    /// # Errors
    /// The bytes are damaged; nothing is changed.
    pub fn restore_labels(&mut self, saved: &[u8]) -> Result<(), BadSave> {
        let Some(labels) = &mut self.observers.labels else { return Ok(()) };
        labels.tracker.restore(saved)?;
        labels.activate(&self.runner.card);
        Ok(())
    }
}
