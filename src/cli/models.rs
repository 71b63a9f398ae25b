//! `inferd models`

use serde_json::Value;

use super::local::{Daemon, bytes, list, text};
use crate::control::Ask;
use crate::ids::Digest;
use crate::terminal::{Exit, Failure, print, print_json, table};

/// List every model version on this gateway, and which one serves
///
/// The slots of a model: active (loaded at a start; trial while it has not proved itself), previous
/// (kept to go back to), staged (being fetched), and shipped, which came with the package and serves
/// where no other can. A digest is the SHA-256 of the packed bundle, of a shipped model that of its
/// model file.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  inferd models
  inferd models use motion 3f2a91c0          the version whose digest begins so
  inferd models use motion shipped           the one that came with the package
  inferd models --json | jq '.models[] | select(.state == \"serving\")'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Have a version that is here serve from now on
    ///
    /// The daemon verifies and loads it, runs its golden vectors and checks that every stream fits,
    /// then changes to it between two samples: none is lost, and partial windows go on unless their
    /// shape changed. What served before becomes `previous`.
    #[command(after_help = "Example:\n  inferd models use motion 3f2a91c0")]
    Use(Use),
}

#[derive(Debug, clap::Args)]
struct Use {
    /// The model's name
    model: String,
    /// How the version's digest begins (see `inferd models`), or `shipped`
    version: String,
    #[command(flatten)]
    daemon: Daemon,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn models(args: &Args) -> Result<(), Failure> {
    if let Some(Verb::Use(args)) = &args.verb {
        return change(args);
    }
    let answer = args.daemon.ask(Ask::Models)?;
    if args.json { print_json(&answer) } else { print(&shown(&answer)) }
}

fn change(args: &Use) -> Result<(), Failure> {
    let digest = match args.version.as_str() {
        "shipped" => None,
        beginning => Some(find(&args.daemon.ask(Ask::Models)?, &args.model, beginning)?),
    };
    let answer = args.daemon.ask(Ask::Use { model: args.model.clone(), digest })?;
    if args.json {
        return print_json(&answer);
    }
    print(&format!("model {}: version {} serves from now on\n", args.model, args.version))
}

/// The one stored version of the model whose digest begins so.
fn find(answer: &Value, model: &str, beginning: &str) -> Result<Digest, Failure> {
    let stored = list(answer, "/models")
        .filter(|row| row["name"] == model && row["slot"] != "shipped")
        .filter_map(|row| Digest::parse(row["digest"].as_str()?))
        .filter(|digest| digest.to_string().starts_with(beginning));
    let mut found: Vec<Digest> = stored.collect();
    found.dedup();
    match found[..] {
        [digest] => Ok(digest),
        [] => {
            let message = format!("model {model} has no version {beginning}: see `inferd models`");
            Err(Failure::new(Exit::Failed, message))
        }
        _ => {
            let message = format!("{beginning} is how more than one version begins");
            Err(Failure::new(Exit::Failed, message))
        }
    }
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
