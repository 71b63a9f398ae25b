//! `inferctl rollback`

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::broker::{BrokerArgs, Session, TargetArgs, block_on, parse_model};
use super::counter::fetch_blob;
use super::rollout::pace::{Pace, PaceArgs};
use super::rollout::terms::Terms;
use super::rollout::{Signing, begin, preview};
use super::unlock::load_keys;
use super::upload::CheckedRelease;
use crate::ctl::dry_run::DryRun;
use crate::ctl::keyset_chain::{KeysetChain, SignedRelease};
use crate::ctl::rollout::RolloutRequest;
use crate::ids::ModelName;
use crate::terminal::{Exit, Failure, print, write_atomic};
use crate::update::PackedRelease;

/// Roll a fleet back to an older version
///
/// Gateways refuse releases whose counter is below that of the committed release, because an attacker
/// could otherwise restore an old vulnerability. A rollback is therefore a new release: the old files
/// with a higher counter, signed by the release role (--release-key). The new bundle is written
/// beside the old one. Gateways that still have the old version download only the manifest. If the
/// release keys are on another machine, `inferctl pack OLD.bundle --counter N --out NEW.bundle` and
/// `inferctl sign NEW.bundle --key release.key` make the same bundle there.
///
/// After a rotation of release keys, give all keysets from the first one on and the current release
/// key: the old release was signed by keys that are no longer valid.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollback --model motion --group line-a --to motion-1.0.0.bundle --keyset keyset-1.json \\
      --key deploy.key --release-key release.key --key-password-file password --record back.rollout
  inferctl rollback --model motion --gateway gw-17 --to motion-1.0.0-counter-3.bundle \\
      --keyset keyset-1.json --key deploy.key --record back.rollout")]
pub(super) struct Args {
    /// The model
    #[arg(long, value_name = "NAME", value_parser = parse_model)]
    model: ModelName,
    #[command(flatten)]
    target: TargetArgs,
    /// The bundle of the older version
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    signing: Signing,
    /// A release key, to sign the old files with a higher counter
    #[arg(long, value_name = "FILE")]
    release_key: Vec<PathBuf>,
    /// The counter to exceed [default: the highest that is deployed of the model]
    #[arg(long, value_name = "N")]
    above: Option<u64>,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    dry_run: DryRun,
    /// Print events as JSON, one object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn rollback(args: &Args) -> Result<(), Failure> {
    let chain = KeysetChain::load(&args.signing.keyset)?;
    let old = chain.release(&args.to)?;
    let floor = match args.above {
        Some(floor) => floor,
        None => block_on(deployed(args, &chain))?,
    };
    let as_it_is = old.keyset == chain.number() && old.manifest.counter > floor;
    let again = if as_it_is { None } else { Some(release_again(args, &old, floor, &chain)?) };
    let bundle = again.as_ref().map_or(&args.to, |again| &again.path).clone();
    let request = request(args, bundle)?;
    if args.dry_run.dry_run {
        let packed = again.map_or(old.packed, |again| again.packed);
        return preview(&request, CheckedRelease::of(packed, &chain)?);
    }
    if let Some(NewRelease { path, packed }) = &again {
        write_atomic(path, &packed.write()?)?;
        if !args.json {
            let (version, counter) = (&old.manifest.version, counter_after(&old, floor));
            print(&format!("{version} with counter {counter} written to {}\n", path.display()))?;
        }
    }
    begin(&request)
}

/// The old files as a new release, with its path.
struct NewRelease {
    path: PathBuf,
    packed: PackedRelease,
}

fn request(args: &Args, bundle: PathBuf) -> Result<RolloutRequest, Failure> {
    Ok(RolloutRequest {
        broker: args.broker.clone(),
        record: args.signing.record.clone(),
        model: args.model.clone(),
        target: args.target.target()?,
        bundle,
        keysets: args.signing.keyset.clone(),
        keys: args.signing.key.clone(),
        key_passwords: args.signing.key_password_file.clone(),
        terms: args.terms.clone(),
        // A rollback replaces a faulty model: predictions are expected to differ.
        default_shadow: 0,
        name: None,
        pace: args.pace.or(Pace::of_rollback()),
        json: args.json,
    })
}

/// Above all that is deployed, and above its own.
fn counter_after(old: &SignedRelease, floor: u64) -> u64 {
    floor.max(old.manifest.counter).saturating_add(1)
}

/// The old files under the next counter, signed, to be written beside the old bundle.
fn release_again(
    args: &Args,
    old: &SignedRelease,
    floor: u64,
    chain: &KeysetChain,
) -> Result<NewRelease, Failure> {
    let counter = counter_after(old, floor);
    let version = &old.manifest.version;
    let name = format!("{}-{version}-counter-{counter}.bundle", old.manifest.name);
    let path = args.to.with_file_name(name);
    if args.release_key.is_empty() {
        return Err(no_release_key(args, &path, old, (floor, counter), chain));
    }
    if old.keyset != chain.number() {
        // On standard error: a release of keys that were replaced must not come back unnoticed.
        eprintln!("{}", replaced(&args.to, old, chain));
    }
    let mut packed = old.packed.with_counter(counter, SystemTime::now().into())?;
    let keys = load_keys(&args.release_key, &args.signing.key_password_file)?;
    keys.iter().for_each(|key| packed.envelope_mut().sign(key));
    // Verified as a gateway would.
    packed.clone().verify(chain.current())?;
    Ok(NewRelease { path, packed })
}

/// The warning before a release with replaced keys is signed with the current ones.
fn replaced(to: &Path, old: &SignedRelease, chain: &KeysetChain) -> String {
    format!(
        "warning: {} is signed for keyset {}, and keyset {} has replaced its release keys. It is \
         released again with the current key. If the old keys were stolen, make sure that this \
         is the file that you released: manifest {}",
        to.display(),
        old.keyset,
        chain.number(),
        old.manifest.digest()
    )
}

fn no_release_key(
    args: &Args,
    path: &Path,
    old: &SignedRelease,
    (floor, counter): (u64, u64),
    chain: &KeysetChain,
) -> Failure {
    let (to, path) = (args.to.display(), path.display());
    let why = if old.keyset == chain.number() {
        format!("{to} has counter {}, and {floor} is deployed", old.manifest.counter)
    } else {
        let (keyset, current) = (old.keyset, chain.number());
        format!("{to} is signed for keyset {keyset}, and keyset {current} has replaced its keys")
    };
    let message = format!(
        "{why}: gateways would refuse it. Give --release-key, or make the release on the machine \
         with the release keys and give it with --to:\n  \
         inferctl pack {to} --counter {counter} --out {path}\n  \
         inferctl sign {path} --key release.key"
    );
    Failure::new(Exit::Failed, message)
}

/// The highest counter among the releases that are deployed of the model, anywhere. Those of before
/// a rotation of keys count, too: gateways have committed them.
async fn deployed(args: &Args, chain: &KeysetChain) -> Result<u64, Failure> {
    let mut session = Session::open(&args.broker).await?;
    let mut highest = 0;
    for message in session.subscribe_retained(&args.broker.deploy_filters(&args.model)).await? {
        let Some(deployment) = chain.deployment(&message.payload) else {
            eprintln!(
                "warning: the deployment on {} is ignored: it is not signed for any of the given \
                 keysets; if it is yours, add its keyset with --keyset, or give the counter to \
                 exceed with --above",
                message.topic
            );
            continue;
        };
        let manifest = fetch_blob(&mut session, &args.broker, &deployment.manifest).await?;
        let Some(manifest) = chain.manifest(&manifest) else {
            let message = format!(
                "the manifest of the deployment on {} is not on this broker, or is not signed for \
                 any of the given keysets: give the keysets from the first one on with --keyset, \
                 or the counter to exceed with --above",
                message.topic
            );
            return Err(Failure::new(Exit::Failed, message));
        };
        highest = highest.max(manifest.counter);
    }
    Ok(highest)
}
