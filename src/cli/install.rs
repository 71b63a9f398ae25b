//! `inferd install` and `inferd rollback`

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::cli::daemon_client::{DaemonArgs, text};
use crate::control::{ControlRequest, MAX_RELEASE_SIZE};
use crate::terminal::{Exit, Failure, print, print_json};

/// Install a signed release from a file, such as one on a USB stick
///
/// The running daemon verifies the release as it verifies over-the-air updates: signatures by the
/// release keys of its keyset, a counter not below the committed one, every file, and the golden
/// vectors. It then switches to the release between two samples and puts it on trial: if the model
/// fails during the trial, the daemon rolls back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd install /media/usb/motion-1.5.0.bundle
  inferd install motion-1.5.0.bundle --json | jq -r .state")]
pub(super) struct Install {
    /// A packed and signed bundle
    file: PathBuf,
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Roll back to the previous version of a model
///
/// This gateway refuses the version that was active from then on, even if it is deployed. If there
/// is no previous version, the built-in model becomes active.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd rollback motion
  inferd rollback motion --json | jq -r .to     null is the built-in model")]
pub(super) struct Rollback {
    /// The model's name
    model: String,
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn install(args: &Install) -> Result<(), Failure> {
    let file = read(&args.file)?;
    let bytes = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let answer = args.daemon.ask_with(ControlRequest::Install { bytes }, &file)?;
    if args.json {
        return print_json(&answer);
    }
    let (model, version) = (text(&answer, "/model"), text(&answer, "/version"));
    print(&format!("model {model}: version {version} is active and on trial\n"))
}

pub(super) fn rollback(args: &Rollback) -> Result<(), Failure> {
    let answer = args.daemon.ask(ControlRequest::Rollback { model: args.model.clone() })?;
    if args.json {
        return print_json(&answer);
    }
    let from = text(&answer, "/from");
    let to = match text(&answer, "/to").as_str() {
        "-" => "the built-in model".to_owned(),
        version => format!("version {version}"),
    };
    print(&format!("model {}: {to} is active; version {from} will be refused\n", args.model))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Io, format!("cannot read {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_RELEASE_SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_RELEASE_SIZE {
        let message = format!(
            "{}: larger than the limit of {MAX_RELEASE_SIZE} bytes for a release",
            path.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(bytes)
}
