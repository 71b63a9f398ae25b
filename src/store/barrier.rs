//! A write barrier that is one.
//!
//! sled's only barrier on Linux is `sync_file_range`, which neither flushes the disk's cache nor
//! commits the length of the file, and sled orders the reuse of its segments by it: of 300 power
//! cuts, 254 lost what a flush had acknowledged. So the symbol is ours: the linker takes this
//! definition for sled's call, in every program that links the library.

use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// How often the barrier has been called in this process. A flush that wrote something and did not
/// count here did not go through this barrier: [`super::database`] checks that at every open.
pub(super) fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Takes the place of the C library's function: syncs all of the file, whatever the range.
///
/// Returns 0, or -1 with `errno` set as `fdatasync` does.
#[expect(unsafe_code, reason = "the symbol must have its C name for the linker to take it")]
#[unsafe(no_mangle)]
pub(super) extern "C" fn sync_file_range(
    fd: libc::c_int,
    _offset: libc::off64_t,
    _bytes: libc::off64_t,
    _flags: libc::c_uint,
) -> libc::c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: fdatasync takes any integer and says EBADF to one that is no open file.
    unsafe { libc::fdatasync(fd) }
}
