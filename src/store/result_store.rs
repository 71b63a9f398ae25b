//! The database of queued results and small state.

use super::batch::{self, PackedBatch};
use super::batches::{Batches, StoreLimits};
use super::database::{Database, DatabaseError, release_memory};
use super::generation::{self, OpenError};
use super::recovery_scan::RecoveryScan;
use super::reserve_file::ReserveFile;
use super::{Loaded, OpenReport, Settings, StoreError, Usage, barrier, boot_id, disk_space};
use crate::ids::StreamName;
use crate::outbox::{Opened, Record, Seq};

/// An empty database larger than this is replaced by a fresh one: sled's files never shrink.
const RENEW_BYTES: u64 = 8 << 20;
/// Number of appended bytes after which memory freed by sled is returned to the system.
const TRIM_BYTES: usize = 1 << 19;

/// The database. One at a time for a folder.
///
/// After any error of sled the handle is dropped, and the next call opens the database again: sled
/// keeps reporting an error after its cause has passed.
#[derive(Debug)]
pub struct Store {
    settings: Settings,
    database: Option<Database>,
    batches: Batches,
    ballast: ReserveFile,
    /// Bytes appended since memory was given back.
    untrimmed: usize,
    failures: u64,
    quarantined: u64,
}

impl Store {
    /// Opens or creates the database in `settings.dir`. A corrupt one is quarantined and replaced.
    ///
    /// # Errors
    /// A folder that cannot be used, or one written by a newer inferd.
    pub fn open(settings: &Settings) -> Result<(Self, OpenReport), StoreError> {
        let boot = boot_id::next(&settings.dir);
        let mut store = Self {
            settings: settings.clone(),
            database: None,
            batches: Batches::default(),
            ballast: ReserveFile::find(&settings.dir),
            untrimmed: 0,
            failures: 0,
            quarantined: 0,
        };
        let quarantined = store.reopen()?;
        store.allocate_reserve_file();
        let opened =
            Opened { next: store.batches.index().next(), records: store.batches.index().records() };
        Ok((store, OpenReport { opened, boot, quarantined }))
    }

    /// Writes a group. Durable when this returns; names what was evicted to make room.
    ///
    /// # Errors
    /// The disk is full or failed: nothing of the group counts.
    pub fn append(&mut self, group: &[Record]) -> Result<Vec<(StreamName, u64)>, StoreError> {
        let packed = batch::pack(group);
        let settings = self.settings.clone();
        let missing = self.ballast.missing();
        self.run(|database, batches| {
            let bytes = packed.iter().map(PackedBatch::bytes).sum();
            let free = disk_space::spare_bytes(&settings)?.saturating_sub(missing);
            let room = disk_space::room(&settings, database.disk_bytes()?, bytes, free)?;
            let state = batches.states().bytes();
            let limits =
                StoreLimits { bytes: room.saturating_sub(state), records: settings.max_records };
            batches.append(database, group, &packed, limits)
        })?;
        self.allocate_reserve_file();
        self.release_memory_after(group);
        Ok(self.batches.take_evicted())
    }

    /// Removes results. Those that are not in the store are ignored.
    ///
    /// # Errors
    /// The disk failed. They are removed for this process all the same, and from the disk with the
    /// next removal.
    pub fn remove(&mut self, seqs: &[Seq]) -> Result<(), StoreError> {
        self.run(|database, batches| batches.remove(database, seqs))?;
        self.renew_when_empty()
    }

    /// Reads at least one group after `after`, and up to about `limit` results.
    ///
    /// # Errors
    /// The disk failed.
    pub fn load(&mut self, after: Option<Seq>, limit: usize) -> Result<Loaded, StoreError> {
        self.run(|database, batches| batches.load(database, after, limit))
    }

    /// Stores `bytes` under `name`, replacing the previous value. Durable when this returns.
    ///
    /// # Errors
    /// The disk is full or failed: the previous value is unchanged.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write_batch(&[(name, bytes)], &[])
    }

    /// Stores several values, then removes those named in `deleted`. Durable when this
    /// returns; after a power cut a prefix of these steps is done.
    ///
    /// # Errors
    /// The disk is full or failed: a prefix of these steps may be done.
    pub fn write_batch(
        &mut self,
        values: &[(&str, &[u8])],
        deleted: &[String],
    ) -> Result<(), StoreError> {
        self.run(|database, batches| batches.write_batch(database, values, deleted))
    }

    /// All names that start with `prefix` and have a value, in ascending order.
    ///
    /// # Errors
    /// The disk failed.
    pub fn names(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.run(|_, batches| Ok(batches.states().names(prefix).map(str::to_owned).collect()))
    }

    /// Whether `name` has a value.
    ///
    /// # Errors
    /// The disk failed.
    pub fn contains(&mut self, name: &str) -> Result<bool, StoreError> {
        self.run(|_, batches| Ok(batches.states().batch(name).is_some()))
    }

    /// The value of `name`; `None` if it has none, or if the value is corrupt.
    ///
    /// # Errors
    /// The disk failed.
    pub fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(|database, batches| batches.get(database, name))
    }

    /// The format version of the database.
    ///
    /// # Errors
    /// The disk failed.
    pub fn format(&mut self) -> Result<u32, StoreError> {
        self.run(|database, _| generation::format(database))
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        let disk_bytes = self.database.as_ref().and_then(|database| database.disk_bytes().ok());
        Usage {
            records: self.batches.index().records(),
            bytes: self.batches.index().bytes(),
            oldest: self.batches.index().oldest_stored(),
            disk_bytes: disk_bytes.unwrap_or(0),
            evicted: self.batches.evicted(),
            damaged: self.batches.damaged(),
            syncs: barrier::calls(),
            quarantined: self.quarantined,
            failures: self.failures,
            free_bytes: crate::fs::free_bytes(&self.settings.dir).ok(),
        }
    }

    /// Does one thing with the open database.
    fn run<T>(
        &mut self,
        act: impl FnOnce(&Database, &mut Batches) -> Result<T, DatabaseError>,
    ) -> Result<T, StoreError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let result = match &self.database {
            Some(database) => {
                let batches = &mut self.batches;
                batches.remove_unconfirmed(database).and_then(|()| act(database, batches))
            }
            None => Err(DatabaseError::System("closed".into())),
        };
        result.map_err(|fault| self.failed(fault))
    }

    fn failed(&mut self, fault: DatabaseError) -> StoreError {
        self.failures += 1;
        if !fault.is_harmless() {
            self.database = None;
        }
        let dir = self.settings.dir.clone();
        match fault {
            DatabaseError::Full | DatabaseError::Reserve => {
                StoreError::Full { dir, reserve: self.settings.reserve_bytes }
            }
            other @ (DatabaseError::Broken(_)
            | DatabaseError::System(_)
            | DatabaseError::TooLong(_)) => StoreError::Failed { dir, reason: other.to_string() },
        }
    }

    fn open_failed(&mut self, fault: OpenError) -> StoreError {
        match fault {
            OpenError::Format(found) => {
                let dir = self.settings.dir.clone();
                if found > generation::FORMAT {
                    StoreError::Newer { dir, found }
                } else {
                    StoreError::Older { dir, found }
                }
            }
            OpenError::DatabaseError(fault) => self.failed(fault),
        }
    }

    /// Opens the database on disk and rebuilds the index. Returns why one was quarantined, if it was.
    fn reopen(&mut self) -> Result<Option<String>, StoreError> {
        let dir = &self.settings.dir;
        let mut opened = generation::open(dir, RecoveryScan::of);
        if matches!(opened, Err(OpenError::DatabaseError(DatabaseError::Full)))
            && self.ballast.release()
        {
            log::warn!(
                "{}: the disk is full, opening it with the space of the reserve file",
                dir.display()
            );
            opened = generation::open(dir, RecoveryScan::of);
        }
        let current = opened.map_err(|fault| self.open_failed(fault))?;
        if let Some(reason) = &current.quarantined {
            self.quarantined += 1;
            log::error!(
                "{} was damaged and has been quarantined, a new database was created: {reason}",
                self.settings.dir.display()
            );
        }
        self.batches.recount(current.scanned);
        self.database = Some(current.database);
        release_memory();
        Ok(current.quarantined)
    }

    /// Results come and go on other threads than sled's pages: what both have freed lies between
    /// what is in use.
    fn release_memory_after(&mut self, group: &[Record]) {
        self.untrimmed += group.iter().map(|record| record.message.payload.len()).sum::<usize>();
        if self.untrimmed > TRIM_BYTES {
            self.untrimmed = 0;
            release_memory();
        }
    }

    fn allocate_reserve_file(&mut self) {
        if self.ballast.missing() > 0
            && let Ok(free) = disk_space::spare_bytes(&self.settings)
        {
            self.ballast.take(free.saturating_sub(disk_space::MIN_FREE_BYTES));
        }
    }

    fn renew_when_empty(&mut self) -> Result<(), StoreError> {
        // What is copied must not make the next one large again.
        let large = RENEW_BYTES + 4 * self.batches.states().bytes();
        let is_large = |database: &Database| database.disk_bytes().is_ok_and(|b| b > large);
        if !self.batches.index().is_empty() || !self.database.as_ref().is_some_and(is_large) {
            return Ok(());
        }
        let Some(old) = self.database.take() else { return Ok(()) };
        let batches = &self.batches;
        let renewed = generation::renew(old, |old, new| batches.copy_states(old, new));
        drop(renewed.map_err(|fault| self.open_failed(fault))?);
        self.reopen().map(|_| ())
    }
}
