//! `inferctl keygen`

use std::path::PathBuf;

use super::{Failure, Password, keyfile};
use crate::cli::{print, print_json};

/// Make a key and keep it in a file
///
/// The file gets mode 0600 and, with --password-file, is encrypted (Argon2id and
/// ChaCha20-Poly1305). A file that is there already is never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl keygen --out release.key --password-file password
  inferctl keygen --out deploy.key --unencrypted")]
pub(super) struct Args {
    /// The key file to make
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    password: Password,
    /// Keep the key in the clear
    #[arg(long, conflicts_with = "password_file", required_unless_present = "password_file")]
    unencrypted: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Made {
    public: String,
    id: String,
    file: PathBuf,
}

pub(super) fn keygen(args: &Args) -> Result<(), Failure> {
    let public = keyfile::generate(&args.out, args.password.read()?.as_deref())?;
    let made =
        Made { public: public.to_string(), id: public.id().to_string(), file: args.out.clone() };
    if args.json {
        return print_json(&made);
    }
    print(&format!("public {}\nid     {}\nkept in {}\n", made.public, made.id, made.file.display()))
}
