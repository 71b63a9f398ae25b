//! One daemon on a folder of state: a second one would lose what the first holds.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::RunError;

const NAME: &str = "lock";

/// Held for as long as the daemon runs; the system releases it with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Claim {
    _file: Option<File>,
}

impl Claim {
    /// # Errors
    /// [`RunError::Claimed`] where another process holds the folder. A folder that cannot be written
    /// to can be lost by nobody, and is no error here.
    pub(crate) fn of(dir: &Path) -> Result<Self, RunError> {
        let opened = fs::create_dir_all(dir).and_then(|()| File::create(dir.join(NAME)));
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                log::debug!("no lock in {}: {error}", dir.display());
                return Ok(Self { _file: None });
            }
        };
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Err(RunError::Claimed(dir.to_owned())),
            Err(TryLockError::Error(error)) => {
                log::warn!("{} cannot be locked against a second daemon: {error}", dir.display());
                Ok(Self { _file: Some(file) })
            }
        }
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
