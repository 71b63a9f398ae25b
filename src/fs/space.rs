//! Free space of file systems.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Returns how many bytes the file system of this path has left for this process.
///
/// # Errors
/// A path that does not exist, or a file system that does not report its size.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
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
    // Both are of 32 or 64 bits, by platform.
    let bytes = u128::from(stat.f_bavail) * u128::from(stat.f_frsize);
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
}
