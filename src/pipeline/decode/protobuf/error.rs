//! Why a message cannot be read.

use std::fmt;

/// Why a message cannot be read, in words.
#[derive(Debug)]
pub(super) struct ProtobufError(pub(super) String);

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProtobufError {}

impl serde::de::Error for ProtobufError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl From<&str> for ProtobufError {
    fn from(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}
