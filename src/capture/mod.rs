//! Captured inputs on disk, for labelling and training.
//!
//! ```text
//! captures/{stream}/{time}-{trigger}-{inputs}.npz      the inputs of the model, one row each
//! captures/{stream}/{time}-{trigger}-{inputs}.jsonl    a line for each: id, time, device, label, ...
//! ```
//! The arrays have the names of the model's inputs and one more leading axis, as `inferd infer` and
//! `inferctl pack --golden-inputs FILE` take them. A segment is written once and never changed. Its
//! `.npz` gets its name last, when both are on disk, so that a crash leaves it whole or not there.
//!
//! All of it happens on a thread of its own, which exists only if a stream captures inputs.

mod folder;
mod requests;
mod segment;
#[cfg(test)]
mod tests;
mod thread;
mod upload;
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use folder::{FILE_EXTENSIONS, SegmentFile, SegmentFilter, is_segment_name};
pub use requests::{Ask, CaptureAnswers, CaptureRequest, FileInfo, MAX_CHUNK_BYTES, SegmentName};
pub use segment::MAX_SEGMENT_INPUTS;
pub use thread::{CaptureBusy, CaptureHandle, CaptureThread};
pub use writer::CaptureWriter;

use crate::config::{Config, Upload};

/// The name of the folder in `store.dir`.
const FOLDER: &str = "captures";

/// Where captured inputs are kept, and how many.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: PathBuf,
    pub max_bytes: u64,
    pub max_age: Duration,
    pub write_interval: Duration,
    /// Space of the file system that is never used.
    pub reserve_bytes: u64,
    /// The streams by number.
    pub streams: Vec<String>,
    /// `None`: segments stay here.
    pub upload: Option<Upload>,
}

impl Settings {
    /// `None` if no stream captures inputs.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        config.streams.iter().find(|stream| stream.capture.is_some())?;
        Some(Self {
            dir: config.store.dir.join(FOLDER),
            max_bytes: config.capture.max_bytes,
            max_age: config.capture.max_age,
            write_interval: config.capture.write_interval,
            reserve_bytes: config.store.reserve_bytes,
            streams: config.streams.iter().map(|stream| stream.name.to_string()).collect(),
            upload: config.capture.upload.clone(),
        })
    }
}

/// What was captured, as health shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaptureStats {
    /// Files with inputs on disk.
    pub segments: u64,
    /// Inputs in them.
    pub inputs: u64,
    /// Disk space that they take.
    pub bytes: u64,
    /// Inputs in memory that are not written yet.
    pub unwritten: u64,
    /// Inputs captured since the start, by trigger.
    pub captured: BTreeMap<&'static str, u64>,
    /// Inputs deleted because `capture.max_bytes` was reached, since the start, by trigger.
    pub evicted: BTreeMap<&'static str, u64>,
    /// Inputs deleted because of `capture.max_age`, since the start.
    pub expired: u64,
    /// Inputs uploaded and deleted since the start.
    pub uploaded: u64,
    /// Why the last upload failed; `None` after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_error: Option<String>,
    /// Inputs that were not captured, by reason: `busy` (the thread did not keep up) or `disk` (it
    /// failed or has no space).
    pub dropped: BTreeMap<&'static str, u64>,
}
