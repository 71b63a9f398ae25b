//! Failures of commands and their exit codes.

use std::io;
use std::path::Path;

use crate::bundle::BundleError;
use crate::config::ConfigError;

/// The exit codes (those of sysexits.h, where there is one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Failed = 1,
    Usage = 2,
    /// The broker, or the running daemon, cannot be reached.
    Unavailable = 69,
    /// A bug in inferd.
    Internal = 70,
    /// A file cannot be read or written.
    Io = 74,
    /// The configuration, or a model that it names, is invalid; a restart does not help.
    Config = 78,
}

/// Why a command failed, and the exit code it ends with.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Message(String),
    Usage(clap::Error),
    /// The command's own output has reported it.
    AlreadyReported,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, why: Why::Message(message.into()) }
    }

    /// The message, for a command that goes on with something else.
    pub(crate) fn message(&self) -> String {
        match &self.why {
            Why::Message(message) => message.clone(),
            Why::Usage(error) => error.to_string(),
            Why::AlreadyReported => String::new(),
        }
    }

    /// For a command whose output is the report.
    pub(crate) fn already_reported(exit: Exit) -> Self {
        Self { exit, why: Why::AlreadyReported }
    }

    pub(crate) fn io(act: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Io, format!("cannot {act} {}: {error}", path.display()))
    }

    /// As [`From<BundleError>`], where the model was named by the configuration.
    pub(crate) fn of_configured_model(error: &BundleError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }

    /// Prints the message on standard error, prefixed with the program's name.
    pub fn report(&self, program: &str) {
        match &self.why {
            Why::Message(message) => eprintln!("{program}: {message}"),
            // There is no way to report a closed standard error.
            Why::Usage(error) => _ = error.print(),
            Why::AlreadyReported => {}
        }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self { exit: Exit::Usage, why: Why::Usage(error) }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let exit = match &error {
            // A missing file is a wrong path; an unreadable one may be temporary.
            ConfigError::Read { source, .. } if source.kind() != io::ErrorKind::NotFound => {
                Exit::Io
            }
            ConfigError::Read { .. } | ConfigError::Invalid(_) => Exit::Config,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let exit = if error.is_io() { Exit::Io } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}
