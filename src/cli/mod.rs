//! The command line of `inferd`: one file a command.

mod bench;
mod broker_check;
mod capture;
mod card;
mod check;
mod config_file;
mod contained;
mod daemon_client;
#[cfg(feature = "demo")]
mod demo;
mod exit_codes;
mod flash_wear;
mod folders;
mod infer;
mod install;
mod listen;
mod log;
mod models;
mod probe;
mod queue;
mod replay;
mod run;
mod status;
mod try_stream;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand};

use crate::terminal::{self, Failure};

/// Runs quantized ONNX models on MQTT sensor data.
#[derive(Debug, Parser)]
#[command(name = "inferd", version, about, long_about = LONG_ABOUT, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log level; RUST_LOG allows per-module filters
    ///
    /// error: something is lost or does not work; act now. warn: the daemon continues, but look into
    /// it soon. info: normal operation, a few lines an hour. debug and trace: for troubleshooting.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<::log::LevelFilter>,
    /// Format of log lines
    ///
    /// json: one object a line with time, level, target, message, and where they are known stream,
    /// device, topic and reason.
    #[arg(long, global = true, value_name = "FORMAT", env = "INFERD_LOG_FORMAT")]
    #[arg(value_enum, default_value_t, hide_env_values = true)]
    log_format: log::LogFormat,
    /// Limit memory and time (of a process that another inferd has started)
    #[arg(long, global = true, hide = true)]
    contained: bool,
}

const LONG_ABOUT: &str = "\
Runs quantized ONNX models on sensor data: samples come in over MQTT, predictions go out over MQTT.

Exit codes: 0 success; 1 failure; 2 invalid usage; 69 the broker or the running daemon cannot be \
reached; 70 internal error, a bug in inferd; 74 a file cannot be read or written; 78 the \
configuration, or a model that it names, is invalid.";

const EXAMPLES: &str = "\
Examples:
  inferd demo                                      run the whole pipeline on real recordings
  inferd check --config /etc/inferd/inferd.toml    report every configuration error
  inferd run --config /etc/inferd/inferd.toml      run in the foreground, as the service does
  inferd bench models/motion                       measure the speed of a model
  inferd status                                    show the health of the running daemon";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    Infer(infer::Args),
    Try(try_stream::Args),
    Listen(listen::Args),
    Bench(bench::Args),
    Card(card::Args),
    Status(status::Args),
    Models(models::Args),
    Install(install::Install),
    Rollback(install::Rollback),
    #[command(subcommand)]
    Queue(queue::Queue),
    #[command(subcommand)]
    Capture(capture::Capture),
    #[command(hide = true)]
    Probe(probe::Args),
    /// Load the models of the configuration (run by the daemon)
    #[command(hide = true)]
    LoadModels(run::Args),
}

impl Command {
    /// The log level if neither the command line nor RUST_LOG gives one.
    fn default_level(&self) -> ::log::LevelFilter {
        match self {
            // The log would break its display.
            #[cfg(feature = "demo")]
            Self::Demo(_) => ::log::LevelFilter::Error,
            // Its answer holds everything.
            Self::Probe(_) | Self::LoadModels(_) => ::log::LevelFilter::Error,
            Self::Run(_)
            | Self::Check(_)
            | Self::Infer(_)
            | Self::Try(_)
            | Self::Listen(_)
            | Self::Bench(_)
            | Self::Card(_)
            | Self::Status(_)
            | Self::Models(_)
            | Self::Install(_)
            | Self::Rollback(_)
            | Self::Queue(_)
            | Self::Capture(_) => ::log::LevelFilter::Info,
        }
    }

    /// Whether it loads models that nothing has checked yet.
    fn loads_models(&self) -> bool {
        match self {
            Self::Check(args) => args.loads_models(),
            Self::Infer(_)
            | Self::Bench(_)
            | Self::Card(_)
            | Self::Try(_)
            | Self::LoadModels(_) => true,
            _ => false,
        }
    }
}

/// The command line of `inferd`, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that the arguments name. The first argument is the program's name.
///
/// # Errors
/// A [`Failure`] with a message and the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let args: Vec<OsString> = args.into_iter().collect();
    let Some(cli) = terminal::parsed(Cli::try_parse_from(&args))? else { return Ok(()) };
    log::start(cli.log_level, cli.command.default_level(), cli.log_format);
    if cli.contained {
        contained::confine();
    } else if cli.command.loads_models()
        && let Some(result) = contained::run_in_child(&args)
    {
        return result;
    }
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::demo(&args),
        Command::Infer(args) => infer::infer(&args),
        Command::Try(args) => try_stream::try_stream(&args),
        Command::Listen(args) => listen::listen(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Card(args) => card::card(&args),
        Command::Status(args) => status::status(&args),
        Command::Models(args) => models::models(&args),
        Command::Install(args) => install::install(&args),
        Command::Rollback(args) => install::rollback(&args),
        Command::Queue(queue) => queue::queue(&queue),
        Command::Capture(command) => capture::capture(&command),
        Command::Probe(args) => probe::probe(&args),
        Command::LoadModels(args) => run::load_only(&args),
    }
}
