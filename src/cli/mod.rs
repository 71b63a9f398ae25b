//! The command line of `inferd`: one file a verb, one way to end.

mod bench;
mod check;
mod config_file;
mod connect;
#[cfg(feature = "demo")]
mod demo;
mod exit_codes;
mod folders;
mod infer;
mod install;
mod local;
mod log;
mod models;
mod probe;
mod queue;
mod replay;
mod run;
mod status;
mod wear;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use crate::terminal::{self, Failure};

/// Runs quantized ONNX models on MQTT sensor data.
#[derive(Debug, Parser)]
#[command(name = "inferd", version, about, long_about = LONG_ABOUT, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// How much to log; RUST_LOG says it in more detail
    ///
    /// error: act now, something is lost or will not work. warn: look into it soon, the daemon
    /// copes. info: what an operator wants to know of a normal day, a few lines an hour. debug and
    /// trace: for finding faults.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<::log::LevelFilter>,
}

const LONG_ABOUT: &str = "\
Runs quantized ONNX models on sensor data: samples come in over MQTT, predictions go out over MQTT.

Exit codes: 0 well; 1 failed; 2 wrong usage; 69 the broker, or the running daemon, cannot be reached; 70 a defect of inferd; \
74 a file cannot be read or written; 78 the configuration, or a model it names, is wrong.";

const EXAMPLES: &str = "\
Examples:
  inferd demo                                      see it work on real recordings
  inferd check --config /etc/inferd/inferd.toml    find every mistake before starting
  inferd run --config /etc/inferd/inferd.toml      run in the foreground, as the service does
  inferd bench models/motion                       how fast is this model here?
  inferd status                                    how is the running daemon?";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Check(check::Args),
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    Infer(infer::Args),
    Bench(bench::Args),
    Status(status::Args),
    Models(models::Args),
    Install(install::Install),
    Rollback(install::Rollback),
    #[command(subcommand)]
    Queue(queue::Queue),
    #[command(hide = true)]
    Probe(probe::Args),
}

impl Verb {
    /// How much is logged where nobody asks for more or less.
    fn usual_level(&self) -> ::log::LevelFilter {
        match self {
            // Its output is what it shows; the log would stand in between.
            #[cfg(feature = "demo")]
            Self::Demo(_) => ::log::LevelFilter::Error,
            // What it has to say is in its answer.
            Self::Probe(_) => ::log::LevelFilter::Error,
            Self::Run(_)
            | Self::Check(_)
            | Self::Infer(_)
            | Self::Bench(_)
            | Self::Status(_)
            | Self::Models(_)
            | Self::Install(_)
            | Self::Rollback(_)
            | Self::Queue(_) => ::log::LevelFilter::Info,
        }
    }
}

/// What `inferd` takes, for its manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the arguments (the program's name first) ask for.
///
/// # Errors
/// What went wrong, with the exit code it ends the process with.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let Some(cli) = terminal::parsed(Cli::try_parse_from(args))? else { return Ok(()) };
    log::start(cli.log_level, cli.verb.usual_level());
    match cli.verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::check(&args),
        #[cfg(feature = "demo")]
        Verb::Demo(args) => demo::demo(&args),
        Verb::Infer(args) => infer::infer(&args),
        Verb::Bench(args) => bench::bench(&args),
        Verb::Status(args) => status::status(&args),
        Verb::Models(args) => models::models(&args),
        Verb::Install(args) => install::install(&args),
        Verb::Rollback(args) => install::rollback(&args),
        Verb::Queue(queue) => queue::queue(&queue),
        Verb::Probe(args) => probe::probe(&args),
    }
}
