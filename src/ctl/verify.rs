//! `inferctl verify`

use std::path::PathBuf;

use crate::ctl::files::read;
use crate::ctl::keyset_chain::load_trust;
use crate::pipeline;
use crate::terminal::{Failure, print, print_json};
use crate::update::PackedRelease;

/// Verify a packed bundle as a gateway does
///
/// Checks the signatures against the keyset, every file against the manifest, and the model against
/// its card and its golden vectors. Exits with 1 and the reason if a gateway would refuse the bundle.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl verify motion-1.0.0.bundle --keyset keyset-1.json
  inferctl verify motion-1.0.0.bundle --keyset keyset-1.json --keyset keyset-2.json")]
pub(super) struct Args {
    /// The packed bundle
    bundle: PathBuf,
    /// The keysets, from the first one that the gateways were provisioned with
    #[arg(long, value_name = "FILE", required = true)]
    keyset: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Good<'a> {
    name: &'a str,
    version: &'a str,
    counter: u64,
    manifest: String,
    keyset: u64,
}

pub(super) fn verify(args: &Args) -> Result<(), Failure> {
    let trust = load_trust(&args.keyset)?;
    let installable = PackedRelease::read(&read(&args.bundle)?)?.verify(&trust)?;
    pipeline::load(&installable.bundle()?)?;
    let manifest = installable.manifest();
    let good = Good {
        name: manifest.name.as_str(),
        version: &manifest.version,
        counter: manifest.counter,
        manifest: manifest.digest().to_string(),
        keyset: trust.keyset().version,
    };
    if args.json {
        return print_json(&good);
    }
    print(&format!(
        "valid: {} {} (counter {}), signed for keyset {}\nmanifest {}\n",
        good.name, good.version, good.counter, good.keyset, good.manifest
    ))
}
