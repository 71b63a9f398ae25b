//! Captured inputs, as local commands see them.

use serde_json::json;
use tokio::sync::oneshot;

use crate::capture::{CaptureHandle, CaptureWriter, SegmentFile, SegmentFilter};
use crate::control::{ErrorCode, ErrorResponse};
use crate::daemon::context::DaemonContext;
use crate::daemon::updates::commands::CommandResult;

const BUSY: &str = "the thread that writes captured inputs does not keep up";
const OFF: &str = "no stream captures inputs: add a table [stream.capture] to the configuration";

/// Writes what is in memory, and lists the segments.
pub(super) async fn list(context: &DaemonContext, filter: SegmentFilter) -> CommandResult {
    let handle = handle(context)?;
    let list = move |writer: &mut CaptureWriter| {
        writer.flush();
        let segments = writer.segments().iter().filter(|segment| filter.takes(segment));
        let segments: Vec<SegmentFile> = segments.cloned().collect();
        json!({ "dir": writer.dir(), "segments": segments, "stats": writer.stats() })
    };
    run(handle, list).await
}

/// The newest segments on disk, at most `count`, the newest first; none if the thread is busy.
pub(crate) async fn newest(context: &DaemonContext, count: usize) -> Vec<SegmentFile> {
    let Ok(handle) = handle(context) else { return Vec::new() };
    let newest = move |writer: &mut CaptureWriter| {
        writer.segments().iter().rev().take(count).cloned().collect()
    };
    run(handle, newest).await.unwrap_or_default()
}

/// Deletes segments.
pub(super) async fn purge(context: &DaemonContext, filter: SegmentFilter) -> CommandResult {
    let purge = move |writer: &mut CaptureWriter| writer.purge(&filter);
    let purged = run(handle(context)?, purge).await?;
    let purged = purged.map_err(|error| ErrorResponse::new(ErrorCode::Store, error.to_string()))?;
    Ok(json!({ "purged": purged }))
}

/// Captures the next inputs of a stream.
pub(super) fn now(context: &DaemonContext, stream: &str, count: u32) -> CommandResult {
    let streams = &context.config.streams;
    let index = streams.iter().position(|it| it.name.as_str() == stream && it.capture.is_some());
    let index = index.ok_or_else(|| {
        let why = format!("stream {stream:?} does not exist, or has no table [stream.capture]");
        ErrorResponse::new(ErrorCode::BadRequest, why)
    })?;
    handle(context)?.request(index, count);
    Ok(json!({ "stream": stream, "requested": count }))
}

fn handle(context: &DaemonContext) -> Result<&CaptureHandle, ErrorResponse> {
    context.capture.as_ref().ok_or_else(|| ErrorResponse::new(ErrorCode::BadRequest, OFF))
}

/// Runs a job on the thread of captured inputs, and awaits its result.
async fn run<T: Send + 'static>(
    handle: &CaptureHandle,
    job: impl FnOnce(&mut CaptureWriter) -> T + Send + 'static,
) -> Result<T, ErrorResponse> {
    let busy = || ErrorResponse::new(ErrorCode::Busy, BUSY);
    let (answer, found) = oneshot::channel();
    let job = move |writer: &mut CaptureWriter| {
        if answer.send(job(writer)).is_err() {
            log::debug!("a result of captured inputs is no longer awaited");
        }
    };
    handle.run(job).map_err(|_| busy())?;
    found.await.map_err(|_| busy())
}
