//! Requests to the running daemon.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli::config_file::ConfigFile;
use crate::config::{Config, ConfigError, Environment};
use crate::control::{ControlRequest, SOCKET, client};
use crate::terminal::Failure;

/// The options that select the daemon.
#[derive(Debug, clap::Args)]
pub(super) struct DaemonArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The daemon's control socket [default: control.sock in the configuration's `control.dir`]
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
}

impl DaemonArgs {
    /// Sends a request and returns the daemon's response.
    pub(super) fn ask(&self, ask: ControlRequest) -> Result<Value, Failure> {
        self.ask_with(ask, &[])
    }

    /// As [`DaemonArgs::ask`], with bytes that follow the request.
    pub(super) fn ask_with(&self, ask: ControlRequest, body: &[u8]) -> Result<Value, Failure> {
        Ok(client::send_with_body(&self.socket()?, ask, body)?)
    }

    fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let environment = Environment::of_process();
        let path = environment.config_file(self.file.config.as_deref());
        // Only the socket is needed. Other errors are ignored: the daemon may run with an earlier version of
        // the file, and only the service may be able to read a secret.
        let (config, problems) = Config::inspect(&path, &environment)?;
        let is_in_the_way = |path: &str| path.is_empty() || path.starts_with("control");
        match config {
            Some(config) if !problems.iter().any(|problem| is_in_the_way(&problem.path)) => {
                Ok(config.control.dir.join(SOCKET))
            }
            _ => Err(ConfigError::Invalid(problems).into()),
        }
    }
}

/// The number at a JSON pointer; 0 where there is none.
pub(super) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The text at a JSON pointer; `-` where there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned()
}

/// A size with a unit; `-` for none.
pub(super) fn bytes(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| indicatif::BinaryBytes(count).to_string())
}

/// Every object of a list at a JSON pointer.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}
