//! The asking side. Blocks.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{ANSWER_MAX, Answer, Ask, Refused, request_line};

/// A daemon that is alive answers within this, whatever its disk does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(
        "no daemon answers at {path} ({source}): start it with `inferd run`, and use the \
         configuration it runs with", path = path.display()
    )]
    NotRunning { path: PathBuf, source: io::Error },
    #[error(
        "{path} may not be used by this user: ask as root, as the daemon's user or in its group",
        path = path.display()
    )]
    NotAllowed { path: PathBuf },
    #[error(
        "{path}: the daemon did not answer ({reason}); it may be stopping, look at its log",
        path = path.display()
    )]
    NoAnswer { path: PathBuf, reason: String },
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Asks the daemon that listens at `path`.
///
/// # Errors
/// No daemon, no right to ask it, no answer within a minute, or its refusal.
pub fn ask(path: &Path, ask: Ask) -> Result<Value, AskError> {
    ask_with(path, ask, &[])
}

/// As [`ask`], with bytes that follow the request.
///
/// # Errors
/// As [`ask`].
pub fn ask_with(path: &Path, ask: Ask, body: &[u8]) -> Result<Value, AskError> {
    let mut stream = UnixStream::connect(path).map_err(|source| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => AskError::NotAllowed { path },
            _ => AskError::NotRunning { path, source },
        }
    })?;
    let no_answer = |reason: String| AskError::NoAnswer { path: path.to_owned(), reason };
    let bytes = exchange(&mut stream, ask, body).map_err(|error| no_answer(error.to_string()))?;
    if bytes.is_empty() {
        return Err(no_answer("it closed the connection".into()));
    }
    match serde_json::from_slice(&bytes).map_err(|error| no_answer(error.to_string()))? {
        Answer::Ok(value) => Ok(value),
        Answer::Refused(refused) => Err(refused.into()),
    }
}

fn exchange(stream: &mut UnixStream, ask: Ask, body: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&request_line(ask))?;
    // A daemon that has heard enough says why.
    let written = stream.write_all(body);
    let mut bytes = Vec::new();
    let limit = u64::try_from(ANSWER_MAX).unwrap_or(u64::MAX);
    let read = stream.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    if bytes.is_empty() {
        written.and(read)?;
    }
    Ok(bytes)
}
