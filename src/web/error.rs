//! Errors of fetching a range.

use std::path::PathBuf;
use std::time::Duration;

/// Why a range could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("invalid URL {url:?}: {why}")]
    Address { url: String, why: &'static str },
    #[error("invalid range of {len} bytes at offset {offset}: a range has 1 to {max} bytes")]
    Length { offset: u64, len: u32, max: u32 },
    #[error("the CA file {path} cannot be used: {why}", path = .path.display())]
    CaFile { path: PathBuf, why: String },
    #[error("no response from {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("{url} is too slow: {why}")]
    Slow { url: String, why: String },
    #[error("{url} responded with status {status}{}", again(*.retry_after))]
    Status {
        url: String,
        status: u16,
        /// When to retry, as requested by the server; at most an hour.
        retry_after: Option<Duration>,
    },
    #[error("{url} redirects to {to:?}, which is not followed: {why}")]
    Redirect { url: String, to: String, why: &'static str },
    #[error("{url} did not respond with the requested range: {why}")]
    Range { url: String, why: String },
    #[error("{url} ends after {found} of {expected} bytes")]
    Short { url: String, found: u64, expected: u64 },
    #[error("{url} sends more than the {expected} requested bytes")]
    Long { url: String, expected: u32 },
}

impl WebError {
    /// How long to wait before a retry, as requested by the server; at most an hour.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Address { .. }
            | Self::Length { .. }
            | Self::CaFile { .. }
            | Self::Unreachable { .. }
            | Self::Slow { .. }
            | Self::Redirect { .. }
            | Self::Range { .. }
            | Self::Short { .. }
            | Self::Long { .. } => None,
        }
    }
}

fn again(retry_after: Option<Duration>) -> String {
    retry_after.map(|after| format!(", retry after {} s", after.as_secs())).unwrap_or_default()
}
