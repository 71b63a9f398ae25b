//! `inferctl inspect`

use std::path::PathBuf;

use crate::ctl::files::read;
use crate::terminal::{Failure, print, print_json, table};
use crate::update::{Manifest, PackedRelease};

/// Show a bundle's contents without verifying signatures
///
/// Lists the keys that claim to have signed it; `inferctl verify` checks the signatures.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl inspect motion-1.0.0.bundle
  inferctl inspect motion-1.0.0.bundle --json")]
pub(super) struct Args {
    /// The packed bundle
    bundle: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Shown<'a> {
    manifest: &'a Manifest,
    claimed_signers: Vec<String>,
}

pub(super) fn inspect(args: &Args) -> Result<(), Failure> {
    let packed = PackedRelease::read(&read(&args.bundle)?)?;
    let manifest: Manifest = packed.envelope().unverified()?;
    let claimed_signers: Vec<_> = packed.envelope().claimed().map(|id| id.to_string()).collect();
    if args.json {
        return print_json(&Shown { manifest: &manifest, claimed_signers });
    }
    let mut text = format!(
        "{} {}, counter {}, created {} (not verified)\n",
        manifest.name, manifest.version, manifest.counter, manifest.created
    );
    let head = ["FILE", "BYTES", "CHUNKS", "SHA-256"].map(str::to_owned).to_vec();
    let row = |path: String, blob: &crate::update::manifest::Blob| {
        vec![path, blob.len.to_string(), blob.chunks.len().to_string(), blob.sha256.to_string()]
    };
    let files = manifest.files.iter().map(|file| row(file.path.clone(), &file.blob));
    let deltas = manifest.deltas.iter();
    let deltas = deltas.map(|delta| row(format!("delta of {}", delta.path), &delta.blob));
    text += &table(&std::iter::once(head).chain(files).chain(deltas).collect::<Vec<_>>());
    for id in claimed_signers {
        text += &format!("claims to be signed by {id}\n");
    }
    print(&text)
}
