//! The number of bytes of results that the disk may hold.

use std::io;
use std::path::Path;

use super::Settings;
use super::database::DatabaseError;
use super::reserve_file;
use crate::fs::free_bytes;

/// What an empty database takes, 2.5 MB, and what sled writes before it has freed what that
/// replaces.
const EMPTY_DATABASE_BYTES: u64 = 4 << 20;
/// Bytes on disk for a byte of results, in tenths: above all that was seen over fill and drain
/// cycles. sled collects a segment when half of it is dead.
const AMPLIFICATION_TENTHS: u64 = 26;

/// With less free space than this the file system counts as full: sled grows by whole segments.
pub(super) const MIN_FREE_BYTES: u64 = 1 << 20;

/// Bytes beside the reserve without which an empty database takes no results.
pub const HEADROOM_BYTES: u64 = EMPTY_DATABASE_BYTES + MIN_FREE_BYTES;

/// The bytes of results that the database may hold after the next group.
///
/// `disk` is what the database takes, `free` what the file system has left for us. Results get
/// what both would hold together, up to the configured bound: where the file system runs low,
/// newer results take the place of older ones.
///
/// # Errors
/// [`DatabaseError::Reserve`] where the file system runs low and there is little to replace.
pub(super) fn room(
    settings: &Settings,
    disk: u64,
    group: u64,
    free: u64,
) -> Result<u64, DatabaseError> {
    let within_bound = settings.max_bytes.saturating_sub(reserve_file::BYTES);
    let within_disk = disk.saturating_add(free.saturating_sub(MIN_FREE_BYTES));
    if within_disk < within_bound && results_in(within_disk) < group {
        return Err(DatabaseError::Reserve);
    }
    Ok(results_in(within_bound.min(within_disk)))
}

/// Bytes of results that fit into `disk_bytes`.
fn results_in(disk_bytes: u64) -> u64 {
    disk_bytes.saturating_sub(EMPTY_DATABASE_BYTES).saturating_mul(10) / AMPLIFICATION_TENTHS
}

/// Bytes of the file system that we may still take: the reserve is not ours.
pub(super) fn spare_bytes(settings: &Settings) -> io::Result<u64> {
    Ok(free_bytes(&settings.dir)?.saturating_sub(settings.reserve_bytes))
}

/// A warning if the file system has less space left than the reserve; `None` if it has enough, or
/// if the space is unknown. The folder may not exist yet: it will be created on the same file system.
#[must_use]
pub fn shortage(settings: &Settings) -> Option<String> {
    let made = settings.dir.ancestors().find(|dir| dir.exists())?;
    let needed = settings.reserve_bytes.saturating_add(HEADROOM_BYTES);
    let free = free_bytes(made).ok().filter(|free| *free < needed)?;
    Some(format!(
        "the file system of {} has {} MB left, of which store.reserve_bytes reserves {} MB: queued \
         results will evict older ones or be lost; free some space, or lower store.reserve_bytes",
        settings.dir.display(),
        free / 1_000_000,
        settings.reserve_bytes / 1_000_000
    ))
}

/// Whether sled may have failed because the disk is full.
pub(super) fn is_full(path: &Path) -> io::Result<bool> {
    Ok(free_bytes(path)? < MIN_FREE_BYTES)
}
