//! The segments on disk: their names, their bound, their age.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::segment::EncodedSegment;
use super::{CaptureStats, Settings};
use crate::clock::Timestamp;
use crate::fs::{free_bytes, sync_folder, write_atomic};
use crate::pipeline::Trigger;

pub(super) const ARRAYS: &str = "npz";
pub(super) const META: &str = "jsonl";
/// The files of a segment in the order of a copy: with the arrays it is complete.
pub const FILE_EXTENSIONS: [&str; 2] = [META, ARRAYS];
/// The unit in which file systems give space to files.
const BLOCK: u64 = 4096;

/// One segment on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentFile {
    pub stream: String,
    /// The name of its files without `.npz` and `.jsonl`.
    pub name: String,
    pub trigger: &'static str,
    /// When its first input was captured.
    pub time: Timestamp,
    pub inputs: u64,
    /// Disk space of both files.
    pub bytes: u64,
}

/// Which segments are meant; `None` stands for all.
#[derive(Clone, Debug, Default)]
pub struct SegmentFilter {
    pub stream: Option<String>,
    pub trigger: Option<String>,
}

impl SegmentFilter {
    #[must_use]
    pub fn takes(&self, segment: &SegmentFile) -> bool {
        self.stream.as_ref().is_none_or(|stream| *stream == segment.stream)
            && self.trigger.as_ref().is_none_or(|trigger| *trigger == segment.trigger)
    }
}

/// All segments, the oldest first.
#[derive(Debug)]
pub(super) struct CaptureFolder {
    settings: Settings,
    segments: Vec<SegmentFile>,
}

impl CaptureFolder {
    /// Reads the folder, and removes what a crash left incomplete.
    pub(super) fn open(settings: Settings) -> io::Result<Self> {
        make_folder(&settings.dir)?;
        let mut segments = Vec::new();
        for entry in fs::read_dir(&settings.dir)? {
            let path = entry?.path();
            if path.is_dir() {
                let stream = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                segments.extend(segments_of(&path, &stream)?);
            }
        }
        segments.sort_by(|a, b| (a.time, &a.name).cmp(&(b.time, &b.name)));
        Ok(Self { settings, segments })
    }

    pub(super) fn segments(&self) -> &[SegmentFile] {
        &self.segments
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Writes a segment, after making room for it. Durable when this returns.
    pub(super) fn write(
        &mut self,
        segment: &EncodedSegment,
        stats: &mut CaptureStats,
    ) -> io::Result<()> {
        let wanted = on_disk(segment.arrays.len()).saturating_add(on_disk(segment.meta.len()));
        if wanted > self.settings.max_bytes {
            let why = format!("{wanted} bytes are more than capture.max_bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        while self.bytes().saturating_add(wanted) > self.settings.max_bytes {
            let Some(evicted) = self.evict()? else { break };
            *stats.evicted.entry(evicted.trigger).or_default() += evicted.inputs;
        }
        let free = free_bytes(&self.settings.dir)?;
        if free < self.settings.reserve_bytes.saturating_add(wanted) {
            let why = "the file system has no space beside store.reserve_bytes";
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        let stream = self.settings.streams.get(segment.stream).cloned().unwrap_or_default();
        let folder = self.settings.dir.join(&stream);
        if !folder.is_dir() {
            make_folder(&folder)?;
            sync_folder(&self.settings.dir)?;
        }
        let (time, name) = free_name(&folder, segment);
        // The arrays come last: without them there is no segment.
        write_atomic(&path_of(&folder, &name, META), &segment.meta)?;
        write_atomic(&path_of(&folder, &name, ARRAYS), &segment.arrays)?;
        let file = SegmentFile {
            bytes: disk_bytes(&folder, &name),
            stream,
            name,
            trigger: segment.trigger.as_str(),
            time,
            inputs: u64::try_from(segment.inputs).unwrap_or(u64::MAX),
        };
        let at = self.segments.partition_point(|it| (it.time, &it.name) < (time, &file.name));
        self.segments.insert(at, file);
        Ok(())
    }

    /// Deletes the oldest segment of the trigger with the most bytes.
    fn evict(&mut self) -> io::Result<Option<SegmentFile>> {
        let bytes = |trigger: &Trigger| -> u64 {
            let of = self.segments.iter().filter(|it| it.trigger == trigger.as_str());
            of.map(|segment| segment.bytes).sum()
        };
        let most = Trigger::ALL.into_iter().max_by_key(bytes).map(Trigger::as_str);
        let oldest = self.segments.iter().position(|it| Some(it.trigger) == most);
        let Some(segment) = oldest.map(|at| self.segments.remove(at)) else { return Ok(None) };
        self.delete(&segment)?;
        Ok(Some(segment))
    }

    /// Deletes segments that are too old. Returns how many inputs were in them.
    pub(super) fn expire(&mut self, now: Timestamp) -> io::Result<u64> {
        let max_age = self.settings.max_age;
        self.delete_all(|segment| now.is_set() && now.since(segment.time) > max_age)
    }

    /// When the next segment is too old.
    pub(super) fn next_expiry(&self, now: Timestamp) -> Option<Duration> {
        let oldest = self.segments.first()?;
        Some(self.settings.max_age.saturating_sub(now.since(oldest.time)))
    }

    /// Deletes these segments. Returns how many inputs were in them.
    pub(super) fn delete_all(
        &mut self,
        is_meant: impl Fn(&SegmentFile) -> bool,
    ) -> io::Result<u64> {
        let (meant, kept) = std::mem::take(&mut self.segments).into_iter().partition(is_meant);
        self.segments = kept;
        let meant: Vec<SegmentFile> = meant;
        meant.iter().try_for_each(|segment| self.delete(segment))?;
        Ok(meant.iter().map(|segment| segment.inputs).sum())
    }

    fn delete(&self, segment: &SegmentFile) -> io::Result<()> {
        let folder = self.settings.dir.join(&segment.stream);
        // Metadata without arrays are removed at the next start.
        for extension in [ARRAYS, META] {
            match fs::remove_file(path_of(&folder, &segment.name, extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    // Captured inputs are readings of people's devices: nobody else is to read them.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(super) fn path_of(folder: &Path, name: &str, extension: &str) -> PathBuf {
    folder.join(format!("{name}.{extension}"))
}

fn on_disk(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BLOCK).saturating_mul(BLOCK)
}

fn disk_bytes(folder: &Path, name: &str) -> u64 {
    let of = |extension| fs::metadata(path_of(folder, name, extension));
    [ARRAYS, META].into_iter().filter_map(|it| of(it).ok()).map(|it| it.blocks() * 512).sum()
}

/// A name that no segment has: `2026-11-22T100000.120Z-margin-256`.
fn free_name(folder: &Path, segment: &EncodedSegment) -> (Timestamp, String) {
    let mut time = segment.time;
    loop {
        let text = time.to_string().replace(':', "");
        let name = format!("{text}-{}-{}", segment.trigger.as_str(), segment.inputs);
        if !path_of(folder, &name, ARRAYS).exists() {
            return (time, name);
        }
        time = time.plus(Duration::from_millis(1));
    }
}

/// Whether a text is the name of a segment, and a name for a file.
#[must_use]
pub fn is_segment_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    name.chars().all(known) && parse_name(name).is_some()
}

/// What a name says; `None` if it is not that of a segment.
pub(super) fn parse_name(name: &str) -> Option<(Timestamp, Trigger, u64)> {
    let (rest, inputs) = name.rsplit_once('-')?;
    let (time, trigger) = rest.rsplit_once('-')?;
    let (date, clock) = time.split_once('T')?;
    let (hour, minute, second) = (clock.get(..2)?, clock.get(2..4)?, clock.get(4..)?);
    let time = Timestamp::parse(&format!("{date}T{hour}:{minute}:{second}"))?;
    Some((time, Trigger::parse(trigger)?, inputs.parse().ok()?))
}

/// The segments in the folder of a stream. Incomplete files are removed, foreign ones left alone.
fn segments_of(folder: &Path, stream: &str) -> io::Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let whole = parse_name(&name);
        match (extension.as_str(), whole) {
            (ARRAYS, Some((time, trigger, inputs))) => {
                let (stream, bytes) = (stream.to_owned(), disk_bytes(folder, &name));
                let trigger = trigger.as_str();
                found.push(SegmentFile { stream, name, trigger, time, inputs, bytes });
            }
            (META, Some(_)) if !path.with_extension(ARRAYS).exists() => fs::remove_file(&path)?,
            ("part", _) => fs::remove_file(&path)?,
            _ => {}
        }
    }
    Ok(found)
}
