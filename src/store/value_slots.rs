//! The values of the database: numbered slots, made once and used again and again.
//!
//! sled rewrites a whole leaf on every tenth change to it, and twice when it splits. Keys that come
//! and go with the results cost 7 bytes written for each byte stored, most of it neighbours. So
//! keys are made empty, ahead of their use, when a split is cheap; a slot is cleared by writing an
//! empty value; and of the [`KEYS_PER_LEAF`] keys that share a leaf only [`USED_PER_LEAF`] are ever filled, so that
//! nearly every leaf is rewritten when it has just become empty. That takes 1.7 to 1.9.

use std::collections::VecDeque;

use super::database::DatabaseError;
use super::page_cache;
use crate::codec::Reader;

/// What a key of a slot begins with.
pub(super) const PREFIX: u8 = b'q';
/// Keys in a leaf of sled that was made in rising order: half of the 16 at which it splits.
const KEYS_PER_LEAF: u32 = 8;
const USED_PER_LEAF: u32 = 4;
/// Slots made at a time.
const SLOTS_PER_GROWTH: u32 = 8 * KEYS_PER_LEAF;

/// Which slots there are and which are free.
#[derive(Debug, Default)]
pub(super) struct ValueSlots {
    /// All below this number exist.
    made: u32,
    /// In the order in which they were freed: a leaf filled together is cleared together.
    free: VecDeque<u32>,
}

impl ValueSlots {
    /// Notes a slot that was found.
    pub(super) fn found(&mut self, slot: u32, is_empty: bool) {
        self.made = self.made.max(slot.saturating_add(1));
        if is_empty && is_used(slot) {
            self.free.push_back(slot);
        }
    }

    /// Takes `count` slots, making new ones where too few are free.
    pub(super) fn take(
        &mut self,
        tree: &sled::Tree,
        count: u16,
    ) -> Result<Vec<u32>, DatabaseError> {
        while self.free.len() < usize::from(count) {
            for slot in self.made..self.made.saturating_add(SLOTS_PER_GROWTH) {
                tree.insert(key(slot), &[])?;
                self.found(slot, true);
            }
        }
        Ok(self.free.drain(..usize::from(count)).collect())
    }

    /// Writes a slot empty and gives it free.
    pub(super) fn clear(&mut self, tree: &sled::Tree, slot: u32) -> Result<(), DatabaseError> {
        tree.insert(key(slot), &[])?;
        if is_used(slot) {
            self.free.push_back(slot);
        }
        Ok(())
    }
}

fn is_used(slot: u32) -> bool {
    slot % KEYS_PER_LEAF < USED_PER_LEAF
}

pub(super) fn key(slot: u32) -> [u8; 5] {
    let [a, b, c, d] = slot.to_be_bytes();
    [PREFIX, a, b, c, d]
}

/// The slot a key names; `None` for a key of something else.
pub(super) fn of_key(key: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(key);
    let ours = reader.byte()? == PREFIX;
    let slot = u32::from_be_bytes(reader.array()?);
    (ours && reader.is_empty()).then_some(slot)
}

/// Writes values into their slots.
pub(super) fn fill(
    tree: &sled::Tree,
    values: impl Iterator<Item = (u32, Vec<u8>)>,
) -> Result<(), DatabaseError> {
    for (slot, value) in values {
        let (key, bytes) = (key(slot), value.len());
        tree.insert(key, value)?;
        page_cache::record_accesses(tree, &key, bytes)?;
    }
    Ok(())
}

/// The values of slots; empty where there is none.
pub(super) fn read(
    tree: &sled::Tree,
    slots: &[u32],
) -> Result<Vec<(u32, sled::IVec)>, DatabaseError> {
    let value = |slot: &u32| Ok((*slot, tree.get(key(*slot))?.unwrap_or_default()));
    slots.iter().map(value).collect()
}
