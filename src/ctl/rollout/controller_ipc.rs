//! Requests to the `inferctl` process that controls a rollout, in a file beside the record.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::record::lock;
use crate::fs::{FileLock, sibling};
use crate::terminal::{Exit, Failure, write_atomic};

/// A controller looks several times a second.
const CONTROLLER_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const FILE: &str = "ask";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HoldKind {
    Pause,
    Abort,
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum Delivered {
    /// The controller has taken it.
    Taken,
    /// There is no controller; the caller has the lock and must act itself.
    Alone(FileLock),
}

/// Sends a request to the controller of this record, or returns the lock if there is none.
pub(super) fn ask(record: &Path, ask: HoldKind) -> Result<Delivered, Failure> {
    let path = sibling(record, FILE);
    if let Some(lock) = lock(record)? {
        // Left behind by an earlier request.
        withdraw(&path)?;
        return Ok(Delivered::Alone(lock));
    }
    let text = serde_json::to_vec(&ask);
    write_atomic(&path, &text.map_err(|e| Failure::new(Exit::Internal, e.to_string()))?)?;
    let deadline = Instant::now() + CONTROLLER_TIMEOUT;
    while path.exists() {
        if let Some(lock) = lock(record)? {
            withdraw(&path)?;
            return Ok(Delivered::Alone(lock));
        }
        if Instant::now() > deadline {
            withdraw(&path)?;
            let message = "the controller of this record does not respond; check whether its \
                           process is stopped";
            return Err(Failure::new(Exit::Failed, message));
        }
        std::thread::park_timeout(POLL_INTERVAL);
    }
    Ok(Delivered::Taken)
}

/// The pending request to the controller; [`answer`] ends it.
pub(super) fn asked(record: &Path) -> Option<HoldKind> {
    // Nothing there is the rule; what does not read is nothing.
    serde_json::from_slice(&fs::read(sibling(record, FILE)).ok()?).ok()
}

/// Signals that the request was handled.
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
