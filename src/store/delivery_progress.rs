//! Batches of which the broker has some results and not yet all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::batch::BatchKey;
use crate::outbox::{Record, Seq};

/// Kept in memory only: after a crash such a batch is sent again whole.
#[derive(Debug, Default)]
pub(super) struct DeliveryProgress {
    /// Every result still waiting of the batches that have been read.
    waiting: HashMap<Seq, BatchKey>,
    left: HashMap<BatchKey, usize>,
}

impl DeliveryProgress {
    /// Notes a batch that has been read; a second time changes nothing.
    pub(super) fn begin(&mut self, place: BatchKey, records: &[Record]) {
        if let Entry::Vacant(unread) = self.left.entry(place) {
            unread.insert(records.len());
            self.waiting.extend(records.iter().map(|record| (record.seq, place)));
        }
    }

    pub(super) fn is_pending(&self, seq: Seq) -> bool {
        self.waiting.contains_key(&seq)
    }

    /// Notes that a result is done with. Gives the batch when it was its last.
    pub(super) fn finish(&mut self, seq: Seq) -> Option<BatchKey> {
        let place = self.waiting.remove(&seq)?;
        let left = self.left.get_mut(&place)?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        self.left.remove(&place);
        Some(place)
    }

    pub(super) fn is_tracked(&self, place: BatchKey) -> bool {
        self.left.contains_key(&place)
    }

    /// Forgets a batch that is not there any more.
    pub(super) fn forget(&mut self, place: BatchKey) {
        if self.left.remove(&place).is_some() {
            self.waiting.retain(|_, at| *at != place);
        }
    }
}
