//! `inferd models`

use serde_json::Value;

use super::Failure;
use super::local::{Daemon, bytes, list, text};
use super::terminal::{print, print_json, table};
use crate::control::Ask;

/// List every model version on this gateway, and which one serves
///
/// The slots of a model: active (loaded at a start; trial while it has not proved itself), previous
/// (kept to go back to), staged (being fetched), and shipped, which came with the package and serves
/// where no other can. A digest is the SHA-256 of the packed bundle, of a shipped model that of its
/// model file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd models
  inferd models --json | jq '.models[] | select(.state == \"serving\")'")]
pub(super) struct Args {
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn models(args: &Args) -> Result<(), Failure> {
    let answer = args.daemon.ask(Ask::Models)?;
    if args.json { print_json(&answer) } else { print(&shown(&answer)) }
}

/// The table of the models in an answer.
pub(super) fn shown(answer: &Value) -> String {
    let header = ["MODEL", "VERSION", "DIGEST", "SLOT", "SIZE", "STATE"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(list(answer, "/models").map(|model| {
        let digest = text(model, "/digest").chars().take(16).collect();
        let size = bytes(model["size"].as_u64());
        let [name, version] = ["/name", "/version"].map(|field| text(model, field));
        vec![name, version, digest, text(model, "/slot"), size, text(model, "/state")]
    }));
    table(&rows)
}
