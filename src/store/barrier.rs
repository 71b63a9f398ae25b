//! Real write barriers: replacements of two functions of the C library.
//!
//! sled's only barrier on Linux is `sync_file_range`, which neither flushes the disk's cache nor
//! commits the length of the file, and sled orders the reuse of its segments by it: of 300 power
//! cuts, 254 lost what a flush had acknowledged. And when it opens, sled renames a new snapshot into
//! place and then zeroes segments that only the old one needs, without a sync of the folder in
//! between: 5 of 1,200 cuts in a recovery left neither a snapshot nor what it was of.
//!
//! The linker takes these definitions for sled's calls, in every program that links the library.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fs::sync_parent;
use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// How often `sync_file_range` has been called in this process. A flush that wrote something and
/// did not count here did not go through this barrier: [`super::database`] checks that at every
/// open.
pub(super) fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Syncs all of the file, whatever the range.
///
/// Returns 0, or -1 with `errno` set as `fdatasync` does.
///
/// Never inlined, so that its name is found in a binary that was optimised as a whole, too.
#[expect(unsafe_code, reason = "the symbol must have its C name for the linker to take it")]
#[inline(never)]
#[unsafe(no_mangle)]
pub(super) extern "C" fn sync_file_range(
    fd: libc::c_int,
    _offset: libc::off64_t,
    _bytes: libc::off64_t,
    _flags: libc::c_uint,
) -> libc::c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: fdatasync takes any integer and returns EBADF for one that is no open file.
    unsafe { libc::fdatasync(fd) }
}

/// Renames, and syncs the folder where the new name is that of one of sled's snapshots.
///
/// Returns 0, or -1 with `errno` set as `renameat` does.
///
/// # Safety
/// As of the C library's function: both must be strings that end in NUL.
#[expect(unsafe_code, reason = "the symbol must have its C name for the linker to take it")]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn rename(
    from: *const libc::c_char,
    to: *const libc::c_char,
) -> libc::c_int {
    // SAFETY: the caller upholds the contract of both calls.
    let (result, to) =
        unsafe { (libc::renameat(libc::AT_FDCWD, from, libc::AT_FDCWD, to), CStr::from_ptr(to)) };
    let to = Path::new(OsStr::from_bytes(to.to_bytes()));
    let is_snapshot = to.file_name().is_some_and(|name| name.as_bytes().starts_with(b"snap."));
    if result == 0
        && is_snapshot
        && let Err(error) = sync_parent(to)
    {
        log::warn!(
            "{}: cannot sync the folder, the file may be lost in a power cut: {error}",
            to.display()
        );
    }
    result
}
