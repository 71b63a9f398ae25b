//! The exit codes of errors that only `inferctl` meets.

use super::keyfile::KeyError;
use crate::terminal::{Exit, Failure};
use crate::update::{PackError, VerifyError};

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let exit = match &error {
            KeyError::File { .. } => Exit::Io,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}
