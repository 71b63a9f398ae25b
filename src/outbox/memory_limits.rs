//! Limits of the results in memory.

use super::spill::{MAX_GROUP_BYTES, MAX_GROUP_GROWTH};
use super::types::{Action, Loss, Mode};
use super::{Item, Outbox};

impl Outbox {
    /// Whether results must go to disk though the broker is there.
    pub(super) fn memory_is_full(&self) -> bool {
        self.waiting_records() > self.settings.memory_records
            || self.waiting_bytes() > self.settings.memory_bytes
    }

    /// A broker that is there but too slow: live results become a backlog.
    pub(super) fn demote_live(&mut self) {
        if self.live.is_empty() || !self.disk.is_open() || !self.memory_is_full() {
            return;
        }
        match self.mode {
            Mode::Live | Mode::Backlog => self.mode = Mode::Backlog,
            Mode::Offline | Mode::Stopping => return,
        }
        for item in self.live.take_all() {
            // With a new number: its place is behind what is on disk or on its way there.
            let seq = self.take_seq();
            self.join_backlog(Item { seq, ..item });
        }
    }

    /// Evicts the oldest results of the lowest priority while the limits are exceeded.
    pub(super) fn evict(&mut self, actions: &mut Vec<Action>) {
        while self.memory_is_exceeded() {
            let Some(item) = self.tail.evict().or_else(|| self.live.evict()) else { return };
            let loss = Loss::MemoryFull;
            actions.push(Action::Lost { stream: item.stream, loss, count: 1 });
        }
    }

    /// A group on its way to the disk makes room, so one more of them may wait for it.
    fn memory_is_exceeded(&self) -> bool {
        let (records, bytes) = if self.storing.is_empty() {
            (0, 0)
        } else {
            (self.settings.group_records.saturating_mul(MAX_GROUP_GROWTH), MAX_GROUP_BYTES)
        };
        self.waiting_records() > self.settings.memory_records.saturating_add(records)
            || self.waiting_bytes() > self.settings.memory_bytes.saturating_add(bytes)
    }

    fn waiting_records(&self) -> usize {
        self.live.len() + self.tail.len()
    }

    fn waiting_bytes(&self) -> usize {
        self.live.bytes() + self.tail.bytes()
    }
}
