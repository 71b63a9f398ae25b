//! Model versions on disk: one database a version, named by the SHA-256 of its bytes.
//!
//! ```text
//! models/{sha256}/    sled: the bytes in values of 4 KiB under their place (u32, big-endian)
//! models/{sha256}/whole    the size in decimal; written when all of it read back right
//! ```
//! A version without the file `whole` is incomplete and is never loaded. Bytes leave this module
//! only after a full read with the right digest. A version is deleted by removing its folder: data
//! deleted inside a sled database would still occupy the disk.
//!
//! Which versions are in use is in [`crate::update::machine::Record`], small state beside the
//! results.

#[cfg(test)]
mod tests;
mod version_records;
mod writer;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

pub use writer::Writer;

use super::database::{Database, DatabaseError, bytes_below, release_memory};
use super::{Settings, disk_space};
use crate::fs::{sync_folder, write_durable};
use crate::ids::Digest;

const FOLDER: &str = "models";
const COMPLETE_MARKER: &str = "whole";
/// Bytes in a value: what shares a leaf with it is rewritten with it, and far longer values would
/// become files of their own, which sled never syncs and never removes.
const CHUNK_SIZE: usize = 4096;
/// What an empty database takes.
const EMPTY_DATABASE_BYTES: u64 = 5 << 19;

/// Why a version could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ModelStoreError {
    #[error("model version {0} is not installed")]
    NotHeld(Digest),
    #[error("model version {digest} is damaged and cannot be used: {reason}")]
    Damaged { digest: Digest, reason: String },
    #[error("model version {digest}: {reason}")]
    SizeMismatch { digest: Digest, reason: String },
    #[error(
        "{dir}: not enough free space for a model of {wanted} bytes besides the reserve; free some \
         space"
    )]
    Full { dir: PathBuf, wanted: u64 },
    #[error("{dir}: {reason}")]
    Failed { dir: PathBuf, reason: String },
}

/// A version's bytes after a full read that gave its digest. Nothing else makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBytes {
    digest: Digest,
    bytes: Vec<u8>,
}

impl VerifiedBytes {
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A version that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVersion {
    pub digest: Digest,
    /// Bytes of the version; `None` while it is not whole.
    pub size: Option<u64>,
    /// Bytes its database takes on the disk.
    pub disk_bytes: u64,
}

/// The folder of versions. Calls block on the disk; those that open the same version wait for each
/// other for a few seconds, then fail.
#[derive(Clone, Debug)]
pub struct ModelStore {
    settings: Settings,
    root: PathBuf,
}

impl ModelStore {
    /// Opens or creates the folder `models` in `settings.dir`. Nothing is removed before
    /// [`ModelStore::sweep`].
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn open(settings: &Settings) -> Result<Self, ModelStoreError> {
        let root = settings.dir.join(FOLDER);
        let store = Self { settings: settings.clone(), root };
        let made = fs::create_dir_all(&store.root).and_then(|()| sync_folder(&settings.dir));
        made.map_err(|error| store.failed(error.into(), 0))?;
        Ok(store)
    }

    /// Starts to write a version of `size` bytes, or resumes one that was interrupted. A complete
    /// version is replaced: it is only written again if it was damaged.
    ///
    /// # Errors
    /// Not enough space, or an I/O error.
    pub fn begin(&self, digest: Digest, size: u64) -> Result<Writer, ModelStoreError> {
        Writer::open(self.clone(), digest, size)
    }

    /// Reads a version, all of it, and verifies it.
    ///
    /// # Errors
    /// A version that is not here or not whole, or whose bytes are wrong: to be fetched again.
    pub fn read(&self, digest: Digest) -> Result<VerifiedBytes, ModelStoreError> {
        let Some(size) = complete_size(&self.folder(digest)) else {
            return Err(ModelStoreError::NotHeld(digest));
        };
        let read = Database::open(&self.folder(digest))
            .and_then(|database| verify(&database, digest, size));
        release_memory();
        read.map_err(|fault| match fault {
            // sled reports intact data as corrupt if the disk is too full to open it.
            DatabaseError::Broken(reason) if !disk_space::is_full(&self.root).unwrap_or(true) => {
                ModelStoreError::Damaged { digest, reason }
            }
            other => self.failed(other, size),
        })
    }

    /// Every version on disk, whole or not.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn held(&self) -> Result<Vec<StoredVersion>, ModelStoreError> {
        let mut held: Vec<StoredVersion> = Vec::new();
        for (digest, dir) in self.version_dirs()? {
            let disk_bytes = bytes_below(&dir).unwrap_or(0);
            held.push(StoredVersion { digest, size: complete_size(&dir), disk_bytes });
        }
        held.sort_by_key(|held| held.digest);
        Ok(held)
    }

    /// Removes every version that is not in `needed`, whole or not, and gives their number. A
    /// version that was interrupted is resumed only if it is named here.
    ///
    /// # Errors
    /// A folder that cannot be read or removed; the others are removed all the same.
    pub fn sweep(&self, needed: &BTreeSet<Digest>) -> Result<usize, ModelStoreError> {
        let mut removed = 0;
        let mut failure = None;
        for (digest, _) in self.version_dirs()? {
            if needed.contains(&digest) {
                continue;
            }
            match self.remove(digest) {
                Ok(()) => removed += 1,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(removed), Err)
    }

    /// Removes a version and everything it takes on the disk.
    ///
    /// # Errors
    /// A folder that cannot be removed.
    pub fn remove(&self, digest: Digest) -> Result<(), ModelStoreError> {
        let dir = self.folder(digest);
        let remove = || {
            // First what makes it count: a cut half way leaves nothing that could be loaded.
            match fs::remove_file(dir.join(COMPLETE_MARKER)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => sync_folder(&dir)?,
            }
            fs::remove_dir_all(&dir)?;
            sync_folder(&self.root)
        };
        match remove() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed(error.into(), 0))
            }
            _ => Ok(()),
        }
    }

    fn version_dirs(&self) -> Result<Vec<(Digest, PathBuf)>, ModelStoreError> {
        let list = || -> io::Result<Vec<(Digest, PathBuf)>> {
            let mut version_dirs = Vec::new();
            for entry in fs::read_dir(&self.root)? {
                let path = entry?.path();
                let digest = path.file_name().and_then(|name| Digest::parse(name.to_str()?));
                version_dirs.extend(digest.map(|digest| (digest, path)));
            }
            Ok(version_dirs)
        };
        list().map_err(|error| self.failed(error.into(), 0))
    }

    fn folder(&self, digest: Digest) -> PathBuf {
        self.root.join(digest.to_string())
    }

    /// Bytes of a version that may still be written.
    ///
    /// # Errors
    /// A file system that does not say.
    pub fn room(&self) -> Result<u64, ModelStoreError> {
        let spare = disk_space::spare_bytes(&self.settings);
        let spare = spare.map_err(|error| self.failed(error.into(), 0))?;
        Ok(spare.saturating_sub(EMPTY_DATABASE_BYTES) / 2)
    }

    /// Checks that there is space for a model of `size` bytes: sled needs twice as much.
    fn check_space(&self, size: u64) -> Result<(), ModelStoreError> {
        let wanted = size.saturating_mul(2).saturating_add(EMPTY_DATABASE_BYTES);
        let free = disk_space::spare_bytes(&self.settings)
            .map_err(|error| self.failed(error.into(), size))?;
        if free < wanted {
            return Err(self.failed(DatabaseError::Full, size));
        }
        Ok(())
    }

    fn failed(&self, fault: DatabaseError, wanted: u64) -> ModelStoreError {
        let dir = self.root.clone();
        match fault {
            DatabaseError::Full | DatabaseError::Reserve => ModelStoreError::Full { dir, wanted },
            other @ (DatabaseError::Broken(_)
            | DatabaseError::System(_)
            | DatabaseError::TooLong(_)) => {
                ModelStoreError::Failed { dir, reason: other.to_string() }
            }
        }
    }
}

/// The size that `whole` says; `None` without that file or with a torn one.
fn complete_size(dir: &Path) -> Option<u64> {
    fs::read_to_string(dir.join(COMPLETE_MARKER)).ok()?.strip_suffix('\n')?.parse().ok()
}

fn mark_complete(dir: &Path, size: u64) -> io::Result<()> {
    write_durable(&dir.join(COMPLETE_MARKER), format!("{size}\n").as_bytes())
}

/// Reads all of a version; [`DatabaseError::Broken`] where it is not `size` bytes of this digest.
fn verify(database: &Database, digest: Digest, size: u64) -> Result<VerifiedBytes, DatabaseError> {
    let bytes = read_all(database, size)?;
    let found = Digest(Sha256::digest(&bytes).into());
    if found == digest {
        Ok(VerifiedBytes { digest, bytes })
    } else {
        let len = bytes.len();
        Err(DatabaseError::Broken(format!("{len} of {size} bytes were read, with digest {found}")))
    }
}

/// The bytes up to the first chunk that is missing or short, `size` at most.
fn read_all(database: &Database, size: u64) -> Result<Vec<u8>, DatabaseError> {
    let size = usize::try_from(size).map_err(|_| DatabaseError::TooLong(usize::MAX))?;
    database.act(|tree| {
        let mut bytes = Vec::with_capacity(size.min(64 << 20));
        for place in 0u32.. {
            let Some(chunk) = tree.get(place.to_be_bytes())? else { break };
            bytes.extend_from_slice(&chunk);
            if chunk.len() != CHUNK_SIZE || bytes.len() >= size {
                break;
            }
        }
        bytes.truncate(size);
        Ok(bytes)
    })
}
