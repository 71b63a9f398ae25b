//! The batches and values in the database, and those that are to be removed.

use std::collections::{BTreeMap, HashSet};

use super::Loaded;
use super::batch::{self, BatchKey, BatchKind, PackedBatch};
use super::database::{Database, DatabaseError};
use super::delivery_progress::DeliveryProgress;
use super::index::{Batch, Index};
use super::recovery_scan::RecoveryScan;
use super::state_index::StateIndex;
use super::value_slots::{self, ValueSlots};
use crate::failpoints::point;
use crate::ids::StreamName;
use crate::outbox::{Record, Seq};

/// Bytes of results that are read at once, not counting the last batch.
const MAX_LOAD_BYTES: usize = 1 << 20;
/// A batch smaller than this many bytes is merged with the next group, so that single results do not
/// become a batch each.
const MERGE_BELOW_BYTES: u64 = 2048;

/// The bounds that hold after an append.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreLimits {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

/// The index of the database, and its counters.
#[derive(Debug, Default)]
pub(super) struct Batches {
    index: Index,
    states: StateIndex,
    slots: ValueSlots,
    progress: DeliveryProgress,
    /// Slots that the next write clears.
    orphaned: Vec<u32>,
    /// Batches whose results are acknowledged, until their removal is durable.
    deleted: HashSet<BatchKey>,
    /// Results whose write failed: they do not count, whether or not they reached the disk.
    unconfirmed: Vec<Seq>,
    evicted: u64,
    damaged: u64,
    /// Evicted results by stream since the last call that took them.
    evicted_now: BTreeMap<StreamName, u64>,
}

impl Batches {
    /// Replaces the index with the result of a scan. Batches that are done, and the number of results
    /// sent of a batch, are kept.
    pub(super) fn recount(&mut self, scan: RecoveryScan) {
        self.index = scan.index;
        self.states = scan.states;
        self.slots = scan.slots;
        self.orphaned = scan.orphaned;
        self.damaged += scan.damaged;
        for place in &self.deleted {
            self.orphaned
                .extend(self.index.remove(*place).into_iter().flat_map(|batch| batch.slots));
        }
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn states(&self) -> &StateIndex {
        &self.states
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn damaged(&self) -> u64 {
        self.damaged
    }

    pub(super) fn take_evicted(&mut self) -> Vec<(StreamName, u64)> {
        std::mem::take(&mut self.evicted_now).into_iter().collect()
    }

    /// Writes the batches of a group, highest priority first, and evicts results of the same or a lower
    /// priority to make room for each.
    pub(super) fn append(
        &mut self,
        database: &Database,
        group: &[Record],
        packed: &[PackedBatch],
        limits: StoreLimits,
    ) -> Result<(), DatabaseError> {
        self.unconfirmed.extend(group.iter().map(|record| record.seq));
        database.act(|tree| {
            self.clear_orphaned(tree)?;
            for batch in packed.iter().rev() {
                let priority = batch.header().place.priority;
                if self.make_room(tree, batch, limits)? {
                    let merged = self.merged(tree, batch, group)?;
                    self.write(tree, merged.as_ref().unwrap_or(batch))?;
                } else {
                    self.note_evicted(group.iter().filter(|r| r.priority == priority));
                }
            }
            Ok(())
        })?;
        point("append");
        self.flush(database)?;
        point("appended");
        self.note_evicted(group.iter().filter(|record| batch::is_too_long(record)));
        self.unconfirmed.clear();
        Ok(())
    }

    /// Removes what a failed append may have left behind.
    pub(super) fn remove_unconfirmed(&mut self, database: &Database) -> Result<(), DatabaseError> {
        if self.unconfirmed.is_empty() {
            return Ok(());
        }
        let unconfirmed = self.unconfirmed.clone();
        self.remove(database, &unconfirmed)?;
        self.unconfirmed.clear();
        Ok(())
    }

    /// `false` if it would not fit into an empty database either.
    fn make_room(
        &mut self,
        tree: &sled::Tree,
        batch: &PackedBatch,
        limits: StoreLimits,
    ) -> Result<bool, DatabaseError> {
        let records = u64::from(batch.header().records);
        while self.index.bytes().saturating_add(batch.bytes()) > limits.bytes
            || self.index.records().saturating_add(records) > limits.records
        {
            let least = self.index.least();
            let priority = batch.header().place.priority;
            let Some(least) = least.filter(|least| least.priority <= priority) else {
                return Ok(false);
            };
            self.evict(tree, least)?;
        }
        Ok(true)
    }

    fn evict(&mut self, tree: &sled::Tree, place: BatchKey) -> Result<(), DatabaseError> {
        let is_tracked = self.progress.is_tracked(place);
        let records = self.read(tree, place)?.unwrap_or_default();
        let is_pending = |record: &&Record| !is_tracked || self.progress.is_pending(record.seq);
        let waiting: Vec<&Record> = records.iter().filter(is_pending).collect();
        self.note_evicted(waiting.into_iter());
        self.delete(tree, place)
    }

    fn note_evicted<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            self.evicted += 1;
            *self.evicted_now.entry(record.stream.clone()).or_default() += 1;
        }
    }

    /// Merges `batch` with the newest one of its priority, if that one is small and has not been read
    /// yet.
    fn merged(
        &self,
        tree: &sled::Tree,
        batch: &PackedBatch,
        group: &[Record],
    ) -> Result<Option<PackedBatch>, DatabaseError> {
        let BatchKey { priority, first } = batch.header().place;
        let Some((place, newest)) = self.index.newest(priority) else { return Ok(None) };
        let is_small = newest.bytes < MERGE_BELOW_BYTES && newest.last < first;
        if !is_small || self.progress.is_tracked(place) {
            return Ok(None);
        }
        let Some(older) = self.read(tree, place)? else { return Ok(None) };
        let newer = group.iter().filter(|r| r.priority == priority && !batch::is_too_long(r));
        let both: Vec<&Record> = older.iter().chain(newer).collect();
        Ok(batch::pack_lane(priority, &both))
    }

    /// Writes a batch, its first piece last, then clears the one it replaces.
    fn write(&mut self, tree: &sled::Tree, packed: &PackedBatch) -> Result<(), DatabaseError> {
        let (header, slots) = (packed.header(), self.slots.take(tree, packed.header().pieces)?);
        value_slots::fill(tree, packed.values(&slots).rev())?;
        let batch = Batch::new(header, slots, packed.bytes());
        let replaced = self.index.insert(header.place, batch);
        self.clear(tree, replaced)
    }

    pub(super) fn remove(
        &mut self,
        database: &Database,
        seqs: &[Seq],
    ) -> Result<(), DatabaseError> {
        database.act(|tree| {
            for seq in seqs {
                if !self.progress.is_pending(*seq) {
                    self.find(tree, *seq)?;
                }
                self.deleted.extend(self.progress.finish(*seq));
            }
            let deleted: Vec<BatchKey> = self.deleted.iter().copied().collect();
            deleted.into_iter().try_for_each(|place| self.delete(tree, place))?;
            self.clear_orphaned(tree)
        })?;
        if self.deleted.is_empty() {
            return Ok(());
        }
        point("remove");
        self.flush(database)?;
        point("removed");
        Ok(())
    }

    /// Records the batch of a result that has not been loaded.
    fn find(&mut self, tree: &sled::Tree, seq: Seq) -> Result<(), DatabaseError> {
        for place in self.index.candidates(seq) {
            if self.progress.is_tracked(place) {
                continue;
            }
            let records = self.read(tree, place)?.unwrap_or_default();
            if records.iter().any(|record| record.seq == seq) {
                self.progress.begin(place, &records);
            }
        }
        Ok(())
    }

    pub(super) fn load(
        &mut self,
        database: &Database,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<Loaded, DatabaseError> {
        let mut loaded = Loaded { records: Vec::new(), through: after, end: false };
        let mut bytes = 0;
        database.act(|tree| {
            while let Some(place) = self.index.oldest_after(loaded.through) {
                if loaded.records.len() >= limit || bytes >= MAX_LOAD_BYTES {
                    return Ok(());
                }
                loaded.through = Some(place.first);
                let records = self.open_batch(tree, place)?;
                bytes += records.iter().map(|record| record.message.payload.len()).sum::<usize>();
                loaded.records.extend(records);
            }
            loaded.end = true;
            Ok(())
        })?;
        Ok(loaded)
    }

    /// The results of a batch that are not acknowledged.
    fn open_batch(
        &mut self,
        tree: &sled::Tree,
        place: BatchKey,
    ) -> Result<Vec<Record>, DatabaseError> {
        let Some(mut records) = self.read(tree, place)? else {
            // It was complete when the database was opened.
            self.damaged += 1;
            self.deleted.insert(place);
            return Ok(Vec::new());
        };
        self.progress.begin(place, &records);
        records.retain(|record| self.progress.is_pending(record.seq));
        Ok(records)
    }

    fn read(
        &self,
        tree: &sled::Tree,
        place: BatchKey,
    ) -> Result<Option<Vec<Record>>, DatabaseError> {
        let Some(batch) = self.index.batch(place) else { return Ok(None) };
        let values = value_slots::read(tree, &batch.slots)?;
        Ok(batch::unpack(values.iter().map(|(slot, value)| (*slot, value.as_ref()))))
    }

    fn delete(&mut self, tree: &sled::Tree, place: BatchKey) -> Result<(), DatabaseError> {
        self.progress.forget(place);
        let batch = self.index.remove(place);
        self.clear(tree, batch)
    }

    fn clear(&mut self, tree: &sled::Tree, batch: Option<Batch>) -> Result<(), DatabaseError> {
        let slots = batch.into_iter().flat_map(|batch| batch.slots);
        slots.into_iter().try_for_each(|slot| self.slots.clear(tree, slot))
    }

    fn clear_orphaned(&mut self, tree: &sled::Tree) -> Result<(), DatabaseError> {
        let mut orphaned = std::mem::take(&mut self.orphaned).into_iter();
        orphaned.try_for_each(|slot| self.slots.clear(tree, slot))
    }

    fn flush(&mut self, database: &Database) -> Result<(), DatabaseError> {
        database.flush()?;
        self.deleted.clear();
        Ok(())
    }
}

/// Small state.
impl Batches {
    /// Replaces values, then removes those named in `gone`. A power cut leaves a prefix of these
    /// steps.
    pub(super) fn write_batch(
        &mut self,
        database: &Database,
        values: &[(&str, &[u8])],
        deleted: &[String],
    ) -> Result<(), DatabaseError> {
        database.act(|tree| {
            values.iter().try_for_each(|(name, value)| self.write_state(tree, name, value))?;
            deleted.iter().try_for_each(|name| {
                let removed = self.states.remove(name);
                self.clear(tree, removed)
            })
        })?;
        point("keep");
        self.flush(database)?;
        point("kept");
        Ok(())
    }

    fn write_state(
        &mut self,
        tree: &sled::Tree,
        name: &str,
        value: &[u8],
    ) -> Result<(), DatabaseError> {
        let packed = batch::pack_state(name, value, self.states.next_revision());
        let packed = packed.ok_or(DatabaseError::TooLong(value.len()))?;
        debug_assert_eq!(packed.header().kind, BatchKind::State);
        let slots = self.slots.take(tree, packed.header().pieces)?;
        value_slots::fill(tree, packed.values(&slots).rev())?;
        let batch = Batch::new(packed.header(), slots, packed.bytes());
        let revision = packed.header().place.first;
        let replaced = self.states.keep_newer(Some(name.to_owned()), revision, batch);
        self.clear(tree, replaced)
    }

    pub(super) fn get(
        &self,
        database: &Database,
        name: &str,
    ) -> Result<Option<Vec<u8>>, DatabaseError> {
        let Some(batch) = self.states.batch(name) else { return Ok(None) };
        let values = database.act(|tree| value_slots::read(tree, &batch.slots))?;
        Ok(batch::unpack_state(values.iter().map(|(slot, value)| (*slot, value.as_ref()))))
    }

    /// Writes all state into an empty database.
    pub(super) fn copy_states(
        &self,
        from: &Database,
        to: &sled::Tree,
    ) -> Result<(), DatabaseError> {
        let mut copy = Self::default();
        for name in self.states.names("") {
            if let Some(value) = self.get(from, name)? {
                copy.write_state(to, name, &value)?;
            }
        }
        Ok(())
    }
}
