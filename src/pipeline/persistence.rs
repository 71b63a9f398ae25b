//! A pipeline's windows as bytes, and back.

use super::journal::{self, JournalEntry, JournalRecorder};
use super::snapshot::{self, Restored};
use super::state_codec::RestoreError;
use super::stream::Pipeline;
use crate::clock::Now;
use crate::message::InputId;

impl Pipeline {
    /// All devices' partial windows and publish states as bytes, for [`Pipeline::restore`].
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Vec<u8> {
        snapshot::save(&self.devices, self.runner.plan.shape.as_ref(), now)
    }

    /// The same as a base of that number, which [`Pipeline::addition`] goes on from. A swap ends
    /// that.
    #[must_use]
    pub fn base(&mut self, number: u64, now: Now) -> Vec<u8> {
        self.recorder = JournalRecorder::new(number, now.mono);
        journal::base(number, &self.snapshot(now))
    }

    /// Whether a base was given that additions can follow.
    #[must_use]
    pub fn has_base(&self) -> bool {
        self.recorder.has_base()
    }

    /// What came into the windows since the base, or since this was asked last.
    #[must_use]
    pub fn addition(&mut self, now: Now) -> Option<JournalEntry> {
        self.recorder.take(now)
    }

    /// Takes up what [`Pipeline::snapshot`] or [`Pipeline::base`] saved.
    ///
    /// # Errors
    /// Bytes that are damaged, of another version or of another window shape; nothing is changed.
    pub fn restore(&mut self, bytes: &[u8], now: Now) -> Result<Restored, RestoreError> {
        self.replay(bytes, [], now, &mut Vec::new())
    }

    /// The same with the additions that came after the base, in order. `input_ids` gets the messages
    /// that were in them.
    ///
    /// # Errors
    /// As [`Pipeline::restore`].
    pub fn replay<'a>(
        &mut self,
        base: &[u8],
        additions: impl IntoIterator<Item = &'a [u8]>,
        now: Now,
        input_ids: &mut Vec<InputId>,
    ) -> Result<Restored, RestoreError> {
        let shape = self.runner.plan.shape.as_ref();
        let restored = journal::restore(base, additions, &mut self.devices, shape, now, input_ids)?;
        if let Some(shape) = shape.filter(|_| self.holes.holds()) {
            self.devices.hold_last_samples(shape);
        }
        Ok(restored)
    }
}
