//! Collects captured inputs into segments and writes them.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::folder::{CaptureFolder, SegmentFile, SegmentFilter};
use super::segment::Segment;
use super::{CaptureStats, Settings};
use crate::clock::Now;
use crate::pipeline::CapturedInput;

/// Segments in memory: more streams, triggers and versions than that are written earlier.
const MAX_OPEN: usize = 16;

/// The captured inputs of all streams, in memory and on disk.
#[derive(Debug)]
pub struct CaptureWriter {
    settings: Settings,
    /// `None` if the folder cannot be used.
    folder: Option<CaptureFolder>,
    open: Vec<Segment>,
    stats: CaptureStats,
}

impl CaptureWriter {
    /// Opens the folder. If that fails, captured inputs are dropped and counted.
    #[must_use]
    pub fn open(settings: Settings) -> Self {
        let folder = CaptureFolder::open(settings.clone())
            .inspect_err(|error| log::error!("cannot use {}: {error}", settings.dir.display()))
            .ok();
        let mut writer =
            Self { settings, folder, open: Vec::new(), stats: CaptureStats::default() };
        writer.count();
        writer
    }

    /// Adds an input of a stream, and writes its segment if that is complete.
    pub fn add(&mut self, stream: usize, input: &CapturedInput, now: Now) {
        *self.stats.captured.entry(input.trigger.as_str()).or_default() += 1;
        let at = self.open.iter().position(|segment| segment.takes(stream, input));
        let at = at.unwrap_or_else(|| {
            if self.open.len() >= MAX_OPEN {
                let oldest = self.open.remove(0);
                self.write(oldest);
            }
            self.open.push(Segment::new(stream, input, now));
            self.open.len() - 1
        });
        if let Some(segment) = self.open.get_mut(at) {
            segment.push(input);
            if segment.is_full() {
                let full = self.open.remove(at);
                self.write(full);
            }
        }
        self.count();
    }

    /// Counts inputs that were not captured.
    pub fn count_dropped(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            *self.stats.dropped.entry(reason).or_default() += count;
        }
    }

    /// Writes the segments whose time has come, and deletes those that are too old.
    pub fn tick(&mut self, now: Now) {
        let interval = self.settings.write_interval;
        while let Some(at) =
            self.open.iter().position(|segment| now.mono.since(segment.opened) >= interval)
        {
            let due = self.open.remove(at);
            self.write(due);
        }
        if let Some(folder) = &mut self.folder {
            match folder.expire(now.wall) {
                Ok(expired) => self.stats.expired += expired,
                Err(error) => log::warn!("cannot delete old captured inputs: {error}"),
            }
        }
        self.count();
    }

    /// How long until [`Self::tick`] has something to do; `None` if never.
    #[must_use]
    pub fn next_tick(&self, now: Now) -> Option<Duration> {
        let interval = self.settings.write_interval;
        let due = |segment: &Segment| interval.saturating_sub(now.mono.since(segment.opened));
        let write = self.open.iter().map(due).min();
        let expiry = self.folder.as_ref().and_then(|folder| folder.next_expiry(now.wall));
        write.into_iter().chain(expiry).min()
    }

    /// Writes everything that is in memory.
    pub fn flush(&mut self) {
        for segment in std::mem::take(&mut self.open) {
            self.write(segment);
        }
        self.count();
    }

    fn write(&mut self, segment: Segment) {
        let inputs = u64::try_from(segment.inputs).unwrap_or(u64::MAX);
        if let Err(why) = self.try_write(segment) {
            log::warn!("cannot write {inputs} captured inputs: {why}");
            self.count_dropped("disk", inputs);
        }
    }

    fn try_write(&mut self, segment: Segment) -> Result<(), String> {
        let folder = self.folder.as_mut().ok_or("the folder cannot be used")?;
        let encoded = segment.encode().map_err(|error| error.to_string())?;
        folder.write(&encoded, &mut self.stats).map_err(|error| error.to_string())
    }

    /// The folder of all segments.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// All segments on disk, the oldest first.
    #[must_use]
    pub fn segments(&self) -> &[SegmentFile] {
        self.folder.as_ref().map_or(&[], CaptureFolder::segments)
    }

    /// Deletes segments, and the inputs in memory. Returns how many inputs were deleted from disk.
    ///
    /// # Errors
    /// A file that cannot be deleted.
    pub fn purge(&mut self, filter: &SegmentFilter) -> io::Result<u64> {
        self.flush();
        let Some(folder) = &mut self.folder else { return Ok(0) };
        let deleted = folder.delete_all(|segment| filter.takes(segment));
        self.count();
        deleted
    }

    /// A segment is on the server: it is deleted here.
    pub fn uploaded(&mut self, segment: &SegmentFile) {
        self.stats.upload_error = None;
        let Some(folder) = &mut self.folder else { return };
        match folder.delete_all(|it| (&it.stream, &it.name) == (&segment.stream, &segment.name)) {
            Ok(inputs) => self.stats.uploaded += inputs,
            Err(error) => log::warn!("cannot delete uploaded inputs, they are sent again: {error}"),
        }
        self.count();
    }

    pub fn upload_failed(&mut self, why: String) {
        self.stats.upload_error = Some(why);
    }

    fn count(&mut self) {
        let segments = self.segments();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let (files, inputs) = (count(segments.len()), segments.iter().map(|it| it.inputs).sum());
        (self.stats.segments, self.stats.inputs) = (files, inputs);
        self.stats.bytes = self.folder.as_ref().map_or(0, CaptureFolder::bytes);
        self.stats.unwritten = self.open.iter().map(|segment| count(segment.inputs)).sum();
    }

    #[must_use]
    pub fn stats(&self) -> &CaptureStats {
        &self.stats
    }
}
