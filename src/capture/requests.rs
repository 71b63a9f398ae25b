//! Captured inputs for who asks: lists of segments, and their files in chunks.
//!
//! Nothing is kept between two requests: a client names the place of a chunk, and goes on after a
//! cut where it was. An answer is a line of JSON, and behind it the bytes of a chunk.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::folder::{FILE_EXTENSIONS, SegmentFile, SegmentFilter, parse_name, path_of};
use super::writer::CaptureWriter;
use crate::clock::Mono;
use crate::ids::{Digest, GatewayId};

/// A request is no longer than this.
const MAX_REQUEST_BYTES: usize = 1024;
/// Bytes of a file in an answer.
pub const MAX_CHUNK_BYTES: usize = 32 << 10;
/// Segments in an answer.
const MAX_LISTED: usize = 64;
/// A client that asks while results wait for the broker asks again after this time.
const HELD: Duration = Duration::from_secs(5);

/// A request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CaptureRequest {
    /// Names who asks, and the topic of the answer.
    pub client: GatewayId,
    /// Repeated in the answer.
    pub n: u64,
    pub ask: Ask,
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The segments, the oldest first, behind `after`.
    List {
        #[serde(default)]
        stream: Option<String>,
        #[serde(default)]
        trigger: Option<String>,
        #[serde(default)]
        after: Option<SegmentName>,
    },
    /// Sizes and digests of the files of a segment.
    Files(SegmentName),
    /// Bytes of a file from `offset` on.
    Chunk { segment: SegmentName, extension: String, offset: u64 },
    /// The segment is stored elsewhere: it is deleted, if these are the digests of its files.
    Delete { segment: SegmentName, sha256: Vec<String> },
}

/// A segment of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SegmentName {
    pub stream: String,
    pub name: String,
}

/// A file of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FileInfo {
    pub extension: String,
    pub bytes: u64,
    pub sha256: String,
}

impl CaptureRequest {
    /// `None` if it is none.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let fits = payload.len() <= MAX_REQUEST_BYTES;
        fits.then(|| serde_json::from_slice(payload).ok()).flatten()
    }
}

/// Answers requests, no faster than a rate.
#[derive(Debug)]
pub struct CaptureAnswers {
    /// 0 is no limit.
    max_bytes_per_s: u64,
    /// Before this time, no more bytes are sent.
    next: Mono,
}

impl CaptureAnswers {
    #[must_use]
    pub fn new(max_bytes_per_s: u64, now: Mono) -> Self {
        Self { max_bytes_per_s, next: now }
    }

    /// The answer to a request. `held`: results wait for the broker, so no bytes are sent.
    pub fn answer(
        &mut self,
        request: &CaptureRequest,
        writer: &mut CaptureWriter,
        (now, held): (Mono, bool),
    ) -> Vec<u8> {
        let wait = if held { HELD } else { self.next.since(now) };
        let made = match &request.ask {
            Ask::Chunk { .. } if !wait.is_zero() => {
                let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
                Ok((json!({ "wait_ms": ms }), Vec::new()))
            }
            Ask::Chunk { segment, extension, offset } => {
                chunk(writer, segment, extension, *offset, self.limit()).inspect(|(_, bytes)| {
                    self.next = now.plus(self.time_of(bytes.len()));
                })
            }
            Ask::List { stream, trigger, after } => {
                let filter = SegmentFilter { stream: stream.clone(), trigger: trigger.clone() };
                Ok((list(writer.segments(), &filter, after.as_ref()), Vec::new()))
            }
            Ask::Files(segment) => {
                files(writer, segment).map(|files| (json!({ "files": files }), Vec::new()))
            }
            Ask::Delete { segment, sha256 } => {
                delete(writer, segment, sha256).map(|()| (json!({ "deleted": true }), Vec::new()))
            }
        };
        let (mut head, bytes) = made.unwrap_or_else(|why| (json!({ "error": why }), Vec::new()));
        if let Some(head) = head.as_object_mut() {
            head.insert("n".into(), request.n.into());
        }
        let mut answer = head.to_string().into_bytes();
        answer.push(b'\n');
        answer.extend(bytes);
        answer
    }

    /// Bytes of an answer: no more than those of a second.
    fn limit(&self) -> u64 {
        let most = u64::try_from(MAX_CHUNK_BYTES).unwrap_or(u64::MAX);
        if self.max_bytes_per_s == 0 { most } else { self.max_bytes_per_s.min(most) }
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let micros = bytes.saturating_mul(1_000_000).checked_div(self.max_bytes_per_s);
        Duration::from_micros(micros.unwrap_or(0))
    }
}

fn list(segments: &[SegmentFile], filter: &SegmentFilter, after: Option<&SegmentName>) -> Value {
    let key = |segment: &SegmentFile| (segment.time, segment.name.clone(), segment.stream.clone());
    let after = after.and_then(|after| {
        let (time, _, _) = parse_name(&after.name)?;
        Some((time, after.name.clone(), after.stream.clone()))
    });
    let wanted = |segment: &&SegmentFile| {
        filter.takes(segment) && after.as_ref().is_none_or(|after| key(segment) > *after)
    };
    let mut found: Vec<&SegmentFile> = segments.iter().filter(wanted).collect();
    found.sort_by_key(|segment| key(segment));
    let more = found.len() > MAX_LISTED;
    found.truncate(MAX_LISTED);
    json!({ "segments": found, "more": more })
}

/// The segment of this name; paths are made of nothing else that a request contains.
fn find(writer: &CaptureWriter, wanted: &SegmentName) -> Result<SegmentFile, String> {
    let found = writer
        .segments()
        .iter()
        .find(|segment| segment.name == wanted.name && segment.stream == wanted.stream);
    found.cloned().ok_or_else(|| "there is no such segment any more".to_owned())
}

fn path(writer: &CaptureWriter, segment: &SegmentFile, extension: &str) -> PathBuf {
    path_of(&writer.dir().join(&segment.stream), &segment.name, extension)
}

/// Sizes and digests of the files of a segment, in the order in which they are fetched.
fn files(writer: &CaptureWriter, segment: &SegmentName) -> Result<Vec<FileInfo>, String> {
    let segment = find(writer, segment)?;
    let info = |extension: &str| -> io::Result<FileInfo> {
        let bytes = std::fs::read(path(writer, &segment, extension))?;
        let (extension, sha256) = (extension.to_owned(), Digest::of(&bytes).to_string());
        let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(FileInfo { extension, bytes, sha256 })
    };
    let infos: io::Result<Vec<FileInfo>> = FILE_EXTENSIONS.into_iter().map(info).collect();
    infos.map_err(|error| error.to_string())
}

fn chunk(
    writer: &CaptureWriter,
    segment: &SegmentName,
    extension: &str,
    offset: u64,
    limit: u64,
) -> Result<(Value, Vec<u8>), String> {
    let segment = find(writer, segment)?;
    let known = FILE_EXTENSIONS.into_iter().find(|known| *known == extension);
    let extension = known.ok_or("a segment has the files jsonl and npz")?;
    let mut bytes = Vec::new();
    let read = File::open(path(writer, &segment, extension)).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.take(limit).read_to_end(&mut bytes)
    });
    read.map_err(|error| error.to_string())?;
    Ok((json!({ "offset": offset, "bytes": bytes.len() }), bytes))
}

fn delete(
    writer: &mut CaptureWriter,
    segment: &SegmentName,
    sha256: &[String],
) -> Result<(), String> {
    let here = files(writer, segment)?;
    if !here.iter().map(|file| &file.sha256).eq(sha256) {
        return Err("these are not the digests of its files".to_owned());
    }
    let segment = find(writer, segment)?;
    writer.uploaded(&segment);
    Ok(())
}
