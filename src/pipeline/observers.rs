//! What looks at every prediction of a stream beside its publication.

use super::labels::{LabelJoin, LabelReport};
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
}

impl Observers {
    pub(super) fn new(stream: &Stream, gateway: &GatewayId, card: &Card) -> Self {
        Self { labels: LabelJoin::new(stream, gateway, card).map(Box::new) }
    }

    /// Whether an observer needs the ids of predictions.
    pub(super) fn need_ids(&self) -> bool {
        self.labels.is_some()
    }

    pub(super) fn note(&mut self, seen: &Observation<'_>) {
        if let Some(labels) = &mut self.labels {
            labels.note(seen);
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
