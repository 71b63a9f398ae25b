//! Chunks of a version on its way here: one small file each, named by its SHA-256.
//!
//! ```text
//! chunks/{model}/{sha256}    the bytes
//! ```
//! A file gets its name when its bytes are on the disk, so that a power cut leaves it whole or not
//! there. All of them go when the version is in the model store.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Settings, disk_space};
use crate::fs::{sync_folder, write_atomic_through};
use crate::ids::{Digest, ModelName};

const FOLDER: &str = "chunks";
/// What a chunk is called until its bytes are on the disk.
const UNFINISHED_NAME: &str = "unfinished";

/// The chunks of one model.
#[derive(Clone, Debug)]
pub struct ChunkStore {
    settings: Settings,
    dir: PathBuf,
}

impl ChunkStore {
    #[must_use]
    pub fn new(settings: &Settings, model: &ModelName) -> Self {
        let dir = settings.dir.join(FOLDER).join(model.as_str());
        Self { settings: settings.clone(), dir }
    }

    /// Keeps a chunk. Durable when this returns.
    ///
    /// # Errors
    /// Not enough space besides the reserve, or an I/O error.
    pub fn put(&self, chunk: Digest, bytes: &[u8]) -> io::Result<()> {
        if !self.dir.exists() {
            fs::create_dir_all(&self.dir)?;
            sync_folder(&self.settings.dir.join(FOLDER))?;
            sync_folder(&self.settings.dir)?;
        }
        let wanted = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if disk_space::spare_bytes(&self.settings)? < wanted {
            let why = "the disk is down to its reserve";
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        write_atomic_through(&self.dir.join(UNFINISHED_NAME), &self.path(chunk), bytes)
    }

    /// The bytes of a chunk; `None` where it is not here. One that is damaged is removed.
    #[must_use]
    pub fn read(&self, chunk: Digest) -> Option<Vec<u8>> {
        let path = self.path(chunk);
        let bytes = fs::read(&path).ok()?;
        if Digest::of(&bytes) == chunk {
            return Some(bytes);
        }
        log::warn!("{} is damaged and will be removed", path.display());
        if let Err(error) = fs::remove_file(&path) {
            log::warn!("cannot remove {}: {error}", path.display());
        }
        None
    }

    /// Removes every chunk that is not needed.
    ///
    /// # Errors
    /// The first file that cannot be removed.
    pub fn sweep(&self, needed: &BTreeSet<Digest>) -> io::Result<()> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let digest = path.file_name().and_then(|name| Digest::parse(name.to_str()?));
            if !digest.is_some_and(|digest| needed.contains(&digest)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, chunk: Digest) -> PathBuf {
        self.dir.join(chunk.to_string())
    }
}

/// Removes the chunks of models that are no longer configured.
///
/// # Errors
/// A folder that cannot be read or removed.
pub fn forget_others<'a>(
    settings: &Settings,
    models: impl IntoIterator<Item = &'a ModelName>,
) -> io::Result<()> {
    let known: BTreeSet<&str> = models.into_iter().map(ModelName::as_str).collect();
    let entries = match fs::read_dir(settings.dir.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| known.contains(name)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(reserve_bytes: u64) -> (tempfile::TempDir, ChunkStore) {
        let dir = tempfile::tempdir().unwrap();
        let (max_bytes, max_records) = (1 << 20, 100);
        let settings = Settings { dir: dir.path().into(), max_bytes, max_records, reserve_bytes };
        (dir, ChunkStore::new(&settings, &ModelName::parse("motion").unwrap()))
    }

    #[test]
    fn a_chunk_reads_back_and_goes_when_nobody_needs_it() {
        let (dir, chunks) = fresh(0);
        assert_eq!(chunks.read(Digest::of(b"a")), None);
        chunks.sweep(&BTreeSet::new()).unwrap();
        for bytes in [b"a", b"b"] {
            chunks.put(Digest::of(bytes), bytes).unwrap();
        }
        assert_eq!(chunks.read(Digest::of(b"a")).as_deref(), Some(&b"a"[..]));
        fs::write(chunks.dir.join(UNFINISHED_NAME), "half a chu").unwrap();
        chunks.sweep(&BTreeSet::from([Digest::of(b"b")])).unwrap();
        assert_eq!(chunks.read(Digest::of(b"a")), None);
        assert_eq!(fs::read_dir(&chunks.dir).unwrap().count(), 1);
        forget_others(&chunks.settings, &[]).unwrap();
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_chunk_is_no_chunk() {
        let (_dir, chunks) = fresh(0);
        chunks.put(Digest::of(b"a"), b"a").unwrap();
        fs::write(chunks.path(Digest::of(b"a")), "b").unwrap();
        assert_eq!(chunks.read(Digest::of(b"a")), None);
        assert!(!chunks.path(Digest::of(b"a")).exists());
    }

    #[test]
    fn the_reserve_of_the_disk_is_left_alone() {
        let (_dir, chunks) = fresh(u64::MAX);
        let full = chunks.put(Digest::of(b"a"), b"a").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }
}
