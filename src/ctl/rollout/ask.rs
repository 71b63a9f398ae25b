//! What one `inferctl` asks of another that controls the rollout: a file beside the record.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::record::lock;
use crate::fs::{FileLock, sibling};
use crate::terminal::{Exit, Failure, write_atomic};

/// A controller looks several times a second.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const FILE: &str = "ask";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ask {
    Pause,
    Abort,
}

/// How asking ended.
#[derive(Debug)]
pub(super) enum Asked {
    /// The controller has taken it.
    Taken,
    /// There is no controller (any more): here is the lock, do it yourself.
    Alone(FileLock),
}

/// Has the controller of this record do something, or returns the lock where there is none.
pub(super) fn ask(record: &Path, ask: Ask) -> Result<Asked, Failure> {
    let path = sibling(record, FILE);
    if let Some(lock) = lock(record)? {
        // Left behind by someone who was not heard.
        withdraw(&path)?;
        return Ok(Asked::Alone(lock));
    }
    let text = serde_json::to_vec(&ask);
    write_atomic(&path, &text.map_err(|e| Failure::new(Exit::Internal, e.to_string()))?)?;
    let deadline = Instant::now() + PATIENCE;
    while path.exists() {
        if let Some(lock) = lock(record)? {
            withdraw(&path)?;
            return Ok(Asked::Alone(lock));
        }
        if Instant::now() > deadline {
            withdraw(&path)?;
            let message = "the controller of this record does not answer; is it stopped?";
            return Err(Failure::new(Exit::Failed, message));
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    Ok(Asked::Taken)
}

/// What the controller is asked; the asking is over with [`answer`].
pub(super) fn asked(record: &Path) -> Option<Ask> {
    // Nothing there is the rule; what does not read is nothing.
    serde_json::from_slice(&fs::read(sibling(record, FILE)).ok()?).ok()
}

/// Tells whoever asked that it is done.
pub(super) fn answer(record: &Path) -> Result<(), Failure> {
    withdraw(&sibling(record, FILE))
}

fn withdraw(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("remove", path, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
