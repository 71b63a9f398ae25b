//! Which batches wait, and in which slots.

use std::collections::BTreeMap;

use super::batch::{BatchKey, Header};
use crate::outbox::Seq;

/// One batch in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// In the order of its pieces.
    pub(super) slots: Box<[u32]>,
    pub(super) records: u16,
    /// Bytes of its values.
    pub(super) bytes: u64,
    pub(super) last: Seq,
    /// In seconds since 1970.
    pub(super) stored: u32,
}

impl Batch {
    pub(super) fn new(header: &Header, slots: Vec<u32>, bytes: u64) -> Self {
        Self {
            slots: slots.into_boxed_slice(),
            records: header.records,
            bytes,
            last: header.last,
            stored: header.stored,
        }
    }
}

/// The batches in order, and their sums.
#[derive(Debug, Default)]
pub(super) struct Index {
    batches: BTreeMap<BatchKey, Batch>,
    records: u64,
    bytes: u64,
}

impl Index {
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Above every number that waits.
    pub(super) fn next(&self) -> Seq {
        let last = self.batches.values().map(|batch| batch.last.0).max();
        last.map_or_else(Seq::default, |last| Seq(last.saturating_add(1)))
    }

    /// When the oldest of all was stored, in seconds since 1970.
    pub(super) fn oldest_stored(&self) -> Option<u32> {
        let place = self.oldest_after(None)?;
        self.batch(place).map(|batch| batch.stored)
    }

    /// Of two whole batches at one place, the longer was written to replace the other. Gives the
    /// one that loses.
    pub(super) fn keep_longer(&mut self, place: BatchKey, batch: Batch) -> Option<Batch> {
        if self.batch(place).is_some_and(|other| other.last > batch.last) {
            return Some(batch);
        }
        self.insert(place, batch)
    }

    /// Adds a batch; gives the one that was in its place.
    pub(super) fn insert(&mut self, place: BatchKey, batch: Batch) -> Option<Batch> {
        let old = self.remove(place);
        self.records += u64::from(batch.records);
        self.bytes += batch.bytes;
        self.batches.insert(place, batch);
        old
    }

    pub(super) fn remove(&mut self, place: BatchKey) -> Option<Batch> {
        let batch = self.batches.remove(&place)?;
        self.records -= u64::from(batch.records);
        self.bytes -= batch.bytes;
        Some(batch)
    }

    pub(super) fn batch(&self, place: BatchKey) -> Option<&Batch> {
        self.batches.get(&place)
    }

    /// The oldest of the least priority.
    pub(super) fn least(&self) -> Option<BatchKey> {
        self.batches.keys().next().copied()
    }

    /// The newest of a priority.
    pub(super) fn newest(&self, priority: u8) -> Option<(BatchKey, &Batch)> {
        let lane = self.lane(priority, Seq(0), Seq(u64::MAX));
        lane.last().map(|(place, batch)| (*place, batch))
    }

    /// The oldest that begins after `after`, whatever its priority.
    pub(super) fn oldest_after(&self, after: Option<Seq>) -> Option<BatchKey> {
        let from = after.map_or(Some(0), |after| after.0.checked_add(1))?;
        let oldest = |priority| self.lane(priority, Seq(from), Seq(u64::MAX)).next();
        let places = self.priorities().filter_map(oldest).map(|(place, _)| *place);
        places.min_by_key(|place| place.first)
    }

    /// The batches in which this number may be: one of each priority at most.
    pub(super) fn candidates(&self, seq: Seq) -> Vec<BatchKey> {
        let before = |priority| self.lane(priority, Seq(0), seq).next_back();
        let candidates = self.priorities().filter_map(before);
        candidates.filter(|(_, batch)| batch.last >= seq).map(|(place, _)| *place).collect()
    }

    fn lane(
        &self,
        priority: u8,
        from: Seq,
        upto: Seq,
    ) -> impl DoubleEndedIterator<Item = (&BatchKey, &Batch)> {
        let (from, upto) = (BatchKey { priority, first: from }, BatchKey { priority, first: upto });
        self.batches.range(from..=upto)
    }

    /// Lowest first.
    fn priorities(&self) -> impl Iterator<Item = u8> + '_ {
        let first = |from: BatchKey| self.batches.range(from..).next().map(|(at, _)| at.priority);
        let start = first(BatchKey { priority: 0, first: Seq(0) });
        std::iter::successors(start, move |priority| {
            first(BatchKey { priority: priority.checked_add(1)?, first: Seq(0) })
        })
    }
}
