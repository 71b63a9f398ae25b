//! What waits, counted by priority.

use std::collections::BTreeMap;

/// The batches of each priority.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<u8, Lane>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    batches: u64,
    records: u64,
    bytes: u64,
}

impl Lanes {
    pub(super) fn add(&mut self, priority: u8, records: u64, bytes: u64) {
        let lane = self.lanes.entry(priority).or_default();
        lane.batches += 1;
        lane.records += records;
        lane.bytes += bytes;
    }

    pub(super) fn subtract(&mut self, priority: u8, records: u64, bytes: u64) {
        let Some(lane) = self.lanes.get_mut(&priority) else { return };
        lane.batches = lane.batches.saturating_sub(1);
        lane.records = lane.records.saturating_sub(records);
        lane.bytes = lane.bytes.saturating_sub(bytes);
        if lane.batches == 0 {
            self.lanes.remove(&priority);
        }
    }

    pub(super) fn clear(&mut self, priority: u8) {
        self.lanes.remove(&priority);
    }

    pub(super) fn records(&self) -> u64 {
        self.lanes.values().map(|lane| lane.records).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.lanes.values().map(|lane| lane.bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The priorities that have something, lowest first.
    pub(super) fn priorities(&self) -> impl Iterator<Item = u8> + '_ {
        self.lanes.keys().copied()
    }
}
