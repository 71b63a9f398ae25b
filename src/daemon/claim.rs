//! One daemon on a folder of state: a second one would lose what the first holds.

use std::fs;
use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
use std::path::Path;

use super::RunError;
use crate::fs::FileLock;

const NAME: &str = "lock";

/// Held for as long as the daemon runs; the system releases it with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: Option<FileLock>,
}

impl Claim {
    /// # Errors
    /// [`RunError::Claimed`] where another process holds the folder. A folder that cannot be written
    /// to can be lost by nobody, and is no error here.
    pub(crate) fn of(dir: &Path) -> Result<Self, RunError> {
        let path = dir.join(NAME);
        match fs::create_dir_all(dir).and_then(|()| FileLock::try_acquire(&path)) {
            Ok(Some(lock)) => return Ok(Self { _lock: Some(lock) }),
            Ok(None) => return Err(RunError::Claimed(dir.to_owned())),
            Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {
                log::debug!("no lock in {}: {error}", dir.display());
            }
            Err(error) => {
                log::warn!("{} cannot be locked against a second daemon: {error}", dir.display());
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
        let first = Claim::of(dir.path()).unwrap();
        assert!(matches!(Claim::of(dir.path()), Err(RunError::Claimed(_))));
        drop(first);
        assert!(Claim::of(dir.path()).is_ok());
    }
}
