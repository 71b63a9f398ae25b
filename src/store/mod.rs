//! Queued results and small state on disk. Both survive kills, power cuts and full disks.
//!
//! The only module that names sled. All calls block: the store runs on a thread of its own
//! ([`handle`]), and the daemon receives events. The format on disk is described in
//! `docs/storage-format.md`, decisions about sled are in `docs/decisions/`.

mod barrier;
mod batch;
mod batches;
mod boot_id;
pub mod chunks;
mod database;
mod delivery_progress;
mod disk_space;
mod generation;
pub mod handle;
mod index;
pub mod models;
mod page_cache;
mod record_codec;
mod recovery_scan;
mod reserve_file;
mod result_store;
mod state_index;
#[cfg(test)]
mod tests;
mod timer_slack;
mod value_slots;
pub mod windows;

use std::path::PathBuf;

use crate::outbox::{Opened, Record, Seq};

pub use disk_space::{HEADROOM_BYTES, shortage};
pub use result_store::Store;

/// Settings of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub dir: PathBuf,
    /// Bytes on disk, all of the database counted.
    pub max_bytes: u64,
    pub max_records: u64,
    /// Bytes of the file system that the store never uses.
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

/// Result of opening the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// For the outbox.
    pub opened: Opened,
    /// The boot id: never used before in this folder, which makes prediction ids unique.
    pub boot: u64,
    /// Why the existing database was quarantined, if it was.
    pub quarantined: Option<String>,
}

/// Result of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    pub records: Vec<Record>,
    /// Where the next read goes on.
    pub through: Option<Seq>,
    /// Nothing newer waits.
    pub end: bool,
}

/// Occupancy of the store, and counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Queued results.
    pub records: u64,
    /// Bytes of the same, as they were written.
    pub bytes: u64,
    /// Bytes the database takes on the disk.
    pub disk_bytes: u64,
    /// When the oldest of them was stored, in seconds since 1970.
    pub oldest: Option<u32>,
    /// Results evicted to make room for others.
    pub evicted: u64,
    /// Batches of results, and values of state, whose bytes were wrong when they were read.
    pub damaged: u64,
    /// Syncs of the database's file.
    pub syncs: u64,
    /// Databases quarantined.
    pub quarantined: u64,
    /// Operations that failed.
    pub failures: u64,
    /// Free bytes of the file system; `null` if unknown.
    pub free_bytes: Option<u64>,
}

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "{dir}: the disk is full, or down to the {reserve} bytes kept in reserve: free some space"
    )]
    Full { dir: PathBuf, reserve: u64 },
    #[error("{dir}: {reason}")]
    Failed { dir: PathBuf, reason: String },
    #[error(
        "{dir} was written by a newer inferd (format {found}): update inferd, or move the folder \
         away to start with an empty one"
    )]
    Newer { dir: PathBuf, found: u32 },
    #[error(
        "{dir} was written by an older inferd (format {found}) that this one does not read: let \
         the older one deliver the queued results, then move the folder away"
    )]
    Older { dir: PathBuf, found: u32 },
}
