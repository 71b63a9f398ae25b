//! Keeps a second daemon from using the same `store.dir`.

use std::fs;
use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
use std::path::Path;

use super::error::RunError;
use crate::fs::FileLock;

const FILE_NAME: &str = "lock";

/// An exclusive lock on a state folder. The system releases it when the process ends.
#[derive(Debug)]
pub(crate) struct StateDirLock {
    _lock: Option<FileLock>,
}

impl StateDirLock {
    /// Locks the folder. A folder that cannot be written to is not locked: nothing is stored there.
    ///
    /// # Errors
    /// [`RunError::StateDirInUse`] if another process holds the lock.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, RunError> {
        let path = dir.join(FILE_NAME);
        match fs::create_dir_all(dir).and_then(|()| FileLock::try_acquire(&path)) {
            Ok(Some(lock)) => return Ok(Self { _lock: Some(lock) }),
            Ok(None) => return Err(RunError::StateDirInUse(dir.to_owned())),
            Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {
                log::debug!("no lock in {}: {error}", dir.display());
            }
            Err(error) => {
                log::warn!("cannot lock {} against a second daemon: {error}", dir.display());
            }
        }
        Ok(Self { _lock: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_daemon_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDirLock::acquire(dir.path()).unwrap();
        assert!(matches!(StateDirLock::acquire(dir.path()), Err(RunError::StateDirInUse(_))));
        drop(first);
        assert!(StateDirLock::acquire(dir.path()).is_ok());
    }
}
