//! A release as one file: a bundle's tar with the signed manifest and the deltas beside the files.
//! inferd loads it like any bundle; the gateway's verifier and the operator's tool read the rest.

use std::collections::BTreeMap;

use super::chunking::blob;
use super::delta;
use super::envelope::Envelope;
use super::error::VerifyError;
use super::installable::{Installable, Mismatch, matches};
use super::manifest::{Algo, Blob, DeltaEntry, FileEntry, Manifest, Requires};
use super::trust::Trust;
use crate::bundle::{Bundle, BundleError, read_files, write_files};
use crate::clock::Timestamp;

/// The manifest's file among those of a packed bundle.
pub const MANIFEST: &str = "manifest.dsse";
/// Deltas are kept as `delta-` and their SHA-256.
const DELTA: &str = "delta-";

/// Why a packed bundle cannot be made or is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{0}")]
    Bundle(#[from] BundleError),
    #[error("not a packed bundle: it contains no {MANIFEST}; use `inferctl pack`")]
    NoManifest,
    #[error("it was modified after it was packed: {0}")]
    Changed(Mismatch),
    #[error("{0}")]
    Verify(#[from] VerifyError),
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    #[error("cannot pack: {0}")]
    Write(#[from] std::io::Error),
}

/// A packed bundle of which nothing is known yet but that it can be unpacked.
#[derive(Clone, Debug)]
pub struct PackedRelease {
    envelope: Envelope,
    files: BTreeMap<String, Vec<u8>>,
    deltas: BTreeMap<String, Vec<u8>>,
}

/// What a new release is given besides its files.
#[derive(Clone, Debug)]
pub struct ReleaseInfo {
    pub counter: u64,
    pub created: Timestamp,
    pub requires: Requires,
}

impl PackedRelease {
    /// Packs a bundle, with a delta for each file that pays from each of the `bases`. Not signed.
    /// What an earlier packing left among the files, its manifest with the signatures and its
    /// deltas, is left out.
    ///
    /// # Errors
    /// A bundle whose manifest would break a rule.
    pub fn new(
        bundle: &Bundle,
        release: ReleaseInfo,
        bases: &[&Bundle],
    ) -> Result<Self, PackError> {
        let mut files = bundle.files().clone();
        files.retain(|name, _| !is_packing(name));
        let mut deltas = BTreeMap::new();
        let mut entries = Vec::new();
        for (path, new) in &files {
            for old in bases.iter().filter_map(|base| base.files().get(path)) {
                let Some(bytes) = delta::between(old, new).filter(|_| old != new) else { continue };
                let entry = DeltaEntry {
                    path: path.clone(),
                    base_sha256: blob(old).sha256,
                    algo: Algo::SubtractDeflate,
                    blob: blob(&bytes),
                };
                deltas.insert(delta_name(&entry.blob), bytes);
                entries.push(entry);
            }
        }
        let file = |(path, bytes): (&String, &Vec<u8>)| FileEntry {
            path: path.clone(),
            blob: blob(bytes),
        };
        let manifest = Manifest {
            name: bundle.card().name.clone(),
            version: bundle.card().version.clone(),
            counter: release.counter,
            files: files.iter().map(file).collect(),
            deltas: entries,
            requires: release.requires,
            created: release.created,
        };
        Ok(Self { envelope: Envelope::of(&manifest)?, files, deltas })
    }

    /// The release that a bundle was packed as, if it was; its signatures are not looked at.
    ///
    /// # Errors
    /// A manifest that cannot be read, or files that are not those it names.
    pub fn former(bundle: &Bundle) -> Result<Option<Self>, PackError> {
        if !bundle.files().contains_key(MANIFEST) {
            return Ok(None);
        }
        let former = Self::of_files(bundle.files().clone())?;
        matches(&former.envelope.unverified()?, &former.files).map_err(PackError::Changed)?;
        Ok(Some(former))
    }

    /// Reads a packed bundle without verifying it.
    ///
    /// # Errors
    /// Bytes that are no packed bundle.
    pub fn read(bytes: &[u8]) -> Result<Self, PackError> {
        Self::of_files(read_files(bytes)?)
    }

    fn of_files(mut files: BTreeMap<String, Vec<u8>>) -> Result<Self, PackError> {
        let envelope = files.remove(MANIFEST).ok_or(PackError::NoManifest)?;
        let envelope = Envelope::read::<Manifest>(&envelope)?;
        let (deltas, files) = files.into_iter().partition(|(name, _)| name.starts_with(DELTA));
        Ok(Self { envelope, files, deltas })
    }

    /// The bytes of the one file. The same release gives the same bytes.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub fn write(&self) -> Result<Vec<u8>, PackError> {
        let mut all = self.files.clone();
        all.extend(self.deltas.clone());
        all.insert(MANIFEST.to_owned(), self.envelope.bytes());
        let mut out = Vec::new();
        write_files(&all, &mut out)?;
        Ok(out)
    }

    /// The manifest with its signatures.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub fn envelope_mut(&mut self) -> &mut Envelope {
        &mut self.envelope
    }

    /// All that a gateway may fetch of it, cut as the manifest says: files and deltas, the manifest
    /// itself last, so that where it is, everything is. Nothing of it is verified here.
    ///
    /// # Errors
    /// A manifest that names what is not there.
    pub fn blobs(&self) -> Result<Vec<(Blob, Vec<u8>)>, PackError> {
        let manifest: Manifest = self.envelope.unverified()?;
        let files = manifest.files.into_iter().map(|file| (file.path, &self.files, file.blob));
        let deltas = manifest.deltas.into_iter();
        let deltas = deltas.map(|delta| (delta_name(&delta.blob), &self.deltas, delta.blob));
        let mut blobs = Vec::new();
        for (path, among, blob) in files.chain(deltas) {
            let bytes = among.get(&path).ok_or(Mismatch::Missing { path })?;
            blobs.push((blob, bytes.clone()));
        }
        let manifest = self.manifest_bytes();
        blobs.push((blob(&manifest), manifest));
        Ok(blobs)
    }

    /// The same files as another release, not signed: how a fleet goes back on purpose.
    ///
    /// # Errors
    /// As [`PackedRelease::new`].
    pub fn with_counter(&self, counter: u64, created: Timestamp) -> Result<Self, PackError> {
        let manifest: Manifest = self.envelope.unverified()?;
        let manifest = Manifest { counter, created, ..manifest };
        Ok(Self { envelope: Envelope::of(&manifest)?, ..self.clone() })
    }

    /// The bytes that name the release.
    #[must_use]
    pub fn manifest_bytes(&self) -> Vec<u8> {
        self.envelope.bytes()
    }

    /// What may be installed: signatures and every byte checked.
    ///
    /// # Errors
    /// Signatures that do not suffice, or files that are not those of the manifest.
    pub fn verify(self, trust: &Trust) -> Result<Installable, PackError> {
        let manifest = trust.manifest(&self.manifest_bytes())?;
        for entry in &manifest.deltas {
            let path = delta_name(&entry.blob);
            let bytes = self.deltas.get(&path);
            let bytes = bytes.ok_or_else(|| Mismatch::Missing { path: path.clone() })?;
            let found = crate::ids::Digest::of(bytes);
            if found != entry.blob.sha256 {
                return Err(Mismatch::Altered { path, found }.into());
            }
        }
        if self.deltas.len() > manifest.deltas.len() {
            return Err(Mismatch::Unexpected { path: format!("{DELTA}…") }.into());
        }
        Ok(Installable::new(manifest, self.files)?)
    }
}

/// Whether a file belongs to a packing rather than to the bundle.
fn is_packing(name: &str) -> bool {
    name == MANIFEST || name.starts_with(DELTA)
}

/// Under which name a delta is kept.
fn delta_name(blob: &Blob) -> String {
    format!("{DELTA}{}", blob.sha256)
}
