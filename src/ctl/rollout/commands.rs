//! The commands of `inferctl rollout`.

use super::controller_ipc::HoldKind;
use super::hold::{HoldArgs, hold};
use super::list::{List, list};
use super::resume::{Resume, Watch, resume, watch};
use super::start::{Start, start};
use crate::terminal::Failure;

/// Roll a release out to a fleet in waves
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  inferctl rollout start --model motion --group line-a --bundle motion-1.1.0.bundle \\
      --keyset keyset-1.json --key deploy.key --waves 1%,10%,50%,100% --soak 10m --record motion.rollout
  inferctl rollout list
  inferctl rollout pause motion.rollout
  inferctl rollout resume motion.rollout")]
pub(in crate::ctl) enum Commands {
    Start(Box<Start>),
    List(List),
    Watch(Watch),
    Pause(Paused),
    Resume(Resume),
    Abort(Abort),
}

/// Hold gateways that have not switched, until the rollout is resumed
///
/// A running controller pauses the rollout and exits. Without the record file, give the rollout's name
/// and a deploy key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout pause motion.rollout
  inferctl rollout pause motion-1.1.0-5f2e10aa --keyset keyset-1.json --key deploy.key")]
pub(in crate::ctl) struct Paused {
    #[command(flatten)]
    of: HoldArgs,
}

/// Hold gateways that have not switched, permanently
///
/// Those that have switched keep the new model; `inferctl rollback` rolls them back. Without the
/// record file, give the rollout's name and a deploy key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout abort motion.rollout
  inferctl rollout abort motion-1.1.0-5f2e10aa --keyset keyset-1.json --key deploy.key")]
pub(in crate::ctl) struct Abort {
    #[command(flatten)]
    of: HoldArgs,
}

/// Runs a command.
pub(in crate::ctl) fn rollout(command: &Commands) -> Result<(), Failure> {
    match command {
        Commands::Start(args) => start(args),
        Commands::List(args) => list(args),
        Commands::Watch(args) => watch(args),
        Commands::Resume(args) => resume(args),
        Commands::Pause(Paused { of }) => hold(of, HoldKind::Pause),
        Commands::Abort(Abort { of }) => hold(of, HoldKind::Abort),
    }
}
