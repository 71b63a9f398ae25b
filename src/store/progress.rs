//! Batches of which the broker has some results and not yet all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::batch::Place;
use crate::outbox::{Record, Seq};

/// Kept in memory only: after a crash such a batch is sent again whole.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Every result still waiting of the batches that have been read.
    waiting: HashMap<Seq, Place>,
    left: HashMap<Place, usize>,
}

impl Progress {
    /// Notes a batch that has been read; a second time changes nothing.
    pub(super) fn begin(&mut self, place: Place, records: &[Record]) {
        if let Entry::Vacant(unread) = self.left.entry(place) {
            unread.insert(records.len());
            self.waiting.extend(records.iter().map(|record| (record.seq, place)));
        }
    }

    pub(super) fn waits(&self, seq: Seq) -> bool {
        self.waiting.contains_key(&seq)
    }

    /// Notes that a result is done with. Gives the batch when it was its last.
    pub(super) fn finish(&mut self, seq: Seq) -> Option<Place> {
        let place = self.waiting.remove(&seq)?;
        let left = self.left.get_mut(&place)?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        self.left.remove(&place);
        Some(place)
    }

    pub(super) fn has_begun(&self, place: Place) -> bool {
        self.left.contains_key(&place)
    }

    /// Forgets a batch that is not there any more.
    pub(super) fn forget(&mut self, place: Place) {
        if self.left.remove(&place).is_some() {
            self.waiting.retain(|_, at| *at != place);
        }
    }
}
