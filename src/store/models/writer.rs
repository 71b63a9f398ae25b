//! Writes a model version to disk.

use super::{
    CHUNK_SIZE, ModelStore, ModelStoreError, VerifiedBytes, complete_size, mark_complete, read_all,
    verify,
};
use crate::ids::Digest;
use crate::store::database::{Database, DatabaseError, release_memory};

/// Chunks between two flushes: bounds what sled keeps in memory, and what a power cut costs.
const FLUSH_INTERVAL_CHUNKS: u32 = 256;

/// Writes one version. Dropped before [`Writer::finish`], what was flushed stays and the next
/// [`ModelStore::begin`] resumes after it.
#[derive(Debug)]
pub struct Writer {
    store: ModelStore,
    digest: Digest,
    size: u64,
    database: Database,
    /// Whole chunks that are in the database.
    chunks: u32,
    /// What is not a whole chunk yet.
    rest: Vec<u8>,
}

impl Writer {
    pub(super) fn open(
        store: ModelStore,
        digest: Digest,
        size: u64,
    ) -> Result<Self, ModelStoreError> {
        let dir = store.folder(digest);
        // Somebody writes a whole version again because it is damaged.
        if complete_size(&dir).is_some() {
            store.remove(digest)?;
        }
        store.check_space(size)?;
        let database = match Database::open(&dir) {
            // A database that a cut left broken holds nothing worth keeping.
            Err(DatabaseError::Broken(_)) => store
                .remove(digest)
                .and_then(|()| Database::open(&dir).map_err(|fault| store.failed(fault, size)))?,
            opened => opened.map_err(|fault| store.failed(fault, size))?,
        };
        let held = read_all(&database, size).map_err(|fault| store.failed(fault, size))?;
        let chunks = u32::try_from(held.len() / CHUNK_SIZE).unwrap_or(u32::MAX);
        Ok(Self { store, digest, size, database, chunks, rest: Vec::new() })
    }

    /// How many bytes are there already: where to go on.
    #[must_use]
    pub fn position(&self) -> u64 {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        u64::from(self.chunks) * CHUNK_SIZE as u64 + rest
    }

    /// Takes the bytes from `offset` on. Bytes that are already stored are skipped, so that a
    /// resumed download can repeat the last piece.
    ///
    /// # Errors
    /// A gap before `offset`, more bytes than the version has, or a disk that is full or fails.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), ModelStoreError> {
        let known = self.position().checked_sub(offset);
        let Some(known) = known.and_then(|known| usize::try_from(known).ok()) else {
            return Err(self.size_mismatch(format!("bytes at offset {offset} leave a gap")));
        };
        let end = u64::try_from(bytes.len()).ok().and_then(|len| offset.checked_add(len));
        if end.is_none_or(|end| end > self.size) {
            return Err(self.size_mismatch(format!("more than the expected {} bytes", self.size)));
        }
        self.rest.extend_from_slice(bytes.get(known..).unwrap_or_default());
        let whole = self.rest.len() / CHUNK_SIZE * CHUNK_SIZE;
        let rest = self.rest.split_off(whole);
        for chunk in std::mem::replace(&mut self.rest, rest).chunks(CHUNK_SIZE) {
            self.write(chunk)?;
            self.chunks += 1;
            if self.chunks.is_multiple_of(FLUSH_INTERVAL_CHUNKS) {
                self.done(self.database.flush())?;
            }
        }
        Ok(())
    }

    /// Makes all of it durable, reads it back and verifies it: from now on the version counts.
    ///
    /// # Errors
    /// Bytes that are missing, or are not those of the digest: then nothing of it is kept. A disk
    /// that is full or fails.
    pub fn finish(mut self) -> Result<VerifiedBytes, ModelStoreError> {
        if self.position() != self.size {
            let (position, size) = (self.position(), self.size);
            return Err(self.size_mismatch(format!("{position} of {size} bytes received")));
        }
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.write(&rest)?;
        }
        self.done(self.database.flush())?;
        match verify(&self.database, self.digest, self.size) {
            Ok(verified) => {
                let dir = self.store.folder(self.digest);
                self.done(mark_complete(&dir, self.size).map_err(DatabaseError::from))?;
                drop(self.database);
                release_memory();
                Ok(verified)
            }
            Err(DatabaseError::Broken(reason)) => {
                let Self { store, digest, database, .. } = self;
                drop(database);
                store.remove(digest)?;
                Err(ModelStoreError::Damaged { digest, reason })
            }
            Err(fault) => Err(self.store.failed(fault, self.size)),
        }
    }

    fn write(&self, chunk: &[u8]) -> Result<(), ModelStoreError> {
        let key = self.chunks.to_be_bytes();
        self.done(self.database.act(|tree| Ok(tree.insert(key, chunk).map(|_| ())?)))
    }

    fn done(&self, act: Result<(), DatabaseError>) -> Result<(), ModelStoreError> {
        act.map_err(|fault| self.store.failed(fault, self.size))
    }

    fn size_mismatch(&self, reason: String) -> ModelStoreError {
        ModelStoreError::SizeMismatch { digest: self.digest, reason }
    }
}
