//! The client. Calls block.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{ControlRequest, ErrorResponse, MAX_RESPONSE_SIZE, Response, request_line};

/// A running daemon responds within this time, even if its disk is slow.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error(
        "no daemon is listening at {path} ({source}): start it with `inferd run`, and use the \
         configuration of the daemon", path = path.display()
    )]
    NotRunning { path: PathBuf, source: io::Error },
    #[error(
        "permission denied for {path}: run the command as root, as the daemon's user or in its \
         group",
        path = path.display()
    )]
    NotAllowed { path: PathBuf },
    #[error(
        "{path}: the daemon did not respond ({reason}); it may be stopping, see its log",
        path = path.display()
    )]
    NoAnswer { path: PathBuf, reason: String },
    #[error(transparent)]
    Refused(#[from] ErrorResponse),
}

/// Sends a request to the daemon that listens at `path`.
///
/// # Errors
/// No daemon, no permission, no response within a minute, or an error response.
pub fn send(path: &Path, ask: ControlRequest) -> Result<Value, RequestError> {
    send_with_body(path, ask, &[])
}

/// As [`send`], with bytes that follow the request.
///
/// # Errors
/// As [`send`].
pub fn send_with_body(
    path: &Path,
    ask: ControlRequest,
    body: &[u8],
) -> Result<Value, RequestError> {
    let mut stream = UnixStream::connect(path).map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => RequestError::NotAllowed { path },
            _ => RequestError::NotRunning { path, source },
        }
    })?;
    let no_answer = |reason: String| RequestError::NoAnswer { path: path.to_owned(), reason };
    let bytes = exchange(&mut stream, ask, body).map_err(|error| no_answer(error.to_string()))?;
    if bytes.is_empty() {
        return Err(no_answer("it closed the connection".into()));
    }
    match serde_json::from_slice(&bytes).map_err(|error| no_answer(error.to_string()))? {
        Response::Ok(value) => Ok(value),
        Response::Refused(refused) => Err(refused.into()),
    }
}

fn exchange(stream: &mut UnixStream, ask: ControlRequest, body: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    stream.set_write_timeout(Some(RESPONSE_TIMEOUT))?;
    stream.write_all(&request_line(ask))?;
    // A daemon that rejects the body still sends a response.
    let written = stream.write_all(body);
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_RESPONSE_SIZE).unwrap_or(u64::MAX);
    let read = stream.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    if bytes.is_empty() {
        written.and(read)?;
    }
    Ok(bytes)
}
