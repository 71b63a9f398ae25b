//! Files that match a verified manifest and may be installed.

use std::collections::BTreeMap;

use super::manifest::{Chunk, Manifest};
use super::trust::Verified;
use crate::bundle::{Bundle, BundleError};
use crate::ids::Digest;

/// Why files do not match the manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("{path:?} is missing")]
    Missing { path: String },
    #[error("{path:?} is not in the manifest")]
    Unexpected { path: String },
    #[error("{path:?} has {found} bytes, the manifest says {wanted}")]
    Length { path: String, wanted: u64, found: u64 },
    #[error("{path:?} is not the file in the manifest: its SHA-256 is {found}")]
    Altered { path: String, found: Digest },
}

/// Files of one version, every byte vouched for by the release role. The only thing a model store
/// installs, and made by nothing but [`Installable::new`].
#[derive(Clone, Debug)]
pub struct Installable {
    manifest: Verified<Manifest>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Installable {
    /// Takes exactly the files of the manifest: none missing, none besides, none altered.
    ///
    /// # Errors
    /// The first file that differs.
    pub fn new(
        manifest: Verified<Manifest>,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, Mismatch> {
        matches(&manifest, &files)?;
        Ok(Self { manifest, files })
    }

    #[must_use]
    pub fn manifest(&self) -> &Verified<Manifest> {
        &self.manifest
    }

    /// The bytes by file name.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The model with its card, not loaded yet.
    ///
    /// # Errors
    /// Files that are no bundle, or the bundle of a model with another name or version.
    pub fn bundle(&self) -> Result<Bundle, BundleError> {
        let bundle = Bundle::from_files(self.files.clone(), None)?;
        let card = bundle.card();
        if card.name != self.manifest.name {
            let (wanted, found) = (self.manifest.name.clone(), card.name.clone());
            return Err(BundleError::OtherModel { wanted, found });
        }
        if card.version != self.manifest.version {
            let name = super::MANIFEST.to_owned();
            return Err(BundleError::File { name, why: "the card has a different version".into() });
        }
        Ok(bundle)
    }
}

/// Compares files with a manifest: none missing, none besides, none altered.
pub(super) fn matches(
    manifest: &Manifest,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(), Mismatch> {
    let known = |path: &String| manifest.files.iter().any(|file| file.path == *path);
    if let Some(path) = files.keys().find(|path| !known(path)) {
        return Err(Mismatch::Unexpected { path: path.clone() });
    }
    for entry in &manifest.files {
        let path = || entry.path.clone();
        let bytes = files.get(&entry.path).ok_or_else(|| Mismatch::Missing { path: path() })?;
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if found != entry.blob.len {
            return Err(Mismatch::Length { path: path(), wanted: entry.blob.len, found });
        }
        let found = Digest::of(bytes);
        if found != entry.blob.sha256 {
            return Err(Mismatch::Altered { path: path(), found });
        }
    }
    Ok(())
}

/// Whether these are the bytes of the chunk; looked at before a byte of it is kept.
#[must_use]
pub fn is_chunk(chunk: &Chunk, bytes: &[u8]) -> bool {
    usize::try_from(chunk.len) == Ok(bytes.len()) && Digest::of(bytes) == chunk.sha256
}
