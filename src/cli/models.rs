//! `inferd models`

use serde_json::Value;

use crate::cli::daemon_client::{DaemonArgs, bytes, list, text};
use crate::control::ControlRequest;
use crate::ids::Digest;
use crate::terminal::{Exit, Failure, print, print_json, table};

/// List every model version on this gateway and the active one
///
/// The slots of a model: active (`trial` until it has passed its trial), previous (kept for a
/// rollback), staged (being downloaded), and shipped, the built-in model of the package, which is
/// used if no other can be loaded. A digest is the SHA-256 of the packed bundle, or of the model file
/// for a built-in model.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  inferd models
  inferd models use motion 3f2a91c0          the version with this digest prefix
  inferd models use motion shipped           the built-in version of the package
  inferd models --json | jq '.models[] | select(.state == \"serving\")'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Activate an installed version
    ///
    /// The daemon verifies and loads it, runs its golden vectors and checks that it fits every stream,
    /// then switches to it between two samples. No sample is lost, and partial windows are kept unless
    /// their shape changes. The version that was active becomes `previous`.
    #[command(after_help = "Example:\n  inferd models use motion 3f2a91c0")]
    Use(Use),
}

#[derive(Debug, clap::Args)]
struct Use {
    /// The model's name
    model: String,
    /// A prefix of the version's digest (see `inferd models`), or `shipped`
    version: String,
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn models(args: &Args) -> Result<(), Failure> {
    if let Some(Command::Use(args)) = &args.command {
        return change(args);
    }
    let answer = args.daemon.ask(ControlRequest::Models)?;
    if args.json { print_json(&answer) } else { print(&render(&answer)) }
}

fn change(args: &Use) -> Result<(), Failure> {
    let digest = match args.version.as_str() {
        "shipped" => None,
        beginning => Some(find(&args.daemon.ask(ControlRequest::Models)?, &args.model, beginning)?),
    };
    let answer = args.daemon.ask(ControlRequest::Use { model: args.model.clone(), digest })?;
    if args.json {
        return print_json(&answer);
    }
    print(&format!("model {}: version {} is active\n", args.model, args.version))
}

/// The one stored version of the model with this digest prefix.
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
            let message =
                format!("{beginning} is ambiguous: it matches several versions; give more digits");
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

/// The table of the models in an answer.
pub(super) fn render(answer: &Value) -> String {
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
