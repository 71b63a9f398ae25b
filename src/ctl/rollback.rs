//! `inferctl rollback`

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::broker::{BrokerArgs, Session, TargetArgs, block_on, model};
use super::chain::{Chain, Signed};
use super::counter::fetched;
use super::preview::DryRun;
use super::rollout::terms::Terms;
use super::rollout::waves::{Wave, wave};
use super::rollout::{Order, Signing, begin, preview};
use super::simulate::percent;
use super::unlock::load_keys;
use super::upload::Checked;
use crate::config::parse_span;
use crate::ids::ModelName;
use crate::terminal::{Exit, Failure, print, write_atomic};
use crate::update::Packed;

/// Bring a fleet back to an older version
///
/// Gateways take no release whose counter is below that of the one they have committed, or an
/// attacker could bring back an old fault. So going back is a release like any other: the old files
/// under a higher counter, signed by the release role (--release-key). The new bundle is written
/// beside the old one. Gateways that have kept the old version fetch only the manifest. If the
/// release keys are elsewhere, `inferctl pack OLD.bundle --counter N --out NEW.bundle` and
/// `inferctl sign NEW.bundle --key release.key` make the same bundle there.
///
/// After a rotation of release keys, name all keysets from the first one on and the current release
/// key: the old release was signed by keys that no longer count.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollback --model motion --group line-a --to motion-1.0.0.bundle --keyset keyset-1.json \\
      --key deploy.key --release-key release.key --key-password-file password --record back.rollout
  inferctl rollback --model motion --gateway gw-17 --to motion-1.0.0-counter-3.bundle \\
      --keyset keyset-1.json --key deploy.key --record back.rollout")]
pub(super) struct Args {
    /// The model
    #[arg(long, value_name = "NAME", value_parser = model)]
    model: ModelName,
    #[command(flatten)]
    target: TargetArgs,
    /// The bundle of the version to go back to
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    signing: Signing,
    /// A release key, to sign the old bytes under a higher counter
    #[arg(long, value_name = "FILE")]
    release_key: Vec<PathBuf>,
    /// The counter to go beyond [default: the highest of what is deployed of the model]
    #[arg(long, value_name = "N")]
    above: Option<u64>,
    /// Shares of the fleet, or numbers of gateways, rising
    #[arg(long, value_delimiter = ',', default_value = "100%", value_parser = wave)]
    waves: Vec<Wave>,
    /// How long each wave is watched, at least
    #[arg(long, value_name = "SPAN", default_value = "0s", value_parser = parse_span)]
    soak: Duration,
    /// The share of failures that stops it
    #[arg(long, default_value = "50%", value_parser = percent)]
    abort_above: f64,
    /// Do not wait for gateways that have been offline for this long [default: wait]
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    skip_offline: Option<Duration>,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    dry_run: DryRun,
    /// Print one JSON object a line for what happens
    #[arg(long)]
    json: bool,
}

pub(super) fn rollback(args: &Args) -> Result<(), Failure> {
    let chain = Chain::load(&args.signing.keyset)?;
    let old = chain.release(&args.to)?;
    let floor = match args.above {
        Some(floor) => floor,
        None => block_on(deployed(args, &chain))?,
    };
    let as_it_is = old.keyset == chain.number() && old.manifest.counter > floor;
    let again = if as_it_is { None } else { Some(released_again(args, &old, floor, &chain)?) };
    let bundle = again.as_ref().map_or(&args.to, |again| &again.path).clone();
    let order = order(args, bundle)?;
    if args.dry_run.dry_run {
        let packed = again.map_or(old.packed, |again| again.packed);
        return preview(&order, &Checked::of(packed, &chain)?);
    }
    if let Some(Again { path, packed }) = &again {
        write_atomic(path, &packed.write()?)?;
        if !args.json {
            let (version, counter) = (&old.manifest.version, counter_after(&old, floor));
            print(&format!("{version} under counter {counter} written to {}\n", path.display()))?;
        }
    }
    begin(&order)
}

/// The old files as a new release, and where it is kept.
struct Again {
    path: PathBuf,
    packed: Packed,
}

fn order(args: &Args, bundle: PathBuf) -> Result<Order, Failure> {
    Ok(Order {
        broker: args.broker.clone(),
        record: args.signing.record.clone(),
        model: args.model.clone(),
        target: args.target.target()?,
        bundle,
        keysets: args.signing.keyset.clone(),
        keys: args.signing.key.clone(),
        key_passwords: args.signing.key_password_file.clone(),
        terms: args.terms.clone(),
        // The active model is the one that is given up: to differ from it is the point.
        usual_shadow: 0,
        name: None,
        waves: args.waves.clone(),
        soak: args.soak,
        abort_above: args.abort_above / 100.0,
        min_reports: 10,
        skip_offline: args.skip_offline,
        json: args.json,
    })
}

/// Above all that is deployed, and above its own.
fn counter_after(old: &Signed, floor: u64) -> u64 {
    floor.max(old.manifest.counter).saturating_add(1)
}

/// The old files under the next counter, signed, to be written beside the old bundle.
fn released_again(args: &Args, old: &Signed, floor: u64, chain: &Chain) -> Result<Again, Failure> {
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
    let mut packed = old.packed.again(counter, SystemTime::now().into())?;
    let keys = load_keys(&args.release_key, &args.signing.key_password_file)?;
    keys.iter().for_each(|key| packed.envelope_mut().sign(key));
    // As a gateway will judge it.
    packed.clone().verify(chain.current())?;
    Ok(Again { path, packed })
}

/// What is to be known before a release of replaced keys is signed with the current ones.
fn replaced(to: &Path, old: &Signed, chain: &Chain) -> String {
    format!(
        "warning: {} is signed for keyset {}, and keyset {} has replaced its release keys. It is \
         released again with the current key. If the old keys were stolen, make sure that this \
         file is the one you released: manifest {}",
        to.display(),
        old.keyset,
        chain.number(),
        old.manifest.digest()
    )
}

fn no_release_key(
    args: &Args,
    path: &Path,
    old: &Signed,
    (floor, counter): (u64, u64),
    chain: &Chain,
) -> Failure {
    let (to, path) = (args.to.display(), path.display());
    let why = if old.keyset == chain.number() {
        format!("{to} has counter {}, and {floor} is deployed", old.manifest.counter)
    } else {
        let (keyset, current) = (old.keyset, chain.number());
        format!("{to} is signed for keyset {keyset}, and keyset {current} has replaced its keys")
    };
    let message = format!(
        "{why}: gateways would refuse it. Give --release-key, or make the release where the \
         release keys are and name it with --to:\n  \
         inferctl pack {to} --counter {counter} --out {path}\n  \
         inferctl sign {path} --key release.key"
    );
    Failure::new(Exit::Failed, message)
}

/// The highest counter among the releases that are deployed of the model, anywhere. Those of before
/// a rotation of keys count, too: gateways have committed them.
async fn deployed(args: &Args, chain: &Chain) -> Result<u64, Failure> {
    let mut session = Session::open(&args.broker).await?;
    let mut highest = 0;
    for message in session.retained(&args.broker.deploy_filters(&args.model)).await? {
        let Some(deployment) = chain.deployment(&message.payload) else {
            eprintln!(
                "warning: what is retained on {} is signed for none of the given keysets and does \
                 not count; if it is yours, name its keyset with --keyset, too, or the counter to \
                 go beyond with --above",
                message.topic
            );
            continue;
        };
        let manifest = fetched(&mut session, &args.broker, &deployment.manifest).await?;
        let Some(manifest) = chain.manifest(&manifest) else {
            let message = format!(
                "the manifest of what is deployed on {} is not on this broker, or is signed for \
                 none of the given keysets: name the keysets from the first one on with --keyset, \
                 or the counter to go beyond with --above",
                message.topic
            );
            return Err(Failure::new(Exit::Failed, message));
        };
        highest = highest.max(manifest.counter);
    }
    Ok(highest)
}
