//! Saved windows of a stream: a base under the stream's name, and journal entries, each under a name
//! of its own.
//!
//! An entry is written only if all entries before it are on disk. After a failure, further entries
//! are rejected until a new base has been written.

use super::{Store, StoreError};
use crate::pipeline::JournalEntry;

/// Windows to save: a base, journal entries, or a base followed by entries.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Windows {
    pub base: Option<Base>,
    pub entries: Vec<JournalEntry>,
}

/// All windows. Replaces everything saved before.
#[derive(Debug, PartialEq, Eq)]
pub struct Base {
    /// The number by which entries refer to this base.
    pub number: u64,
    pub bytes: Vec<u8>,
}

impl Windows {
    #[must_use]
    pub fn base(number: u64, bytes: Vec<u8>) -> Self {
        Self { base: Some(Base { number, bytes }), entries: Vec::new() }
    }

    /// Appends newer windows; a newer base replaces all.
    pub fn append(&mut self, newer: Self) {
        if newer.base.is_some() {
            *self = newer;
        } else {
            self.entries.extend(newer.entries);
        }
    }
}

/// Saved windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWindows {
    pub base: Vec<u8>,
    /// The journal entries, in order.
    pub entries: Vec<Vec<u8>>,
}

/// Why windows were not saved.
#[derive(Debug, thiserror::Error)]
pub enum PutWindowsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the preceding journal entries are not on disk; all windows will be saved again")]
    OutOfSequence,
}

/// How much of one stream's windows this process has written to disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnDisk {
    /// `None` if there is no base that an entry may follow.
    base: Option<u64>,
    upto: u64,
    entries: usize,
}

impl Store {
    /// Saves windows under `name`. Durable when this returns; after a power cut, the previous state or
    /// a prefix of the entries is on disk.
    ///
    /// # Errors
    /// The disk is full or failed, or the entries before the new ones are missing. Then no entry is
    /// accepted until the next base.
    pub fn put_windows(
        &mut self,
        name: &str,
        windows: &Windows,
        on_disk: &mut OnDisk,
    ) -> Result<(), PutWindowsError> {
        let mut now = std::mem::take(on_disk);
        let there = self.names(&entry_prefix(name))?;
        if let Some(base) = &windows.base {
            now = OnDisk { base: Some(base.number), ..OnDisk::default() };
        } else if there.len() != now.entries || !self.contains(name)? {
            // The database was quarantined or repaired in the meantime.
            return Err(PutWindowsError::OutOfSequence);
        }
        let mut names = Vec::new();
        for JournalEntry { base, from, upto, .. } in &windows.entries {
            if now.base != Some(*base) || now.upto != *from {
                return Err(PutWindowsError::OutOfSequence);
            }
            (now.upto, now.entries) = (*upto, now.entries + 1);
            names.push(format!("{}{from:016x}", entry_prefix_of(name, *base)));
        }
        let base = windows.base.iter().map(|base| (name, &base.bytes[..]));
        let entries = windows.entries.iter().zip(&names);
        let entries = entries.map(|(entry, name)| (name.as_str(), &entry.bytes[..]));
        let values: Vec<(&str, &[u8])> = base.chain(entries).collect();
        let deleted = if windows.base.is_some() { there } else { Vec::new() };
        self.write_batch(&values, &deleted)?;
        *on_disk = now;
        Ok(())
    }

    /// The windows saved under `name`: the base, and its entries in order. `number` extracts the number
    /// of a base.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get_windows(
        &mut self,
        name: &str,
        number: impl FnOnce(&[u8]) -> Option<u64>,
    ) -> Result<Option<StoredWindows>, StoreError> {
        let Some(base) = self.get(name)?.filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        let names =
            number(&base).map(|base| self.names(&entry_prefix_of(name, base))).transpose()?;
        let mut entries = Vec::new();
        for name in names.unwrap_or_default() {
            entries.extend(self.get(&name)?);
        }
        Ok(Some(StoredWindows { base, entries }))
    }

    /// Removes the windows saved under `name`.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub fn clear_windows(&mut self, name: &str) -> Result<(), StoreError> {
        let deleted = self.names(&entry_prefix(name))?;
        self.write_batch(&[(name, &[])], &deleted)
    }
}

/// Stream names never contain a plus sign.
fn entry_prefix(name: &str) -> String {
    format!("{name}+")
}

fn entry_prefix_of(name: &str, base: u64) -> String {
    format!("{}{base:016x}/", entry_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Settings;

    const KEY: &str = "windows/motion";

    fn open(dir: &std::path::Path) -> Store {
        let dir = dir.to_owned();
        let settings = Settings { dir, max_bytes: 64 << 20, max_records: 1000, reserve_bytes: 0 };
        Store::open(&settings).unwrap().0
    }

    fn base(number: u64) -> Windows {
        let bytes = [b"INFB", &number.to_le_bytes()[..], b"a snapshot"].concat();
        Windows::base(number, bytes)
    }

    fn entry(base: u64, from: u64) -> Windows {
        let bytes = vec![u8::try_from(from).unwrap(); 5000];
        Windows { base: None, entries: vec![JournalEntry { base, from, upto: from + 2, bytes }] }
    }

    fn number(base: &[u8]) -> Option<u64> {
        base.get(4..12).map(|number| u64::from_le_bytes(number.try_into().unwrap()))
    }

    /// The number of the base, and where each addition begins.
    fn found(store: &mut Store) -> (u8, Vec<u8>) {
        let get = store.get_windows(KEY, number).unwrap().unwrap();
        (get.base[4], get.entries.iter().map(|bytes| bytes[0]).collect())
    }

    #[test]
    fn additions_follow_their_base_and_a_new_base_takes_the_place_of_all() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut on_disk) = (open(dir.path()), OnDisk::default());
        let mut first = base(7);
        first.append(entry(7, 0));
        store.put_windows(KEY, &first, &mut on_disk).unwrap();
        let mut other = OnDisk::default();
        store.put_windows("windows/motion2", &base(7), &mut other).unwrap();
        store.put_windows("windows/motion2", &entry(7, 0), &mut other).unwrap();
        store.put_windows(KEY, &entry(7, 2), &mut on_disk).unwrap();
        assert_eq!(found(&mut store), (7, vec![0, 2]));
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(found(&mut store), (7, vec![0, 2]));
        store.put_windows(KEY, &base(8), &mut on_disk).unwrap();
        assert_eq!(found(&mut store), (8, vec![]));
        assert_eq!(store.names("").unwrap().len(), 3);
        store.clear_windows(KEY).unwrap();
        assert_eq!(store.get_windows(KEY, number).unwrap(), None);
    }

    #[test]
    fn after_a_failure_nothing_follows_before_the_next_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut on_disk) = (open(dir.path()), OnDisk::default());
        let refused = |store: &mut Store, windows: &Windows, on_disk: &mut OnDisk| {
            let refused = store.put_windows(KEY, windows, on_disk);
            assert!(matches!(refused, Err(PutWindowsError::OutOfSequence)));
        };
        refused(&mut store, &entry(7, 0), &mut on_disk);
        store.put_windows(KEY, &base(7), &mut on_disk).unwrap();
        refused(&mut store, &entry(7, 2), &mut on_disk);
        refused(&mut store, &entry(7, 0), &mut on_disk);
        store.put_windows(KEY, &base(8), &mut on_disk).unwrap();
        refused(&mut store, &entry(7, 0), &mut on_disk);
        store.put_windows(KEY, &base(9), &mut on_disk).unwrap();
        store.put_windows(KEY, &entry(9, 0), &mut on_disk).unwrap();
        // Another database in the place of the one that was damaged.
        let elsewhere = tempfile::tempdir().unwrap();
        let mut fresh = open(elsewhere.path());
        refused(&mut fresh, &entry(9, 2), &mut on_disk);
        assert_eq!(fresh.names("").unwrap(), Vec::<String>::new());
        assert_eq!(found(&mut store), (9, vec![0]));
    }

    #[test]
    fn additions_to_another_base_are_left_over_and_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut on_disk) = (open(dir.path()), OnDisk::default());
        // As a cut leaves it between a new base and the removal of what the old one had.
        for number in [7, 8] {
            store.put_windows(KEY, &base(number), &mut on_disk).unwrap();
            store.put_windows(KEY, &entry(number, 0), &mut on_disk).unwrap();
            let stale = entry_prefix_of(KEY, 3) + "0000000000000000";
            store.put(&stale, b"stale").unwrap();
            assert_eq!(found(&mut store), (u8::try_from(number).unwrap(), vec![0]));
        }
    }
}
