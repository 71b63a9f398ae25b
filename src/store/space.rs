//! How many bytes of results the disk may hold.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Settings;
use super::database::Fault;

/// What an empty database takes.
const FLOOR: u64 = 5 << 19;
/// Bytes on disk for a byte of results, measured over fill and drain cycles, in tenths.
const AMPLIFICATION: u64 = 26;

/// Below this much the file system counts as out of room: sled grows by whole segments.
const MARGIN: u64 = 1 << 20;

/// The bytes of results that the database may hold after the next group.
///
/// `held` is what it holds, `free` what the file system has left. While the file system has room
/// the configured bound counts; where it runs low, newer results may only take the place of older
/// ones.
///
/// # Errors
/// [`Fault::Reserve`] where it runs low and there is little to replace.
pub(super) fn room(settings: &Settings, held: u64, group: u64, free: u64) -> Result<u64, Fault> {
    let growth = free.saturating_sub(settings.reserve_bytes);
    if growth < MARGIN.max(group.saturating_mul(2)) && held < MARGIN.max(group) {
        return Err(Fault::Reserve);
    }
    let growth = results_in(growth.saturating_sub(MARGIN));
    Ok(held.saturating_add(growth).min(results_in(settings.max_bytes.saturating_sub(FLOOR))))
}

/// Bytes of results that fit into so many bytes of the disk.
fn results_in(disk_bytes: u64) -> u64 {
    disk_bytes.saturating_mul(10) / AMPLIFICATION
}

/// Bytes of the file system that we may still take.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all zeros is a valid statvfs, and the call gets a valid path and a place to write.
    #[expect(unsafe_code, reason = "the standard library has no statvfs")]
    let (result, stat) = unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &raw mut stat), stat)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // Of 32 or 64 bits, by platform.
    let bytes = u128::from(stat.f_bavail) * u128::from(stat.f_frsize);
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}
