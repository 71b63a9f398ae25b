//! Why a range did not come.

use std::path::PathBuf;
use std::time::Duration;

/// Why a range did not come. Says which address, what of it, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error("{url:?} is no address to fetch from: {why}")]
    Address { url: String, why: &'static str },
    #[error("{len} bytes from {offset} on are not fetched: a range has 1 to {max} bytes")]
    Length { offset: u64, len: u32, max: u32 },
    #[error("the CA file {path} cannot be used: {why}", path = .path.display())]
    CaFile { path: PathBuf, why: String },
    #[error("cannot fetch from {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("{url} takes too long: {why}")]
    Slow { url: String, why: String },
    #[error("{url} answers with status {status}{}", again(*.retry_after))]
    Status {
        url: String,
        status: u16,
        /// When the server wants to be asked again; at most an hour.
        retry_after: Option<Duration>,
    },
    #[error("{url} leads to {to:?}, which is not followed: {why}")]
    Redirect { url: String, to: String, why: &'static str },
    #[error("{url} answers with something else than the range: {why}")]
    Range { url: String, why: String },
    #[error("{url} ends after {found} of {wanted} bytes")]
    Short { url: String, found: u64, wanted: u64 },
    #[error("{url} sends more than the {wanted} bytes it was asked for")]
    Long { url: String, wanted: u32 },
}

impl WebError {
    /// How long the server wants to be left alone; at most an hour.
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
    retry_after.map(|after| format!(", ask again after {} s", after.as_secs())).unwrap_or_default()
}
