//! `inferd install` and `inferd rollback`

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::local::{Daemon, text};
use crate::control::{Ask, RELEASE_MAX};
use crate::terminal::{Exit, Failure, print, print_json};

/// Install a signed release from a file, such as one on a USB stick
///
/// The running daemon verifies it as it verifies what comes over the air: signed by the release keys
/// of the keyset it trusts, not older than what was committed here, whole, and right on its golden
/// vectors. Then it changes to it between two samples and watches it for a while: a model that fails
/// in that time is taken back by the daemon itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd install /media/usb/motion-1.5.0.bundle
  inferd install motion-1.5.0.bundle --json | jq -r .state")]
pub(super) struct Install {
    /// What `inferctl pack` and `inferctl sign` made
    file: PathBuf,
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Take the version before the active one of a model back
///
/// The active version is not taken again on this gateway, whatever is deployed. Where there is no
/// version before it, the shipped model serves.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd rollback motion
  inferd rollback motion --json | jq -r .to     null is the shipped model")]
pub(super) struct Rollback {
    /// The model's name
    model: String,
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn install(args: &Install) -> Result<(), Failure> {
    let file = read(&args.file)?;
    let bytes = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let answer = args.daemon.ask_with(Ask::Install { bytes }, &file)?;
    if args.json {
        return print_json(&answer);
    }
    let (model, version) = (text(&answer, "/model"), text(&answer, "/version"));
    print(&format!("model {model}: version {version} serves from now on, and is on trial\n"))
}

pub(super) fn rollback(args: &Rollback) -> Result<(), Failure> {
    let answer = args.daemon.ask(Ask::Rollback { model: args.model.clone() })?;
    if args.json {
        return print_json(&answer);
    }
    let from = text(&answer, "/from");
    let to = match text(&answer, "/to").as_str() {
        "-" => "the shipped model".to_owned(),
        version => format!("version {version}"),
    };
    print(&format!("model {}: {to} serves again; version {from} is not taken again\n", args.model))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Io, format!("cannot read {}: {error}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(RELEASE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > RELEASE_MAX {
        let message = format!("{}: a release has at most {RELEASE_MAX} bytes", path.display());
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok(bytes)
}
