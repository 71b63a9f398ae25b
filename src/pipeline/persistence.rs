//! Saves and restores the windows of a pipeline.

use super::journal::{self, JournalEntry, JournalRecorder, Kept};
use super::snapshot::{self, Restored};
use super::state_codec::RestoreError;
use super::stream::Pipeline;
use crate::clock::Now;
use crate::message::InputId;

impl Pipeline {
    /// Encodes the partial windows, publish states and carried states of all devices, for [`Pipeline::restore`].
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Vec<u8> {
        snapshot::save(&self.devices, Kept::new(&self.runner.plan), now)
    }

    /// As [`Pipeline::snapshot`], as a base with this number that [`Pipeline::addition`] continues,
    /// until the model is swapped.
    #[must_use]
    pub fn base(&mut self, number: u64, now: Now) -> Vec<u8> {
        self.recorder = JournalRecorder::new(number, now.mono);
        journal::base(number, &self.snapshot(now))
    }

    /// Whether there is a base that entries can follow.
    #[must_use]
    pub fn has_base(&self) -> bool {
        self.recorder.has_base()
    }

    /// The journal entry of everything added to the windows since the base or the last entry.
    #[must_use]
    pub fn addition(&mut self, now: Now) -> Option<JournalEntry> {
        self.recorder.take(now)
    }

    /// Restores what [`Pipeline::snapshot`] or [`Pipeline::base`] returned.
    ///
    /// # Errors
    /// The bytes are damaged, or of another version or window shape; nothing is changed.
    pub fn restore(&mut self, bytes: &[u8], now: Now) -> Result<Restored, RestoreError> {
        self.replay(bytes, [], now, &mut Vec::new())
    }

    /// As [`Pipeline::restore`], with the entries after the base, in order. `input_ids` receives the
    /// ids of the messages in them.
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
        let kept = Kept::new(&self.runner.plan);
        let restored = journal::restore(base, additions, &mut self.devices, kept, now, input_ids)?;
        let shape = self.runner.plan.shape.as_ref();
        if let Some(shape) = shape.filter(|_| self.holes.holds()) {
            self.devices.hold_last_samples(shape);
        }
        Ok(restored)
    }
}
