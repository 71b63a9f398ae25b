//! Manifests: the files of a model version.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::envelope::Document;
use crate::bundle;
use crate::clock::Timestamp;
use crate::ids::{Digest, ModelName};

/// The longest chunk in bytes: it travels as one MQTT message.
pub const MAX_CHUNK_SIZE: u32 = 64 << 10;
/// The most bytes of a version's files together.
pub const MAX_CONTENT_SIZE: u64 = 512 << 20;
const MAX_FILES: usize = 16;
const MAX_DELTAS: usize = 16;

/// One version of a model: its files to the last byte. Signed by the release role, and named by
/// the SHA-256 of its whole envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub name: ModelName,
    pub version: String,
    /// Rises with every release. A gateway that has committed one takes none that is lower; going
    /// back on purpose is the old bytes under a higher counter.
    pub counter: u64,
    pub files: Vec<FileEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<DeltaEntry>,
    #[serde(default)]
    pub requires: Requires,
    pub created: Timestamp,
}

/// A file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    #[serde(flatten)]
    pub blob: Blob,
}

/// A way to make one of the files from an older one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaEntry {
    /// The file it makes.
    pub path: String,
    /// What it is applied to.
    pub base_sha256: Digest,
    pub algo: Algo,
    #[serde(flatten)]
    pub blob: Blob,
}

/// How a delta is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algo {
    /// See [`super::delta`].
    SubtractDeflate,
}

/// Bytes, by length and SHA-256, in chunks that are fetched and checked one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    pub len: u64,
    pub sha256: Digest,
    pub chunks: Vec<Chunk>,
}

/// A chunk of at most [`MAX_CHUNK_SIZE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    pub len: u32,
    pub sha256: Digest,
}

/// What a gateway must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// The oldest inferd that runs it, e.g. `0.2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inferd: Option<String>,
    /// Processors it was made for, as [`std::env::consts::ARCH`] names them, e.g. `aarch64`; empty for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arch: Vec<String>,
    #[serde(default)]
    pub ram_mb: u64,
    #[serde(default)]
    pub disk_mb: u64,
}

impl Requires {
    /// What an inferd of this version, on this processor, with this memory, lacks of it.
    pub(super) fn unmet(&self, version: &str, arch: &str, ram_mb: u64) -> Option<String> {
        let number = |text: &str| {
            text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()
        };
        // An invalid version counts as newer than this one.
        let reaches = |wanted: &String| {
            number(wanted).zip(number(version)).is_some_and(|(wanted, ours)| wanted <= ours)
        };
        if let Some(wanted) = self.inferd.as_ref().filter(|wanted| !reaches(wanted)) {
            return Some(format!("it requires inferd {wanted}, and this is {version}"));
        }
        if !self.arch.is_empty() && !self.arch.iter().any(|wanted| wanted == arch) {
            let wanted = self.arch.join(" or ");
            return Some(format!("it requires the processor {wanted}, and this is {arch}"));
        }
        let wanted = self.ram_mb;
        (wanted > ram_mb)
            .then(|| format!("it requires {wanted} MB of memory, and there are {ram_mb}"))
    }
}

impl Manifest {
    /// The files' bytes together.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.blob.len).fold(0, u64::saturating_add)
    }
}

impl Blob {
    /// The pieces of the blob's bytes, one for each chunk; shorter where bytes are missing.
    pub fn pieces<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = bytes;
        self.chunks.iter().map(move |chunk| {
            let len = usize::try_from(chunk.len).unwrap_or(usize::MAX).min(rest.len());
            let (piece, after) = rest.split_at(len);
            rest = after;
            piece
        })
    }

    /// Whether the chunks add up and none is too long.
    pub(super) fn check(&self, path: &str) -> Result<(), String> {
        if self.chunks.iter().any(|chunk| !(1..=MAX_CHUNK_SIZE).contains(&chunk.len)) {
            return Err(format!(
                "{path:?}: a chunk is empty or has more than {MAX_CHUNK_SIZE} bytes"
            ));
        }
        let sum: u64 = self.chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
        if sum != self.len {
            return Err(format!("{path:?}: the chunks have {sum} bytes, the file {}", self.len));
        }
        Ok(())
    }
}

impl Document for Manifest {
    const TYPE: &'static str = "application/vnd.inferd.manifest.v1+json";
    const NAME: &'static str = "manifest";
    const MAX_SIZE: usize = 4 << 20;

    fn check(&self) -> Result<(), String> {
        if self.files.len() > MAX_FILES || self.deltas.len() > MAX_DELTAS {
            return Err(format!("more than {MAX_FILES} files or {MAX_DELTAS} deltas"));
        }
        if !(1..=64).contains(&self.version.len()) || self.version.contains(char::is_control) {
            return Err("the version must have 1 to 64 printable characters".into());
        }
        let mut paths = BTreeSet::new();
        for file in &self.files {
            bundle::file_name(&file.path).map_err(|why| format!("{:?} is {why}", file.path))?;
            file.blob.check(&file.path)?;
            if !paths.insert(file.path.as_str()) {
                return Err(format!("duplicate file {:?}", file.path));
            }
        }
        if !paths.contains(bundle::CARD_FILE) {
            return Err("the card is missing".into());
        }
        if self.size() > MAX_CONTENT_SIZE {
            return Err(format!("more than {MAX_CONTENT_SIZE} bytes"));
        }
        for delta in &self.deltas {
            delta.blob.check(&delta.path)?;
            let file = self.files.iter().find(|file| file.path == delta.path);
            let file = file.ok_or_else(|| {
                format!("a delta makes {:?}, which is not a file of the manifest", delta.path)
            })?;
            if delta.blob.len >= file.blob.len {
                return Err(format!("the delta of {:?} is no smaller than the file", delta.path));
            }
        }
        Ok(())
    }
}
