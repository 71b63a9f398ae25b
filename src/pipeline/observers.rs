//! What looks at every prediction of a stream beside its publication.

use super::labels::{LabelJoin, LabelReport};
use super::live::{LiveRecorder, LiveStep};
use super::observation::Observation;
use super::stream::Pipeline;
use crate::bundle::card::Card;
use crate::config::Stream;
use crate::ids::GatewayId;
use crate::message::Incoming;
use crate::truth::{BadSave, LabelStats};

/// The observers of one stream.
#[derive(Debug)]
pub(super) struct Observers {
    pub(super) labels: Option<Box<LabelJoin>>,
    /// While somebody looks.
    live: Option<Box<LiveRecorder>>,
}

impl Observers {
    pub(super) fn new(stream: &Stream, gateway: &GatewayId, card: &Card) -> Self {
        Self { labels: LabelJoin::new(stream, gateway, card).map(Box::new), live: None }
    }

    /// Whether an observer needs the ids of predictions.
    pub(super) fn need_ids(&self) -> bool {
        self.labels.is_some()
    }

    pub(super) fn note(&mut self, seen: &Observation<'_>) {
        if let Some(labels) = &mut self.labels {
            labels.note(seen);
        }
        if let Some(live) = &mut self.live {
            live.note(seen);
        }
    }

    /// The following predictions are of this version.
    pub(super) fn activate(&mut self, card: &Card) {
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

    /// Shows the input of the last run to whoever looks.
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
