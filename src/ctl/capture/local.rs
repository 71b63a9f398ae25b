//! The folder that captured inputs are fetched to: `GATEWAY/STREAM/SEGMENT.jsonl` and `.npz`.
//!
//! A file that is fetched is `….part` until its digest is right, and is continued by the next run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::capture::{FILE_EXTENSIONS, FileInfo, SegmentName, is_segment_name};
use crate::ids::{Digest, GatewayId, StreamName};

/// The largest file that is taken from a gateway.
pub(super) const MAX_FILE_BYTES: u64 = 256 << 20;

/// One file of a segment.
#[derive(Debug)]
pub(super) struct LocalFile {
    path: PathBuf,
    info: FileInfo,
}

/// The paths of the files of a segment; `None` if a name or an extension is none that a gateway has.
pub(super) fn files(
    out: &Path,
    gateway: &GatewayId,
    segment: &SegmentName,
    infos: &[FileInfo],
) -> Option<Vec<LocalFile>> {
    let stream = StreamName::parse(&segment.stream).ok()?;
    let known = infos.iter().map(|info| info.extension.as_str()).eq(FILE_EXTENSIONS);
    if !known || !is_segment_name(&segment.name) {
        return None;
    }
    let folder = out.join(gateway.as_str()).join(stream.as_str());
    let file = |info: &FileInfo| {
        let path = folder.join(format!("{}.{}", segment.name, info.extension));
        LocalFile { path, info: info.clone() }
    };
    infos.iter().all(|info| info.bytes <= MAX_FILE_BYTES).then(|| infos.iter().map(file).collect())
}

impl LocalFile {
    pub(super) fn info(&self) -> &FileInfo {
        &self.info
    }

    /// Whether it is here, with the right bytes.
    pub(super) fn is_complete(&self) -> bool {
        is_of(&self.path, &self.info)
    }

    fn part(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".part");
        name.into()
    }

    /// How much of it an earlier run has fetched.
    pub(super) fn fetched(&self) -> u64 {
        let len = fs::metadata(self.part()).map_or(0, |it| it.len());
        if len > self.info.bytes { 0 } else { len }
    }

    /// Adds bytes at a place.
    pub(super) fn add(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file =
            OpenOptions::new().create(true).append(true).truncate(false).open(self.part())?;
        if file.metadata()?.len() != offset {
            file.set_len(offset)?;
        }
        file.write_all(bytes)
    }

    /// Gives the file its name if its digest is right; else it is fetched again.
    pub(super) fn finish(&self) -> io::Result<bool> {
        let part = self.part();
        if !is_of(&part, &self.info) {
            fs::remove_file(&part)?;
            return Ok(false);
        }
        File::open(&part)?.sync_all()?;
        fs::rename(&part, &self.path)?;
        Ok(true)
    }
}

fn is_of(path: &Path, info: &FileInfo) -> bool {
    let fits = fs::metadata(path).is_ok_and(|it| it.len() == info.bytes);
    fits && fs::read(path).is_ok_and(|bytes| Digest::of(&bytes).to_string() == info.sha256)
}
