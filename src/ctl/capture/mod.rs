//! `inferctl capture`

mod local;
mod pull;
mod remote;

use crate::terminal::Failure;

/// Fetch captured inputs from gateways
#[derive(Debug, clap::Subcommand)]
pub(super) enum Commands {
    Pull(pull::Args),
}

pub(super) fn capture(command: &Commands) -> Result<(), Failure> {
    match command {
        Commands::Pull(args) => pull::pull(args),
    }
}
