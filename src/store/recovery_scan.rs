//! Reads the whole database: builds the index and finds slots to clear.

use std::collections::HashMap;

use super::batch::{self, BatchKey, BatchKind, Header};
use super::database::DatabaseError;
use super::index::{Batch, Index};
use super::page_cache;
use super::state_index::StateIndex;
use super::value_slots::{self, ValueSlots};

/// What reading everything found.
#[derive(Debug, Default)]
pub(super) struct RecoveryScan {
    pub(super) index: Index,
    pub(super) states: StateIndex,
    pub(super) slots: ValueSlots,
    /// Slots of batches that were not whole when the process died, that were replaced, or that are
    /// wrong.
    pub(super) orphaned: Vec<u32>,
    /// Batches and values whose bytes are wrong.
    pub(super) damaged: u64,
}

/// One attempt at one batch.
type Attempt = (BatchKind, BatchKey, u32);

/// The pieces found so far of an attempt.
#[derive(Debug)]
struct Partial {
    header: Header,
    bytes: u64,
    slots: Vec<Option<u32>>,
    /// Of a state, once piece 0 is found.
    name: Option<String>,
}

impl RecoveryScan {
    pub(super) fn of(tree: &sled::Tree) -> Result<Self, DatabaseError> {
        let mut scan = Self::default();
        let mut partials = HashMap::new();
        for entry in tree.scan_prefix([value_slots::PREFIX]) {
            let (key, value) = entry?;
            if let Some(slot) = value_slots::of_key(&key) {
                scan.slots.found(slot, value.is_empty());
                if !value.is_empty() {
                    scan.take(slot, &value, &mut partials);
                    page_cache::record_accesses(tree, &key, value.len())?;
                }
            }
        }
        partials.into_values().for_each(|partial| scan.give_up(&partial));
        page_cache::free_dropped(tree)?;
        Ok(scan)
    }

    fn take(&mut self, slot: u32, value: &[u8], partials: &mut HashMap<Attempt, Partial>) {
        let Some((header, bytes)) = batch::read_piece(slot, value) else {
            self.damaged += 1;
            self.orphaned.push(slot);
            return;
        };
        let attempt = (header.kind, header.place, header.stamp);
        let partial = partials.entry(attempt).or_insert_with(|| Partial::new(header));
        partial.add(slot, header.piece, value.len(), bytes);
        if let Some(batch) = partial.whole() {
            let name = partial.name.take();
            partials.remove(&attempt);
            let loser = match header.kind {
                BatchKind::Results => self.index.keep_longer(header.place, batch),
                BatchKind::State => self.states.keep_newer(name, header.place.first, batch),
            };
            self.orphaned.extend(loser.into_iter().flat_map(|batch| batch.slots));
        }
    }

    fn give_up(&mut self, partial: &Partial) {
        self.orphaned.extend(partial.slots.iter().flatten());
        // Piece 0 is written last: without it the batch was never acknowledged.
        self.damaged += u64::from(partial.slots.first().is_some_and(Option::is_some));
    }
}

impl Partial {
    fn new(header: Header) -> Self {
        Self { header, bytes: 0, slots: vec![None; usize::from(header.pieces)], name: None }
    }

    fn add(&mut self, slot: u32, piece: u16, len: usize, bytes: &[u8]) {
        self.bytes += u64::try_from(len).unwrap_or(u64::MAX);
        if self.header.kind == BatchKind::State && piece == 0 {
            self.name = batch::state_name(bytes).map(str::to_owned);
        }
        if let Some(place) = self.slots.get_mut(usize::from(piece)) {
            *place = Some(slot);
        }
    }

    fn whole(&self) -> Option<Batch> {
        let slots = self.slots.iter().copied().collect::<Option<Vec<u32>>>()?;
        Some(Batch::new(&self.header, slots, self.bytes))
    }
}
