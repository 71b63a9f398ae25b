//! The command line of `inferctl`: one file a command.

mod baseline;
mod broker;
mod capture;
mod counter;
mod dry_run;
mod exit_codes;
mod files;
mod fleet;
mod inspect;
mod keyfile;
mod keygen;
mod keys;
mod keyset_chain;
mod pack;
mod profile;
mod publish;
mod report;
mod rollback;
mod rollout;
mod sign;
mod simulate;
mod tail;
mod unlock;
mod upload;
mod verify;
mod wall_clock;
mod withdraw;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::terminal::{self, Failure};

/// Packs, signs and rolls out models to a fleet of inferd gateways.
#[derive(Debug, Parser)]
#[command(name = "inferctl", version, about, long_about = LONG_ABOUT, after_help = EXAMPLES)]
struct Cli {
    /// A file with defaults for options [default: inferctl.toml in the current folder, else
    /// ~/.config/inferd/inferctl.toml]
    #[arg(long, global = true, value_name = "FILE", env = "INFERCTL_PROFILE")]
    profile: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const LONG_ABOUT: &str = "\
Packs, signs and rolls out models to a fleet of inferd gateways.

Exit codes: 0 success; 1 failed or refused; 2 invalid usage; 69 the broker cannot be reached; 74 a \
file cannot be read or written; 78 the profile is invalid.";

const EXAMPLES: &str = "\
Examples:
  inferctl keygen --out deploy.key --unencrypted
  inferctl keygen --out release.key                # asks for a password
  inferctl keys --release release.key --deploy deploy.key --out keyset-1.json
  inferctl pack models/motion --counter 1 --out motion-1.0.0.bundle
  inferctl sign motion-1.0.0.bundle --key release.key
  inferctl verify motion-1.0.0.bundle --keyset keyset-1.json
  inferctl inspect motion-1.0.0.bundle
  inferctl simulate --gateways 10000 --failing 8%
  inferctl publish motion-1.0.0.bundle --keyset keyset-1.json
  inferctl rollout start --model motion --group line-a --bundle motion-1.0.0.bundle \
      --keyset keyset-1.json --key deploy.key --record motion.rollout
  inferctl fleet --watch";

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::Args),
    Keys(keys::Args),
    Baseline(baseline::Args),
    Pack(pack::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Simulate(simulate::Args),
    Publish(publish::Args),
    #[command(subcommand)]
    Rollout(rollout::Commands),
    Rollback(rollback::Args),
    Withdraw(withdraw::Args),
    Fleet(fleet::Args),
    Report(report::Args),
    Tail(tail::Args),
    #[command(subcommand)]
    Capture(capture::Commands),
    Profile(profile::Args),
}

/// The command line of `inferctl`, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that the arguments name. The first argument is the program's name.
///
/// # Errors
/// A [`Failure`] with a message and the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let args: Vec<_> = args.into_iter().collect();
    let found = profile::find(&args);
    let profile = found.as_ref().ok().and_then(Option::as_ref);
    let Some(cli) = terminal::parsed(parse(&args, profile)).transpose() else { return Ok(()) };
    let found = found?;
    let cli = cli?;
    match cli.command {
        Command::Keygen(args) => keygen::keygen(&args),
        Command::Keys(args) => keys::keys(&args),
        Command::Baseline(args) => baseline::baseline(&args),
        Command::Pack(args) => pack::pack(&args),
        Command::Sign(args) => sign::sign(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Publish(args) => publish::publish(&args),
        Command::Rollout(verb) => rollout::rollout(&verb),
        Command::Rollback(args) => rollback::rollback(&args),
        Command::Withdraw(args) => withdraw::withdraw(&args),
        Command::Fleet(args) => fleet::fleet(&args),
        Command::Report(args) => report::report(&args),
        Command::Tail(args) => tail::tail(&args),
        Command::Capture(command) => capture::capture(&command),
        Command::Profile(args) => profile::show(&args, found.as_ref()),
    }
}

fn parse(args: &[OsString], profile: Option<&profile::Found>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = profile::parse(&command, args, profile)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}
