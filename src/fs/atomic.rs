//! Atomic, durable writes of whole files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Replaces a file atomically: readers see the old bytes or the new ones. Durable on return.
///
/// The bytes are written to a temporary file beside it, `NAME.part`.
///
/// # Errors
/// The first operation that fails. The file is then unchanged, unless only the sync of its folder
/// failed.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic_through(&sibling(path, "part"), path, bytes)
}

/// Replaces a file like [`write_atomic`], by way of this temporary file in the same folder.
///
/// # Errors
/// The same as for [`write_atomic`].
pub(crate) fn write_atomic_through(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let renamed = write_synced(temporary, bytes).and_then(|()| fs::rename(temporary, path));
    if let Err(error) = renamed {
        // The first error is the one that counts.
        _ = fs::remove_file(temporary);
        return Err(error);
    }
    sync_parent(path)
}

/// Writes a file in place. Durable on return, with its name.
///
/// # Errors
/// The first operation that fails. The file may then be incomplete.
pub(crate) fn write_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_synced(path, bytes)?;
    sync_parent(path)
}

/// Writes a file and waits until it is on disk, so that a rename never leaves an empty one.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in a folder durable.
///
/// # Errors
/// A folder that cannot be opened or synced.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the name of a file durable.
///
/// # Errors
/// A folder that cannot be opened or synced.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    sync_folder(folder.unwrap_or(Path::new(".")))
}

/// Returns the path with an extension appended to the whole file name.
pub(crate) fn sibling(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.npz");
        for bytes in ["a longer text", "short"] {
            write_atomic(&path, bytes.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_removes_the_temporary_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"text").is_err());
        assert!(path.is_dir() && !sibling(&path, "part").exists());
    }
}
