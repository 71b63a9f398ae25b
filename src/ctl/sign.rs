//! `inferctl sign`

use std::path::PathBuf;

use super::unlock::{KeyPassword, load_keys};
use crate::ctl::files::read;
use crate::terminal::{Failure, print, write_atomic};
use crate::update::PackedRelease;

/// Add signatures to a packed bundle
///
/// Each owner of a release key signs in turn, in any order; existing signatures are kept. The
/// password of an encrypted key is asked for on a terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl sign motion-1.0.0.bundle --key release.key
  inferctl sign motion-1.0.0.bundle --key release.key --key-password-file password")]
pub(super) struct Args {
    /// The packed bundle, changed in place
    bundle: PathBuf,
    /// A release key
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    #[command(flatten)]
    password: KeyPassword,
}

pub(super) fn sign(args: &Args) -> Result<(), Failure> {
    let mut packed = PackedRelease::read(&read(&args.bundle)?)?;
    let keys = load_keys(&args.key, &args.password.key_password_file)?;
    keys.iter().for_each(|key| packed.envelope_mut().sign(key));
    write_atomic(&args.bundle, &packed.write()?)?;
    let count = packed.envelope().claimed().count();
    print(&format!("{} has {count} signatures\n", args.bundle.display()))
}
