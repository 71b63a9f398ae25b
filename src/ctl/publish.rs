//! `inferctl publish`

use std::path::{Path, PathBuf};

use super::broker::{BrokerArgs, Session, block_on};
use super::upload::{
    CheckedRelease, Published, keysets_missing, missing, read_release, upload, upload_keysets,
};
use crate::ctl::dry_run::{DryRun, PlannedMessages, Preview};
use crate::ctl::keyset_chain::{KeysetChain, numbered_keysets};
use crate::terminal::{Failure, print, print_json, write_atomic};
use crate::update::manifest::Blob;

/// Publish a signed bundle for download: on the broker, or in a folder for a web server
///
/// Checks signatures and files against the keysets first. On the broker every chunk is one retained
/// message of at most 64 KiB; chunks that are already there are not sent again, so an interrupted
/// publish can be repeated. With --web, files are written as DIR/SHA256 for any static web server
/// (`--source 'https://…/{sha256}'` of a rollout). No gateway installs anything until a rollout is
/// started.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl publish motion-1.1.0.bundle --keyset keyset-1.json
  inferctl publish motion-1.1.0.bundle --keyset keyset-1.json --dry-run
  inferctl publish motion-1.1.0.bundle --keyset keyset-1.json --keyset keyset-2.json --broker mqtts://b.example
  inferctl publish motion-1.1.0.bundle --keyset keyset-1.json --web /var/www/models")]
pub(super) struct Args {
    /// The packed and signed bundle
    bundle: PathBuf,
    /// The keysets, from the first one that the gateways were provisioned with; they are also published
    #[arg(long, value_name = "FILE", required = true)]
    keyset: Vec<PathBuf>,
    /// Write files to this folder instead of the broker
    #[arg(long, value_name = "DIR")]
    web: Option<PathBuf>,
    /// Send every chunk, including those that the broker already has
    #[arg(long, conflicts_with = "web")]
    all: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    dry_run: DryRun,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Done {
    name: String,
    version: String,
    counter: u64,
    manifest: String,
    keysets_sent: u64,
    #[serde(flatten)]
    published: Published,
}

pub(super) fn publish(args: &Args) -> Result<(), Failure> {
    let checked = read_release(&args.bundle, &KeysetChain::load(&args.keyset)?)?;
    if args.dry_run.dry_run {
        return preview(args, &checked)?.print(args.json);
    }
    let (published, keysets_sent) = match &args.web {
        Some(folder) => (write_web(&checked, folder)?, 0),
        None => block_on(async {
            let published = upload(&args.broker, &checked, args.all).await?;
            let sent = upload_keysets(&args.broker, &numbered_keysets(&args.keyset)?).await?;
            Ok((published, sent))
        })?,
    };
    let done = Done {
        name: checked.manifest.name.to_string(),
        version: checked.manifest.version.clone(),
        counter: checked.manifest.counter,
        manifest: checked.manifest.digest().to_string(),
        keysets_sent,
        published,
    };
    if args.json { print_json(&done) } else { print(&render(&done, args.web.as_deref())) }
}

fn preview(args: &Args, checked: &CheckedRelease) -> Result<Preview, Failure> {
    let mut preview = Preview::default();
    if let Some(folder) = &args.web {
        for (blob, bytes) in missing_files(checked, folder) {
            let path = folder.join(blob.sha256.to_string()).display().to_string();
            preview.add(PlannedMessages::one(&path, bytes.len(), checked.name(&blob.sha256)));
        }
        return Ok(preview);
    }
    block_on(async {
        let mut session = Session::open(&args.broker).await?;
        let (_, pieces) = missing(&mut session, &args.broker, checked, args.all).await?;
        checked.preview(&args.broker, &pieces, &mut preview);
        let keysets = numbered_keysets(&args.keyset)?;
        for (topic, bytes) in keysets_missing(&mut session, &args.broker, &keysets).await? {
            preview.add(PlannedMessages::one(&topic, bytes.len(), "keyset"));
        }
        Ok(preview)
    })
}

fn render(done: &Done, web: Option<&Path>) -> String {
    let place = web.map_or("the broker".to_owned(), |folder| folder.display().to_string());
    format!(
        "{} {} (counter {}): {} bytes in {} chunks on {place}; {} bytes in {} chunks sent\n\
         manifest {}\n",
        done.name,
        done.version,
        done.counter,
        done.published.bytes,
        done.published.chunks,
        done.published.sent_bytes,
        done.published.sent_chunks,
        done.manifest,
    )
}

/// Writes each blob under its digest, the manifest last; what is there already stays.
fn write_web(checked: &CheckedRelease, folder: &Path) -> Result<Published, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::io("make", folder, &error))?;
    let chunks = |blob: &Blob| u64::try_from(blob.chunks.len()).unwrap_or(u64::MAX);
    let mut published = Published::default();
    for (blob, _) in &checked.blobs {
        published.chunks += chunks(blob);
        published.bytes += blob.len;
    }
    for (blob, bytes) in missing_files(checked, folder) {
        write_atomic(&folder.join(blob.sha256.to_string()), bytes)?;
        published.sent_chunks += chunks(blob);
        published.sent_bytes += blob.len;
    }
    Ok(published)
}

/// The blobs that are not in the folder.
fn missing_files<'a>(
    checked: &'a CheckedRelease,
    folder: &Path,
) -> impl Iterator<Item = &'a (Blob, Vec<u8>)> {
    checked.blobs.iter().filter(move |(blob, bytes)| {
        let path = folder.join(blob.sha256.to_string());
        !std::fs::read(path).is_ok_and(|there| there == *bytes)
    })
}
