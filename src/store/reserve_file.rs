//! Space allocated in advance: a file that is deleted when the disk is full.
//!
//! sled cannot open on a full disk, not even to delete data: its recovery writes. It then uses the
//! space of this file.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Four of sled's segments: a snapshot and what a recovery writes fit into half of it.
pub(super) const BYTES: u64 = 2 << 20;

#[derive(Debug)]
pub(super) struct ReserveFile {
    path: PathBuf,
    taken: bool,
}

impl ReserveFile {
    /// The one in `root`, as the last process left it.
    pub(super) fn find(root: &Path) -> Self {
        let path = root.join("ballast");
        let taken = fs::metadata(&path).is_ok_and(|found| found.blocks() * 512 >= BYTES);
        Self { path, taken }
    }

    /// Bytes it will take and does not have yet.
    pub(super) fn missing(&self) -> u64 {
        if self.taken { 0 } else { BYTES }
    }

    /// Allocates the file, if `spare` bytes are enough.
    pub(super) fn take(&mut self, spare: u64) {
        if self.taken || spare < BYTES {
            return;
        }
        match allocate(&self.path) {
            Ok(()) => self.taken = true,
            Err(error) => {
                log::debug!("{}: cannot allocate the reserve file: {error}", self.path.display());
                self.release();
            }
        }
    }

    /// Deletes the file. Returns whether there was one.
    pub(super) fn release(&mut self) -> bool {
        self.taken = false;
        fs::remove_file(&self.path).is_ok()
    }
}

#[expect(unsafe_code, reason = "the standard library has no posix_fallocate")]
fn allocate(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    let bytes = libc::off_t::try_from(BYTES).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for writing and is ours.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_real_room_when_there_is_enough_and_gives_it_back_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut ballast = ReserveFile::find(dir.path());
        ballast.take(BYTES - 1);
        assert_eq!(ballast.missing(), BYTES);
        assert!(!ballast.release(), "nothing was taken");
        ballast.take(BYTES);
        assert_eq!(ballast.missing(), 0);
        let mut again = ReserveFile::find(dir.path());
        assert_eq!(again.missing(), 0, "a later process finds it");
        assert!(again.release());
        assert!(!again.release());
        assert_eq!(ReserveFile::find(dir.path()).missing(), BYTES);
    }
}
