//! Which folder holds the database: the newest whole one of `results-1`, `results-2`, …
//!
//! A database never shrinks, so an empty one that has grown is replaced by a fresh one of the next
//! number; a corrupt one is quarantined. A generation counts when it has its format key, which is
//! written last; until then the one before it stays. Then its folder gets the file `whole`: from
//! foreign or zeroed bytes sled makes an empty database without an error, and this file
//! distinguishes that from a generation that was never finished.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::database::{Database, DatabaseError};
use super::disk_space;
use crate::failpoints::point;
use crate::fs::{sync_folder, write_durable};

const PREFIX: &str = "results-";
/// The one broken database that is kept.
const QUARANTINE: &str = "quarantine";
const COMPLETE_MARKER: &str = "whole";
const FORMAT_KEY: &[u8] = b"format";
/// What this program writes and reads. Raise it when older programs must not read the result, and
/// migrate what they wrote.
pub(super) const FORMAT: u32 = 3;
/// The same without additions to windows: all of it is read, and an older program must not read
/// what is written from now on.
const FORMAT_WITHOUT_JOURNAL: u32 = 2;

/// Why no generation could be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Whole, and not of this program's format.
    #[error("format {0}")]
    Format(u32),
    #[error(transparent)]
    DatabaseError(#[from] DatabaseError),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::DatabaseError(error.into())
    }
}

/// An open generation.
#[derive(Debug)]
pub(super) struct Current<T> {
    pub(super) database: Database,
    /// What the scan made of it.
    pub(super) scanned: T,
    /// Why the existing one was quarantined, if it was.
    pub(super) quarantined: Option<String>,
}

/// Opens the newest whole generation below `root`, or begins one. `scan` reads all of it: a
/// database that cannot be read completely is quarantined.
pub(super) fn open<T>(
    root: &Path,
    scan: impl Fn(&sled::Tree) -> Result<T, DatabaseError>,
) -> Result<Current<T>, OpenError> {
    fs::create_dir_all(root)?;
    let mut numbers = generations(root)?;
    let mut quarantined = None;
    let mut highest = 0;
    while let Some(number) = numbers.pop() {
        highest = highest.max(number);
        match open_complete(&folder(root, number), &scan) {
            Ok(Some((database, scanned))) => {
                numbers.iter().try_for_each(|old| remove(&folder(root, *old)))?;
                return Ok(Current { database, scanned, quarantined });
            }
            Ok(None) => remove(&folder(root, number))?,
            // sled panics, and says that bytes are wrong, where it cannot write: no verdict counts
            // that it gives on a full disk.
            Err(OpenError::DatabaseError(DatabaseError::Broken(_)))
                if disk_space::is_full(root)? =>
            {
                return Err(DatabaseError::Full.into());
            }
            Err(OpenError::DatabaseError(DatabaseError::Broken(reason))) => {
                quarantine(root, number)?;
                quarantined = Some(reason);
            }
            Err(other) => return Err(other),
        }
    }
    let database = begin(root, highest + 1, |_| Ok(()))?;
    let scanned = database.act(scan)?;
    Ok(Current { database, scanned, quarantined })
}

/// Begins the generation after `old` with what `fill` takes over from it, and removes `old`.
pub(super) fn renew(
    old: Database,
    fill: impl FnOnce(&Database, &sled::Tree) -> Result<(), DatabaseError>,
) -> Result<Database, OpenError> {
    let dir = old.dir().to_owned();
    let root = dir.parent().unwrap_or(Path::new("."));
    let number = number_of(&dir).unwrap_or(0) + 1;
    let database = begin(root, number, |to| fill(&old, to))?;
    drop(old);
    point("renew");
    remove(&dir)?;
    point("renewed");
    Ok(database)
}

fn begin(
    root: &Path,
    number: u64,
    fill: impl FnOnce(&sled::Tree) -> Result<(), DatabaseError>,
) -> Result<Database, OpenError> {
    let dir = folder(root, number);
    remove(&dir)?;
    let database = Database::open(&dir)?;
    database.act(fill)?;
    database.flush()?;
    write_format(&database)?;
    mark_complete(&dir)?;
    Ok(database)
}

pub(super) fn format(database: &Database) -> Result<u32, DatabaseError> {
    let format = database.act(|tree| Ok(tree.get(FORMAT_KEY)?))?.unwrap_or_default();
    let format = <[u8; 4]>::try_from(&*format).map(u32::from_le_bytes);
    format.map_err(|_| DatabaseError::Broken("its format key is wrong".into()))
}

fn write_format(database: &Database) -> Result<(), DatabaseError> {
    database.act(|tree| Ok(tree.insert(FORMAT_KEY, &FORMAT.to_le_bytes()).map(|_| ())?))?;
    database.flush()
}

/// `None` for a generation that was never finished.
fn open_complete<T>(
    dir: &Path,
    scan: impl Fn(&sled::Tree) -> Result<T, DatabaseError>,
) -> Result<Option<(Database, T)>, OpenError> {
    if !dir.is_dir() {
        return Err(DatabaseError::Broken(format!("{} is not a folder", dir.display())).into());
    }
    let database = Database::open(dir)?;
    if database.act(|tree| Ok(tree.get(FORMAT_KEY)?))?.is_none() {
        let was_whole = dir.join(COMPLETE_MARKER).exists();
        let reason = "what it held cannot be read any more";
        return if was_whole { Err(DatabaseError::Broken(reason.into()).into()) } else { Ok(None) };
    }
    let format = format(&database)?;
    if !matches!(format, FORMAT | FORMAT_WITHOUT_JOURNAL) {
        return Err(OpenError::Format(format));
    }
    let scanned = database.act(scan)?;
    if format == FORMAT_WITHOUT_JOURNAL {
        write_format(&database)?;
    }
    database.drop_cached_pages()?;
    mark_complete(dir)?;
    Ok(Some((database, scanned)))
}

fn mark_complete(dir: &Path) -> io::Result<()> {
    let path = dir.join(COMPLETE_MARKER);
    if !path.exists() {
        write_durable(&path, b"")?;
    }
    Ok(())
}

fn quarantine(root: &Path, number: u64) -> io::Result<()> {
    let quarantine = root.join(QUARANTINE);
    remove(&quarantine)?;
    fs::rename(folder(root, number), &quarantine)?;
    sync_folder(root)
}

/// The numbers of the generations in `root`, rising.
fn generations(root: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root)? {
        numbers.extend(number_of(&entry?.path()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn number_of(dir: &Path) -> Option<u64> {
    dir.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

fn folder(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{PREFIX}{number}"))
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
