//! The store as its thread sees it.

use super::ballast::Ballast;
use super::batch::{self, Packed};
use super::database::{Database, Fault, give_memory_back};
use super::generation::{self, OpenFault};
use super::ledger::{Bounds, Ledger};
use super::scan::Scan;
use super::{Found, Loaded, Settings, StoreError, Usage, barrier, boot, space};
use crate::ids::StreamName;
use crate::outbox::{Opened, Record, Seq};

/// An empty database larger than this is replaced by a fresh one: sled's files never shrink.
const RENEW_BYTES: u64 = 8 << 20;
/// After so many bytes appended the C library gives back what sled has freed.
const TRIM_BYTES: usize = 1 << 19;

/// The database. One at a time for a folder.
///
/// After any error of sled the handle is dropped, and the next call opens the database again: sled
/// goes on reporting an error that has passed.
#[derive(Debug)]
pub struct Store {
    settings: Settings,
    database: Option<Database>,
    ledger: Ledger,
    ballast: Ballast,
    /// Bytes appended since memory was given back.
    untrimmed: usize,
    failures: u64,
    quarantined: u64,
}

impl Store {
    /// Opens or creates the database in `settings.dir`; sets a broken one aside and starts afresh.
    ///
    /// # Errors
    /// A folder that cannot be used, or one written by a newer inferd.
    pub fn open(settings: &Settings) -> Result<(Self, Found), StoreError> {
        let boot = boot::next(&settings.dir);
        let mut store = Self {
            settings: settings.clone(),
            database: None,
            ledger: Ledger::default(),
            ballast: Ballast::find(&settings.dir),
            untrimmed: 0,
            failures: 0,
            quarantined: 0,
        };
        let quarantined = store.reopen()?;
        store.take_ballast();
        let opened =
            Opened { next: store.ledger.index().next(), records: store.ledger.index().records() };
        Ok((store, Found { opened, boot, quarantined }))
    }

    /// Writes a group. Durable when this returns; names what was evicted to make room.
    ///
    /// # Errors
    /// The disk is full or failed: nothing of the group counts.
    pub fn append(&mut self, group: &[Record]) -> Result<Vec<(StreamName, u64)>, StoreError> {
        let packed = batch::pack(group);
        let settings = self.settings.clone();
        let missing = self.ballast.missing();
        self.run(|database, ledger| {
            let bytes = packed.iter().map(Packed::bytes).sum();
            let free = space::spare_bytes(&settings)?.saturating_sub(missing);
            let room = space::room(&settings, database.disk_bytes()?, bytes, free)?;
            let state = ledger.states().bytes();
            let bounds =
                Bounds { bytes: room.saturating_sub(state), records: settings.max_records };
            ledger.append(database, group, &packed, bounds)
        })?;
        self.take_ballast();
        self.give_memory_back_after(group);
        Ok(self.ledger.take_evicted())
    }

    /// Removes results; those that are not there are none of its business.
    ///
    /// # Errors
    /// The disk failed. They are removed for this process all the same, and from the disk with the
    /// next removal.
    pub fn remove(&mut self, seqs: &[Seq]) -> Result<(), StoreError> {
        self.run(|database, ledger| ledger.remove(database, seqs))?;
        self.renew_when_empty()
    }

    /// Reads at least one group after `after`, and up to about `limit` results.
    ///
    /// # Errors
    /// The disk failed.
    pub fn load(&mut self, after: Option<Seq>, limit: usize) -> Result<Loaded, StoreError> {
        self.run(|database, ledger| ledger.load(database, after, limit))
    }

    /// Keeps `bytes` under `name`, in place of what was there. Durable when this returns.
    ///
    /// # Errors
    /// The disk is full or failed: what was there before is still there.
    pub fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.change(&[(name, bytes)], &[])
    }

    /// Keeps several values and removes those named in `gone`, in this order. Durable when this
    /// returns; a cut leaves the first so many of them done.
    ///
    /// # Errors
    /// The disk is full or failed: any number of these steps may be done.
    pub fn change(&mut self, values: &[(&str, &[u8])], gone: &[String]) -> Result<(), StoreError> {
        self.run(|database, ledger| ledger.change(database, values, gone))
    }

    /// The names under which something is kept and that begin so, rising.
    ///
    /// # Errors
    /// The disk failed.
    pub fn names(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.run(|_, ledger| Ok(ledger.states().names(prefix).map(str::to_owned).collect()))
    }

    /// Whether something is kept under `name`.
    ///
    /// # Errors
    /// The disk failed.
    pub fn keeps(&mut self, name: &str) -> Result<bool, StoreError> {
        self.run(|_, ledger| Ok(ledger.states().batch(name).is_some()))
    }

    /// What was kept under `name`; `None` where nothing was, or where it does not read back whole.
    ///
    /// # Errors
    /// The disk failed.
    pub fn kept(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run(|database, ledger| ledger.kept(database, name))
    }

    /// The format that the database says it has.
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
            records: self.ledger.index().records(),
            bytes: self.ledger.index().bytes(),
            oldest: self.ledger.index().oldest_stored(),
            disk_bytes: disk_bytes.unwrap_or(0),
            evicted: self.ledger.evicted(),
            damaged: self.ledger.damaged(),
            syncs: barrier::calls(),
            quarantined: self.quarantined,
            failures: self.failures,
            free_bytes: space::free_bytes(&self.settings.dir).ok(),
        }
    }

    /// Does one thing with the open database.
    fn run<T>(
        &mut self,
        act: impl FnOnce(&Database, &mut Ledger) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let result = match &self.database {
            Some(database) => {
                let ledger = &mut self.ledger;
                ledger.remove_disowned(database).and_then(|()| act(database, ledger))
            }
            None => Err(Fault::System("closed".into())),
        };
        result.map_err(|fault| self.failed(fault))
    }

    fn failed(&mut self, fault: Fault) -> StoreError {
        self.failures += 1;
        if !fault.is_harmless() {
            self.database = None;
        }
        let dir = self.settings.dir.clone();
        match fault {
            Fault::Full | Fault::Reserve => {
                StoreError::Full { dir, reserve: self.settings.reserve_bytes }
            }
            other @ (Fault::Broken(_) | Fault::System(_) | Fault::TooLong(_)) => {
                StoreError::Failed { dir, reason: other.to_string() }
            }
        }
    }

    fn open_failed(&mut self, fault: OpenFault) -> StoreError {
        match fault {
            OpenFault::Format(found) => {
                let dir = self.settings.dir.clone();
                if found > generation::FORMAT {
                    StoreError::Newer { dir, found }
                } else {
                    StoreError::Older { dir, found }
                }
            }
            OpenFault::Fault(fault) => self.failed(fault),
        }
    }

    /// Opens what is on disk and counts it anew. Says why one was set aside, if it was.
    fn reopen(&mut self) -> Result<Option<String>, StoreError> {
        let dir = &self.settings.dir;
        let mut opened = generation::open(dir, Scan::of);
        if matches!(opened, Err(OpenFault::Fault(Fault::Full))) && self.ballast.release() {
            log::warn!("{}: the disk is full, opening with the room kept for that", dir.display());
            opened = generation::open(dir, Scan::of);
        }
        let current = opened.map_err(|fault| self.open_failed(fault))?;
        if let Some(reason) = &current.quarantined {
            self.quarantined += 1;
            log::error!(
                "{} was damaged, a fresh database starts: {reason}",
                self.settings.dir.display()
            );
        }
        self.ledger.recount(current.scanned);
        self.database = Some(current.database);
        give_memory_back();
        Ok(current.quarantined)
    }

    /// Results come and go on other threads than sled's pages: what both have freed lies between
    /// what is in use.
    fn give_memory_back_after(&mut self, group: &[Record]) {
        self.untrimmed += group.iter().map(|record| record.message.payload.len()).sum::<usize>();
        if self.untrimmed > TRIM_BYTES {
            self.untrimmed = 0;
            give_memory_back();
        }
    }

    fn take_ballast(&mut self) {
        if self.ballast.missing() > 0
            && let Ok(free) = space::spare_bytes(&self.settings)
        {
            self.ballast.take(free.saturating_sub(space::MARGIN));
        }
    }

    fn renew_when_empty(&mut self) -> Result<(), StoreError> {
        // What is copied must not make the next one large again.
        let large = RENEW_BYTES + 4 * self.ledger.states().bytes();
        let is_large = |database: &Database| database.disk_bytes().is_ok_and(|b| b > large);
        if !self.ledger.index().is_empty() || !self.database.as_ref().is_some_and(is_large) {
            return Ok(());
        }
        let Some(old) = self.database.take() else { return Ok(()) };
        let ledger = &self.ledger;
        let renewed = generation::renew(old, |old, new| ledger.copy_states(old, new));
        drop(renewed.map_err(|fault| self.open_failed(fault))?);
        self.reopen().map(|_| ())
    }
}
