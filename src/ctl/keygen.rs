//! `inferctl keygen`

use std::path::PathBuf;

use super::keyfile;
use super::unlock::{self, KeyPassword};
use crate::terminal::{Failure, print, print_json};

/// Create a key file
///
/// The file has mode 0600 and is encrypted with a password (Argon2id and ChaCha20-Poly1305), which is
/// asked for on a terminal or read from --key-password-file. An existing file is never overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl keygen --out deploy.key --unencrypted
  inferctl keygen --out release.key
  inferctl keygen --out release.key --key-password-file password")]
pub(super) struct Args {
    /// The key file to create
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    password: KeyPassword,
    /// Store the key unencrypted
    #[arg(long, conflicts_with = "key_password_file")]
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
    let files = &args.password.key_password_file;
    let password = unlock::new_password(files, args.unencrypted, &args.out)?;
    let public = keyfile::generate(&args.out, password.as_deref())?;
    let made =
        Made { public: public.to_string(), id: public.id().to_string(), file: args.out.clone() };
    if args.json {
        return print_json(&made);
    }
    print(&format!(
        "public {}\nid     {}\nstored in {}\n",
        made.public,
        made.id,
        made.file.display()
    ))
}
