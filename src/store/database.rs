//! One sled database, opened so that what it acknowledges survives a power cut.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{barrier, timer_slack};
use crate::failpoints::point;
use crate::fs::sync_folder;

/// sled keeps this much of the database in memory; the default is a gigabyte.
const CACHE_BYTES: u64 = 1 << 20;
/// Smaller segments write a third more.
const SEGMENT_BYTES: usize = 512 * 1024;
/// sled frees segments only in the thread this sets off; without it the file grows without limit.
const COLLECT_EVERY_MS: u64 = 2_000;
/// How late the timers of sled's threads may be: its second becomes eight.
const THREAD_TIMER_SLACK: Duration = Duration::from_secs(7);
/// An in-process reopen may find the lock still held by the last threads of the old one.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Written at every open, so that the first flush has something to flush.
const OPENED_KEY: &[u8] = b"opened";

/// What went wrong with a database.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// The database is corrupt and cannot be opened.
    #[error("{0}")]
    Broken(String),
    /// The file system is full.
    #[error("no space left on the disk")]
    Full,
    /// A system call failed; the data may be intact.
    #[error("{0}")]
    System(String),
    /// The remaining space belongs to the reserve. The database is intact.
    #[error("the reserve of free space is reached")]
    Reserve,
    /// The value is too long. The database is intact.
    #[error("{0} bytes are too many to store under one name")]
    TooLong(usize),
}

impl DatabaseError {
    /// Whether the database is still usable.
    pub(super) fn is_harmless(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Full | Self::System(_) => false,
            Self::Reserve | Self::TooLong(_) => true,
        }
    }
}

impl From<sled::Error> for DatabaseError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => error.into(),
            sled::Error::Corruption { .. }
            | sled::Error::ReportableBug(_)
            | sled::Error::Unsupported(_)
            | sled::Error::CollectionNotFound(_) => Self::Broken(error.to_string()),
        }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            // sled rebuilds errors that stuck, and keeps of them no more than this.
            _ if error.to_string().contains("code: 28") => Self::Full,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                Self::Broken(error.to_string())
            }
            _ => Self::System(error.to_string()),
        }
    }
}

/// Runs what calls sled: it panics on some bytes that it does not expect.
pub(super) fn catch_panic<T>(
    act: impl FnOnce() -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(DatabaseError::Broken(format!("panicked: {}", text.unwrap_or("without a message"))))
    })
}

/// An open database in its folder.
#[derive(Debug)]
pub(super) struct Database {
    tree: Option<sled::Db>,
    dir: PathBuf,
}

impl Database {
    /// Opens or creates the database in `dir`, whose parent exists.
    pub(super) fn open(dir: &Path) -> Result<Self, DatabaseError> {
        // The first flush starts the last of sled's threads.
        timer_slack::with_timer_slack(THREAD_TIMER_SLACK, || Self::open_marked(dir))
    }

    fn open_marked(dir: &Path) -> Result<Self, DatabaseError> {
        fs::create_dir_all(dir)?;
        remove_torn_snapshots(dir)?;
        let tree = Some(catch_panic(|| open_when_unlocked(dir))?);
        let database = Self { tree, dir: dir.to_owned() };
        point("open");
        let before = barrier::calls();
        // sled writes nothing where the value is the one that is there, so this one is always new.
        let last = database.act(|tree| Ok(tree.get(OPENED_KEY)?))?;
        let last =
            last.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_le_bytes);
        let mark = last.wrapping_add(1).to_le_bytes();
        database.act(|tree| Ok(tree.insert(OPENED_KEY, &mark)?))?;
        database.flush()?;
        if barrier::calls() == before {
            let reason = "sled's write barrier is not inferd's: the program is linked wrongly";
            return Err(DatabaseError::System(reason.into()));
        }
        database.sync_names()?;
        point("opened");
        Ok(database)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `act` on the tree. After an error the database is to be dropped.
    pub(super) fn act<T>(
        &self,
        act: impl FnOnce(&sled::Tree) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let tree = self.tree.as_ref().ok_or_else(|| DatabaseError::System("closed".into()))?;
        catch_panic(|| act(tree))
    }

    /// What was written before is durable when this returns.
    pub(super) fn flush(&self) -> Result<(), DatabaseError> {
        self.act(|tree| Ok(tree.flush().map(|_bytes| ())?))
    }

    /// Bytes its files take on the disk.
    pub(super) fn disk_bytes(&self) -> io::Result<u64> {
        bytes_below(&self.dir)
    }

    /// Gives back the memory of the file's pages: an open has read all of it, and little of it will
    /// be read again soon.
    #[expect(unsafe_code, reason = "the standard library has no posix_fadvise")]
    pub(super) fn drop_cached_pages(&self) -> Result<(), DatabaseError> {
        let file = File::open(self.dir.join("db"))?;
        // SAFETY: the descriptor is open, and the call only advises.
        let error =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error).into()) }
    }

    /// Makes the names durable; sled syncs none of the folders.
    fn sync_names(&self) -> Result<(), DatabaseError> {
        for name in ["db", "conf"] {
            File::open(self.dir.join(name))?.sync_all()?;
        }
        sync_folder(&self.dir)?;
        let parents = self.dir.ancestors().skip(1).take(2);
        parents.filter(|parent| !parent.as_os_str().is_empty()).try_for_each(sync_folder)?;
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let tree = self.tree.take();
        let close = || {
            drop(tree);
            Ok(())
        };
        if let Err(fault) = catch_panic(close) {
            log::warn!("cannot close {}: {fault}", self.dir.display());
        }
    }
}

fn open_when_unlocked(dir: &Path) -> Result<sled::Db, DatabaseError> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(Some(COLLECT_EVERY_MS));
    let started = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) => {
                if started.elapsed() > LOCK_TIMEOUT {
                    let reason = "another process has it open, possibly a second inferd";
                    return Err(DatabaseError::System(reason.into()));
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
            result => return Ok(result?),
        }
    }
}

fn is_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// A kill while sled opens leaves a half-written snapshot, which no later open survives. The one
/// before it is still there: [`barrier`] sees to it that a new one has its name before that goes.
fn remove_torn_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            log::info!("removing the half-written snapshot {}", path.display());
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

pub(super) fn bytes_below(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A file may go while we look.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes +=
            if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// sled takes some megabytes for every database it opens, and more to read it, and the C library
/// keeps them for the next: without this a gateway would pay for each version it ever loaded.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the standard library has no malloc_trim")]
pub(super) fn release_memory() {
    // SAFETY: it takes no pointer and may be called at any time, from any thread.
    if unsafe { libc::malloc_trim(0) } == 0 {
        log::trace!("no memory to release");
    }
}

/// Other C libraries release memory on their own.
#[cfg(not(target_env = "gnu"))]
pub(super) fn release_memory() {}
