//! Saved windows of a stream: a base under its name, and additions behind it, each under a name of
//! its own.
//!
//! An addition is written only where everything before it is: after anything that failed, what
//! follows is refused until there is a base again.

use super::{Store, StoreError};
use crate::pipeline::Addition;

/// Windows to be kept: all of them, what came into them, or the one and then the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Windows {
    pub whole: Option<Whole>,
    pub additions: Vec<Addition>,
}

/// All windows, in the place of everything kept before.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    /// What additions call it by.
    pub number: u64,
    pub bytes: Vec<u8>,
}

impl Windows {
    #[must_use]
    pub fn whole(number: u64, bytes: Vec<u8>) -> Self {
        Self { whole: Some(Whole { number, bytes }), additions: Vec::new() }
    }

    /// Goes on with what came after these.
    pub fn then(&mut self, newer: Self) {
        if newer.whole.is_some() {
            *self = newer;
        } else {
            self.additions.extend(newer.additions);
        }
    }
}

/// Windows as they were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub whole: Vec<u8>,
    /// What came after that, in order.
    pub additions: Vec<Vec<u8>>,
}

/// Why windows were not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("what was to go before them is not on the disk; all windows will be saved anew")]
    OutOfTurn,
}

/// What this process has brought to the disk of one stream's windows.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnDisk {
    /// `None`: nothing that an addition may follow.
    base: Option<u64>,
    upto: u64,
    additions: usize,
}

impl Store {
    /// Keeps windows under `name`: durable when this returns, and a cut before leaves what was
    /// there or a part of the additions, in order.
    ///
    /// # Errors
    /// The disk is full or failed, or what is to go before an addition is not there. Then nothing
    /// follows before the next whole.
    pub fn keep_windows(
        &mut self,
        name: &str,
        windows: &Windows,
        on_disk: &mut OnDisk,
    ) -> Result<(), KeepError> {
        let mut now = std::mem::take(on_disk);
        let there = self.names(&additions(name))?;
        if let Some(whole) = &windows.whole {
            now = OnDisk { base: Some(whole.number), ..OnDisk::default() };
        } else if there.len() != now.additions || !self.keeps(name)? {
            // The database was set aside or repaired in the meantime.
            return Err(KeepError::OutOfTurn);
        }
        let mut names = Vec::new();
        for Addition { base, from, upto, .. } in &windows.additions {
            if now.base != Some(*base) || now.upto != *from {
                return Err(KeepError::OutOfTurn);
            }
            (now.upto, now.additions) = (*upto, now.additions + 1);
            names.push(format!("{}{from:016x}", additions_to(name, *base)));
        }
        let whole = windows.whole.iter().map(|whole| (name, &whole.bytes[..]));
        let additions = windows.additions.iter().zip(&names);
        let additions = additions.map(|(addition, name)| (name.as_str(), &addition.bytes[..]));
        let values: Vec<(&str, &[u8])> = whole.chain(additions).collect();
        let gone = if windows.whole.is_some() { there } else { Vec::new() };
        self.change(&values, &gone)?;
        *on_disk = now;
        Ok(())
    }

    /// What was kept under `name`: the base, and the additions to it in order. `number` reads off a
    /// base what additions call it by.
    ///
    /// # Errors
    /// The disk failed.
    pub fn kept_windows(
        &mut self,
        name: &str,
        number: impl FnOnce(&[u8]) -> Option<u64>,
    ) -> Result<Option<Kept>, StoreError> {
        let Some(whole) = self.kept(name)?.filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        let names = number(&whole).map(|base| self.names(&additions_to(name, base))).transpose()?;
        let mut additions = Vec::new();
        for name in names.unwrap_or_default() {
            additions.extend(self.kept(&name)?);
        }
        Ok(Some(Kept { whole, additions }))
    }

    /// Clears what was kept under `name`.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub fn clear_windows(&mut self, name: &str) -> Result<(), StoreError> {
        let gone = self.names(&additions(name))?;
        self.change(&[(name, &[])], &gone)
    }
}

/// No name of a stream has this sign in it.
fn additions(name: &str) -> String {
    format!("{name}+")
}

fn additions_to(name: &str, base: u64) -> String {
    format!("{}{base:016x}/", additions(name))
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
        Windows::whole(number, bytes)
    }

    fn addition(base: u64, from: u64) -> Windows {
        let bytes = vec![u8::try_from(from).unwrap(); 5000];
        Windows { whole: None, additions: vec![Addition { base, from, upto: from + 2, bytes }] }
    }

    fn number(base: &[u8]) -> Option<u64> {
        base.get(4..12).map(|number| u64::from_le_bytes(number.try_into().unwrap()))
    }

    /// The number of the base, and where each addition begins.
    fn found(store: &mut Store) -> (u8, Vec<u8>) {
        let kept = store.kept_windows(KEY, number).unwrap().unwrap();
        (kept.whole[4], kept.additions.iter().map(|bytes| bytes[0]).collect())
    }

    #[test]
    fn additions_follow_their_base_and_a_new_base_takes_the_place_of_all() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut on_disk) = (open(dir.path()), OnDisk::default());
        let mut first = base(7);
        first.then(addition(7, 0));
        store.keep_windows(KEY, &first, &mut on_disk).unwrap();
        let mut other = OnDisk::default();
        store.keep_windows("windows/motion2", &base(7), &mut other).unwrap();
        store.keep_windows("windows/motion2", &addition(7, 0), &mut other).unwrap();
        store.keep_windows(KEY, &addition(7, 2), &mut on_disk).unwrap();
        assert_eq!(found(&mut store), (7, vec![0, 2]));
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(found(&mut store), (7, vec![0, 2]));
        store.keep_windows(KEY, &base(8), &mut on_disk).unwrap();
        assert_eq!(found(&mut store), (8, vec![]));
        assert_eq!(store.names("").unwrap().len(), 3);
        store.clear_windows(KEY).unwrap();
        assert_eq!(store.kept_windows(KEY, number).unwrap(), None);
    }

    #[test]
    fn after_a_failure_nothing_follows_before_the_next_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut on_disk) = (open(dir.path()), OnDisk::default());
        let refused = |store: &mut Store, windows: &Windows, on_disk: &mut OnDisk| {
            let refused = store.keep_windows(KEY, windows, on_disk);
            assert!(matches!(refused, Err(KeepError::OutOfTurn)));
        };
        refused(&mut store, &addition(7, 0), &mut on_disk);
        store.keep_windows(KEY, &base(7), &mut on_disk).unwrap();
        refused(&mut store, &addition(7, 2), &mut on_disk);
        refused(&mut store, &addition(7, 0), &mut on_disk);
        store.keep_windows(KEY, &base(8), &mut on_disk).unwrap();
        refused(&mut store, &addition(7, 0), &mut on_disk);
        store.keep_windows(KEY, &base(9), &mut on_disk).unwrap();
        store.keep_windows(KEY, &addition(9, 0), &mut on_disk).unwrap();
        // Another database in the place of the one that was damaged.
        let elsewhere = tempfile::tempdir().unwrap();
        let mut fresh = open(elsewhere.path());
        refused(&mut fresh, &addition(9, 2), &mut on_disk);
        assert_eq!(fresh.names("").unwrap(), Vec::<String>::new());
        assert_eq!(found(&mut store), (9, vec![0]));
    }

    #[test]
    fn additions_to_another_base_are_left_over_and_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut on_disk) = (open(dir.path()), OnDisk::default());
        // As a cut leaves it between a new base and the removal of what the old one had.
        for number in [7, 8] {
            store.keep_windows(KEY, &base(number), &mut on_disk).unwrap();
            store.keep_windows(KEY, &addition(number, 0), &mut on_disk).unwrap();
            let stale = additions_to(KEY, 3) + "0000000000000000";
            store.keep(&stale, b"stale").unwrap();
            assert_eq!(found(&mut store), (u8::try_from(number).unwrap(), vec![0]));
        }
    }
}
