//! Reading the operator's files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::terminal::{Exit, Failure};

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::io("read", path, &error))
}

/// Refuses a file with a secret that other users may read.
pub(super) fn ensure_private(path: &Path) -> Result<(), Failure> {
    let found = fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?;
    if found.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::new(Exit::Failed, format!("{path} is readable by other users: chmod 600 {path}")))
}
