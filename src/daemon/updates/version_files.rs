//! The files and chunks of a model's versions, and how a new version is assembled. All of this
//! blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use crate::bundle::{Bundle, read_files, write_files};
use crate::failpoints;
use crate::ids::{Digest, ModelName};
use crate::store::chunks::ChunkStore;
use crate::store::models::{ModelStore, ModelStoreError};
use crate::update::machine::{Event, Reason};
use crate::update::{Installable, MANIFEST, Manifest, Recipe, Verified, assemble, chunking};

/// Where the files of a model's versions are.
#[derive(Clone, Debug)]
pub(super) struct VersionFiles {
    pub(super) model: ModelName,
    pub(super) built_in: PathBuf,
    pub(super) chunks: ChunkStore,
    pub(super) versions: ModelStore,
}

/// The files of the installed versions, and where in them each chunk is.
#[derive(Debug, Default)]
struct ChunkIndex {
    files: Vec<Vec<u8>>,
    places: BTreeMap<Digest, (usize, Range<usize>)>,
}

impl ChunkIndex {
    fn add(&mut self, bytes: Vec<u8>) {
        let (file, mut at) = (self.files.len(), 0_usize);
        let blob = chunking::blob(&bytes);
        self.places.insert(blob.sha256, (file, 0..bytes.len()));
        for chunk in blob.chunks {
            let end = at.saturating_add(usize::try_from(chunk.len).unwrap_or(usize::MAX));
            self.places.entry(chunk.sha256).or_insert((file, at..end));
            at = end;
        }
        self.files.push(bytes);
    }

    fn bytes(&self, digest: Digest) -> Option<Vec<u8>> {
        let (file, range) = self.places.get(&digest)?;
        Some(self.files.get(*file)?.get(range.clone())?.to_vec())
    }
}

impl VersionFiles {
    /// Indexes the stored versions and the built-in one. A version that cannot be read is left out;
    /// the error is reported where it is loaded.
    fn index(&self, stored: &[Digest]) -> ChunkIndex {
        let mut index = ChunkIndex::default();
        for digest in stored {
            let files = self.versions.read(*digest).map_err(|error| error.to_string());
            match files.and_then(|read| read_files(read.bytes()).map_err(|e| e.to_string())) {
                Ok(files) => files.into_values().for_each(|bytes| index.add(bytes)),
                Err(why) => log::debug!("no chunks of {digest}: {why}"),
            }
        }
        match Bundle::built_in(&self.built_in, &self.model) {
            Ok(bundle) => bundle.files().values().for_each(|bytes| index.add(bytes.clone())),
            Err(error) => log::debug!("no chunks of the built-in model: {error}"),
        }
        index
    }

    /// Which of these are here, in any version, and how much may still be written.
    pub(super) fn survey(
        &self,
        chunks: Vec<Digest>,
        files: Vec<Digest>,
        stored: &[Digest],
    ) -> Event {
        let index = self.index(stored);
        let here = |digest: &Digest| index.places.contains_key(digest);
        let held = |digest: &Digest| here(digest) || self.chunks.read(*digest).is_some();
        Event::Held {
            chunks: chunks.into_iter().filter(held).collect(),
            files: files.into_iter().filter(here).collect(),
            room: self.versions.room().unwrap_or(0),
        }
    }

    /// Removes the chunks that the update in progress does not need.
    pub(super) fn keep_only(&self, needed: &BTreeSet<Digest>) {
        if let Err(error) = self.chunks.sweep(needed) {
            log::warn!("model {}: unused chunks stay on disk: {error}", self.model);
        }
    }

    /// The chunks that are here, one after the other. Missing ones leave bytes that fail
    /// verification.
    pub(super) fn joined(&self, chunks: &[Digest], stored: &[Digest]) -> Vec<u8> {
        let index = self.index(stored);
        let bytes = |chunk: &Digest| self.chunks.read(*chunk).or_else(|| index.bytes(*chunk));
        chunks.iter().filter_map(bytes).flatten().collect()
    }

    /// Assembles the files of the version; every byte is verified.
    pub(super) fn assemble(
        &self,
        manifest: Verified<Manifest>,
        recipes: &[Recipe],
        stored: &[Digest],
    ) -> Result<Installable, Reason> {
        let index = self.index(stored);
        let held = |digest| self.chunks.read(digest).or_else(|| index.bytes(digest));
        assemble(manifest, recipes, held).map_err(|error| {
            log::warn!("model {}: cannot assemble the version: {error}", self.model);
            Reason::Bytes
        })
    }

    /// Writes a version to the model store, unless it is there already.
    pub(super) fn install(&self, packed: &PackedVersion) -> Result<(), Reason> {
        let written =
            if self.versions.read(packed.digest).is_ok() { Ok(()) } else { self.write(packed) };
        written.map_err(|error| {
            log::error!("model {}: cannot write the version: {error}", self.model);
            match error {
                ModelStoreError::NotHeld(_)
                | ModelStoreError::Damaged { .. }
                | ModelStoreError::SizeMismatch { .. } => Reason::Bytes,
                ModelStoreError::Full { .. } | ModelStoreError::Failed { .. } => Reason::Disk,
            }
        })
    }

    fn write(&self, packed: &PackedVersion) -> Result<(), ModelStoreError> {
        let size = u64::try_from(packed.bytes.len()).unwrap_or(u64::MAX);
        let mut writer = self.versions.begin(packed.digest, size)?;
        let half = packed.bytes.len() / 2;
        let (first, second) = packed.bytes.split_at_checked(half).unwrap_or_default();
        writer.put(0, first)?;
        failpoints::point("update-half-written");
        writer.put(u64::try_from(half).unwrap_or(u64::MAX), second)?;
        writer.finish().map(|_| ())
    }
}

/// A version as it is stored: its verified files and its signed manifest in one.
#[derive(Debug)]
pub(super) struct PackedVersion {
    pub(super) digest: Digest,
    bytes: Vec<u8>,
}

impl PackedVersion {
    pub(super) fn of(files: &Installable, envelope: &[u8]) -> std::io::Result<Self> {
        let mut all = files.files().clone();
        all.insert(MANIFEST.to_owned(), envelope.to_vec());
        let mut bytes = Vec::new();
        write_files(&all, &mut bytes)?;
        Ok(Self { digest: Digest::of(&bytes), bytes })
    }
}
