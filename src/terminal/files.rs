//! Files that commands read and write.

use std::path::Path;

use super::failure::{Exit, Failure};
use crate::fs;
use crate::npz::{self, Arrays};

/// The most that an `.npz` file may unpack to, in bytes: a bound on decompression bombs.
const MAX_ARRAY_BYTES: u64 = 4 << 30;

/// Reads the arrays of an `.npz` file.
pub(crate) fn read_arrays(path: &Path) -> Result<Arrays, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::io("read", path, &error))?;
    npz::read(&bytes, MAX_ARRAY_BYTES).map_err(|error| array_error(path, &error))
}

/// The failure for a file whose arrays were read but cannot be used.
pub(crate) fn array_error(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}

/// Replaces a file atomically; durable on return.
///
/// # Errors
/// [`Exit::Io`] with the path. The file is then unchanged.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write_atomic(path, bytes).map_err(|error| Failure::io("write", path, &error))
}
