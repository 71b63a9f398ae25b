//! `inferd capture list|export|purge|now`

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::daemon_client::{DaemonArgs, bytes, list, number, text};
use crate::control::ControlRequest;
use crate::pipeline::Trigger;
use crate::terminal::{Exit, Failure, print, print_json, table, write_atomic};

/// The files of a segment.
const EXTENSIONS: [&str; 2] = ["jsonl", "npz"];

/// List, copy or delete the inputs that were captured for labelling and training
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  inferd capture list
  inferd capture now --stream motion --count 20
  inferd capture export --out windows --trigger margin
  inferd capture purge --stream motion --yes")]
pub(super) enum Capture {
    /// Show the files with captured inputs
    ///
    /// Inputs that are still in memory are written first.
    #[command(after_help = "Example:\n  inferd capture list --json | jq .stats.captured")]
    List(List),
    /// Copy the files to a folder
    ///
    /// Each FILE.npz holds inputs of the model, one per row, as `inferctl pack --golden-inputs FILE` and numpy
    /// read them; FILE.jsonl has a line for each with id, time, device, label and score. Copying
    /// requires read access to the daemon's folder.
    #[command(after_help = "Example:\n  inferd capture export --out windows")]
    Export(Export),
    /// Delete the files
    #[command(after_help = "Example:\n  inferd capture purge --trigger random --yes")]
    Purge(Purge),
    /// Capture the next inputs of a stream
    #[command(after_help = "Example:\n  inferd capture now --stream motion --count 20")]
    Now(Now),
}

/// Which files are meant.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only of this stream
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Only by this trigger: command, reject, disagree, outside, margin, drift or random
    #[arg(long, value_name = "NAME", value_parser = trigger)]
    trigger: Option<String>,
}

fn trigger(text: &str) -> Result<String, String> {
    let names = || Trigger::ALL.map(Trigger::as_str).join(", ");
    Trigger::parse(text)
        .map(|it| it.as_str().to_owned())
        .ok_or_else(|| format!("one of {}", names()))
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    daemon: DaemonArgs,
    #[command(flatten)]
    filter: Filter,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    list: List,
    /// The folder to copy to; a folder per stream is created in it
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct Purge {
    #[command(flatten)]
    list: List,
    /// Confirm that the files are to be deleted
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Now {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// The stream, which needs a table [stream.capture]
    #[arg(long, value_name = "NAME")]
    stream: String,
    /// How many inputs
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn capture(command: &Capture) -> Result<(), Failure> {
    match command {
        Capture::List(args) => {
            let answer = args.ask()?;
            if args.json { print_json(&answer) } else { print(&listed(&answer)) }
        }
        Capture::Export(args) => export(args),
        Capture::Purge(args) => purge(args),
        Capture::Now(args) => {
            let (stream, count) = (args.stream.clone(), args.count);
            let answer = args.daemon.ask(ControlRequest::CaptureNow { stream, count })?;
            if args.json {
                return print_json(&answer);
            }
            print(&format!("the next {count} inputs of stream {} are captured\n", args.stream))
        }
    }
}

impl List {
    fn ask(&self) -> Result<Value, Failure> {
        let Filter { stream, trigger } = &self.filter;
        let (stream, trigger) = (stream.clone(), trigger.clone());
        self.daemon.ask(ControlRequest::CaptureList { stream, trigger })
    }
}

fn listed(answer: &Value) -> String {
    let header = ["STREAM", "TIME", "TRIGGER", "INPUTS", "SIZE", "FILE"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(list(answer, "/segments").map(|segment| {
        let [stream, time] = ["/stream", "/time"].map(|field| text(segment, field));
        let [trigger, name] = ["/trigger", "/name"].map(|field| text(segment, field));
        let inputs = number(segment, "/inputs").to_string();
        vec![stream, time, trigger, inputs, bytes(segment["bytes"].as_u64()), format!("{name}.npz")]
    }));
    if rows.len() == 1 {
        return "no captured inputs\n".to_owned();
    }
    table(&rows)
}

fn export(args: &Export) -> Result<(), Failure> {
    let answer = args.list.ask()?;
    let dir = PathBuf::from(text(&answer, "/dir"));
    let (mut files, mut inputs) = (0_u64, 0_u64);
    for segment in list(&answer, "/segments") {
        let (stream, name) = (text(segment, "/stream"), text(segment, "/name"));
        let (from, to) = (dir.join(&stream), args.out.join(&stream));
        fs::create_dir_all(&to).map_err(|error| Failure::io("create", &to, &error))?;
        for extension in EXTENSIONS {
            copy(&from, &to, &format!("{name}.{extension}"))?;
        }
        files += 1;
        inputs += number(segment, "/inputs");
    }
    if args.list.json {
        return print_json(&json!({ "out": args.out, "segments": files, "inputs": inputs }));
    }
    print(&format!("{inputs} inputs in {files} files copied to {}\n", args.out.display()))
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<(), Failure> {
    let path = from.join(name);
    let bytes = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
    write_atomic(&to.join(name), &bytes)
}

fn purge(args: &Purge) -> Result<(), Failure> {
    if !args.yes {
        let message = "a purge deletes captured inputs permanently: confirm with --yes";
        return Err(Failure::new(Exit::Usage, message));
    }
    let Filter { stream, trigger } = &args.list.filter;
    let (stream, trigger) = (stream.clone(), trigger.clone());
    let answer = args.list.daemon.ask(ControlRequest::CapturePurge { stream, trigger })?;
    if args.list.json {
        return print_json(&answer);
    }
    print(&format!("{} inputs deleted\n", number(&answer, "/purged")))
}
