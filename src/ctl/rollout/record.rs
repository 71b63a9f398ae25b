//! The record file: the persistent state of a rollout, and the lock that excludes a second controller.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::machine::Rollout;
use crate::fs::{FileLock, sibling};
use crate::terminal::{Exit, Failure, write_atomic};
use crate::update::Deployment;

/// The largest record file.
const MAX_RECORD_BYTES: u64 = 256 << 20;

/// A rollout on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Of this format.
    v: u8,
    /// Where the deployment is retained.
    pub topic: String,
    /// The parts that do not change with the waves; the others are set when a wave is signed.
    pub terms: Deployment,
    pub rollout: Rollout,
    /// The last deployment that was signed.
    pub sent: Option<SentDeployment>,
    pub files: Files,
}

/// A signed deployment. It is in the record before it is published, so that the next controller
/// publishes the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentDeployment {
    /// The machine's number.
    pub number: usize,
    pub seq: u64,
    pub envelope: String,
    /// The broker has acknowledged it.
    pub taken: bool,
}

/// The files that the next controller needs, as full paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Files {
    pub bundle: PathBuf,
    pub keysets: Vec<PathBuf>,
    pub keys: Vec<PathBuf>,
    #[serde(default)]
    pub key_password: KeyPasswords,
}

/// The files with the passwords of key files: none is null, one a text, several a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenPasswords", into = "WrittenPasswords")]
pub(super) struct KeyPasswords(Vec<PathBuf>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenPasswords {
    One(Option<PathBuf>),
    Several(Vec<PathBuf>),
}

impl KeyPasswords {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self(files)
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.0
    }
}

impl From<WrittenPasswords> for KeyPasswords {
    fn from(written: WrittenPasswords) -> Self {
        match written {
            WrittenPasswords::One(file) => Self(file.into_iter().collect()),
            WrittenPasswords::Several(files) => Self(files),
        }
    }
}

impl From<KeyPasswords> for WrittenPasswords {
    fn from(passwords: KeyPasswords) -> Self {
        match <[PathBuf; 1]>::try_from(passwords.0) {
            Ok([file]) => Self::One(Some(file)),
            Err(files) if files.is_empty() => Self::One(None),
            Err(files) => Self::Several(files),
        }
    }
}

/// A record that is this process's alone.
#[derive(Debug)]
pub(super) struct OpenRecord {
    path: PathBuf,
    pub record: Record,
    /// The system releases it with the process: a killed controller leaves no lock behind.
    _lock: FileLock,
}

impl Record {
    pub(super) fn new(topic: String, terms: Deployment, rollout: Rollout, files: Files) -> Self {
        Self { v: 1, topic, terms, rollout, sent: None, files }
    }

    /// Reads a record without holding it.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::io("read", path, &error);
        if fs::metadata(path).map_err(failed)?.len() > MAX_RECORD_BYTES {
            let message = format!("{}: too large for a record file", path.display());
            return Err(Failure::new(Exit::Failed, message));
        }
        let record: Result<Self, _> = serde_json::from_slice(&fs::read(path).map_err(failed)?);
        let no_record = |why: String| {
            Failure::new(
                Exit::Failed,
                format!("{} is not the record of a rollout: {why}", path.display()),
            )
        };
        let record = record.map_err(|error| no_record(error.to_string()))?;
        if record.v != 1 {
            return Err(no_record(format!("format {}", record.v)));
        }
        Ok(record)
    }
}

impl OpenRecord {
    /// Keeps a new record; there must be none.
    pub(super) fn create(path: &Path, record: Record, lock: FileLock) -> Result<Self, Failure> {
        let held = Self { path: path.to_owned(), record, _lock: lock };
        held.save()?;
        Ok(held)
    }

    /// Takes up a record.
    pub(super) fn open(path: &Path, lock: FileLock) -> Result<Self, Failure> {
        Ok(Self { path: path.to_owned(), record: Record::read(path)?, _lock: lock })
    }

    /// Writes the record; it is durable when this returns.
    pub(super) fn save(&self) -> Result<(), Failure> {
        let text = serde_json::to_vec(&self.record);
        let text = text.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        write_atomic(&self.path, &text)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The lock of a record; `None` where another process holds it.
pub(super) fn lock(record: &Path) -> Result<Option<FileLock>, Failure> {
    let path = sibling(record, "lock");
    FileLock::try_acquire(&path).map_err(|error| Failure::io("lock", &path, &error))
}

/// Whether another process holds the record's lock. Makes no file.
pub(super) fn is_locked(record: &Path) -> Result<bool, Failure> {
    let path = sibling(record, "lock");
    if !path.exists() {
        return Ok(false);
    }
    Ok(lock(record)?.is_none())
}

/// The failure for a record that another controller has locked.
pub(super) fn locked_by_other(record: &Path) -> Failure {
    let message = format!(
        "{} is in use by another controller; `inferctl rollout pause` and `abort` control it, and \
         `inferctl fleet --watch` shows the progress",
        record.display()
    );
    Failure::new(Exit::Failed, message)
}
