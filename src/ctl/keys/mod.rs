//! `inferctl keys`

mod show;

use std::path::{Path, PathBuf};

use crate::ctl::keyset_chain::load_trust;
use crate::ctl::unlock::{KeyPassword, load_keys};
use crate::terminal::{Exit, Failure, print, write_atomic};
use crate::update::{Envelope, Keyset, PublicKey, Role, SecretKey};

/// Create a keyset (the public keys that a fleet trusts), or show one
///
/// Keyset 1 is provisioned on every gateway. With --after, creates the next keyset, signed by release
/// keys of both, which gateways accept over the air.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  inferctl keys --release release.key --deploy deploy.key --out keyset-1.json
  inferctl keys --release a.key --release b.key --release-threshold 2 --deploy d.key --out keyset-1.json
  inferctl keys --after keyset-1.json --sign-with a.key --release new.key --deploy d.key --out keyset-2.json
  inferctl keys show keyset-1.json keyset-2.json"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// A key that may sign models and the next keyset
    #[arg(long, value_name = "FILE", required = true)]
    release: Vec<PathBuf>,
    /// Number of release keys that must sign
    #[arg(long, value_name = "N", default_value_t = 1)]
    release_threshold: usize,
    /// A key that may deploy models
    #[arg(long, value_name = "FILE", required = true)]
    deploy: Vec<PathBuf>,
    /// Number of deploy keys that must sign
    #[arg(long, value_name = "N", default_value_t = 1)]
    deploy_threshold: usize,
    /// The earlier keysets, from the first one on
    #[arg(long, value_name = "FILE", requires = "sign_with")]
    after: Vec<PathBuf>,
    /// A release key of the previous keyset
    #[arg(long, value_name = "FILE", requires = "after")]
    sign_with: Vec<PathBuf>,
    #[command(flatten)]
    password: KeyPassword,
    /// The keyset file to write
    #[arg(long, value_name = "FILE", required = true)]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(show::Show),
}

pub(super) fn keys(args: &Args) -> Result<(), Failure> {
    match (&args.command, &args.out) {
        (Some(Command::Show(args)), _) => show::show(args),
        (None, Some(out)) => create(args, out),
        (None, None) => Err(Failure::new(Exit::Usage, "--out FILE is required")),
    }
}

fn create(args: &Args, out: &Path) -> Result<(), Failure> {
    let release = load_keys(&args.release, &args.password.key_password_file)?;
    let deploy = load_keys(&args.deploy, &args.password.key_password_file)?;
    let before = if args.after.is_empty() { None } else { Some(load_trust(&args.after)?) };
    let version = before.as_ref().map_or(1, |trust| trust.keyset().version.saturating_add(1));
    let publics =
        |keys: &[SecretKey]| -> Vec<PublicKey> { keys.iter().map(SecretKey::public).collect() };
    let keyset = Keyset {
        version,
        release: Role { keys: publics(&release), threshold: args.release_threshold },
        deploy: Role { keys: publics(&deploy), threshold: args.deploy_threshold },
    };
    let mut envelope = Envelope::of(&keyset)?;
    let older = load_keys(&args.sign_with, &args.password.key_password_file)?;
    release.iter().chain(&older).for_each(|key| envelope.sign(key));
    let bytes = envelope.bytes();
    // Verified as a gateway would.
    let judged = match &before {
        Some(trust) => trust.advance(&bytes),
        None => crate::update::Trust::provisioned(&bytes),
    };
    judged.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    write_atomic(out, &bytes)?;
    print(&format!("keyset {version} written to {}\n", out.display()))
}
