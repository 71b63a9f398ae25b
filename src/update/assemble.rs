//! Assembles the files of a version from stored chunks.

use std::collections::BTreeMap;

use super::delta;
use super::installable::{Installable, Mismatch};
use super::manifest::{Blob, DeltaEntry, FileEntry, Manifest};
use super::trust::Verified;
use crate::ids::Digest;

/// How one file of a version is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    pub path: String,
    pub from: FileSource,
}

/// The source of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSource {
    Chunks(Vec<Digest>),
    /// The stored file `base`, and a delta in these chunks.
    Delta {
        base: Digest,
        chunks: Vec<Digest>,
        len: u64,
    },
}

/// Why a version cannot be assembled from the stored chunks.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    #[error("{path:?}: a chunk or the file it is made from is not held")]
    NotHeld { path: String },
    #[error("{path:?}: {source}")]
    Delta { path: String, source: delta::DeltaError },
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
}

/// Selects the source of each file that needs the smallest download: its chunks, or a delta to a
/// stored file. `missing` returns the number of bytes of a blob that are not stored.
#[must_use]
pub(super) fn recipes(
    manifest: &Manifest,
    holds_file: impl Fn(Digest) -> bool,
    missing: impl Fn(&Blob) -> u64,
    deltas: bool,
) -> Vec<(Recipe, Blob)> {
    let chunks = |blob: &Blob| blob.chunks.iter().map(|chunk| chunk.sha256).collect::<Vec<_>>();
    let recipe = |file: &FileEntry| {
        let usable = |delta: &&DeltaEntry| {
            deltas && delta.path == file.path && holds_file(delta.base_sha256)
        };
        let usable = manifest.deltas.iter().filter(usable);
        let smallest = usable.min_by_key(|delta| missing(&delta.blob));
        let smallest = smallest.filter(|delta| missing(&delta.blob) < missing(&file.blob));
        let (from, blob) = match smallest {
            None => (FileSource::Chunks(chunks(&file.blob)), &file.blob),
            Some(delta) => {
                let (base, chunks) = (delta.base_sha256, chunks(&delta.blob));
                (FileSource::Delta { base, chunks, len: file.blob.len }, &delta.blob)
            }
        };
        (Recipe { path: file.path.clone(), from }, blob.clone())
    };
    manifest.files.iter().map(recipe).collect()
}

/// Assembles the version. `held` returns the bytes of a chunk or a file by its digest. They are not
/// trusted: the complete result is verified.
///
/// # Errors
/// A part is missing, or the result is not the file in the manifest.
pub fn assemble(
    manifest: Verified<Manifest>,
    recipes: &[Recipe],
    held: impl Fn(Digest) -> Option<Vec<u8>>,
) -> Result<Installable, AssembleError> {
    let mut files = BTreeMap::new();
    for recipe in recipes {
        let missing = || AssembleError::NotHeld { path: recipe.path.clone() };
        let joined = |chunks: &[Digest]| {
            let pieces: Option<Vec<_>> = chunks.iter().map(|digest| held(*digest)).collect();
            pieces.map(|pieces| pieces.concat()).ok_or_else(missing)
        };
        let bytes = match &recipe.from {
            FileSource::Chunks(chunks) => joined(chunks)?,
            FileSource::Delta { base, chunks, len } => {
                let base = held(*base).ok_or_else(missing)?;
                delta::apply(&base, &joined(chunks)?, *len)
                    .map_err(|source| AssembleError::Delta { path: recipe.path.clone(), source })?
            }
        };
        files.insert(recipe.path.clone(), bytes);
    }
    Ok(Installable::new(manifest, files)?)
}
