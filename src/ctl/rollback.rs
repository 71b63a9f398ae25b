//! `inferctl rollback`

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::broker::{BrokerArgs, Session, TargetArgs, block_on, model};
use super::rollout::terms::Terms;
use super::rollout::waves::{Wave, wave};
use super::rollout::{Order, Signing, begin};
use super::simulate::percent;
use super::upload::{Checked, checked};
use super::{Failure, Password, load_keys, load_trust, write};
use crate::cli::{Exit, print};
use crate::config::parse_span;
use crate::ids::ModelName;
use crate::update::manifest::Blob;
use crate::update::{Packed, Trust};

/// Bring a fleet back to an older version
///
/// Gateways take no release whose counter is below that of the one they have committed, or an
/// attacker could bring back an old fault. So going back is a release like any other: the old bytes
/// under a higher counter, signed by the release role (--release-key). The new bundle is written
/// beside the old one. Nothing but the manifest has to be fetched by gateways that have kept the old
/// version. Without release keys at hand, `inferctl pack OLD --counter N` and `inferctl sign` make
/// the same bundle wherever they are.
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
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object a line for what happens
    #[arg(long)]
    json: bool,
}

pub(super) fn rollback(args: &Args) -> Result<(), Failure> {
    let trust = load_trust(&args.signing.keyset)?;
    let old = checked(&args.to, &trust)?;
    let floor = match args.above {
        Some(floor) => floor,
        None => block_on(deployed(args, &trust))?,
    };
    let bundle = if old.manifest.counter > floor {
        args.to.clone()
    } else {
        released_again(args, &old, floor, &trust)?
    };
    begin(&Order {
        broker: args.broker.clone(),
        record: args.signing.record.clone(),
        model: args.model.clone(),
        target: args.target.target()?,
        bundle,
        keysets: args.signing.keyset.clone(),
        keys: args.signing.key.clone(),
        key_password: args.signing.key_password_file.clone(),
        terms: args.terms.clone(),
        name: None,
        waves: args.waves.clone(),
        soak: args.soak,
        abort_above: args.abort_above / 100.0,
        min_reports: 10,
        json: args.json,
    })
}

/// The old files under the next counter, signed and written beside the old bundle.
fn released_again(
    args: &Args,
    old: &Checked,
    floor: u64,
    trust: &Trust,
) -> Result<PathBuf, Failure> {
    let counter = floor.saturating_add(1);
    let version = &old.manifest.version;
    let name = format!("{}-{version}-counter-{counter}.bundle", old.manifest.name);
    let path = args.to.with_file_name(name);
    if args.release_key.is_empty() {
        return Err(no_release_key(&args.to, &path, old.manifest.counter, counter));
    }
    let mut packed = old.packed.again(counter, SystemTime::now().into())?;
    let password = Password { password_file: args.signing.key_password_file.clone() };
    let keys = load_keys(&args.release_key, &password)?;
    keys.iter().for_each(|key| packed.envelope_mut().sign(key));
    let bytes = packed.write()?;
    // As a gateway will judge it.
    Packed::read(&bytes)?.verify(trust)?;
    write(&path, &bytes)?;
    if !args.json {
        print(&format!("{version} under counter {counter} written to {}\n", path.display()))?;
    }
    Ok(path)
}

fn no_release_key(to: &Path, path: &Path, old: u64, counter: u64) -> Failure {
    let (to, path) = (to.display(), path.display());
    let message = format!(
        "{to} has counter {old}, and {} is deployed: gateways would refuse it. Give --release-key, \
         or make the release where the release keys are and name it with --to:\n  \
         inferctl pack {to} --counter {counter} --out {path}\n  \
         inferctl sign {path} --key release.key",
        counter - 1
    );
    Failure::new(Exit::Failed, message)
}

/// The highest counter among the releases that are deployed of the model, anywhere.
async fn deployed(args: &Args, trust: &Trust) -> Result<u64, Failure> {
    let mut session = Session::open(&args.broker).await?;
    let mut highest = 0;
    for message in session.retained(&args.broker.deploy_filters(&args.model)).await? {
        let Ok(deployment) = trust.deployment(&message.payload) else { continue };
        let manifest = fetched(&mut session, &args.broker, &deployment.manifest).await?;
        let Ok(manifest) = trust.manifest(&manifest) else {
            let message = format!(
                "the manifest of what is deployed on {} is not on this broker; say with --above \
                 which counter to go beyond",
                message.topic
            );
            return Err(Failure::new(Exit::Failed, message));
        };
        highest = highest.max(manifest.counter);
    }
    Ok(highest)
}

/// A blob's retained chunks, as far as they are there.
async fn fetched(
    session: &mut Session,
    broker: &BrokerArgs,
    blob: &Blob,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for index in 0..blob.chunks.len() {
        let topic = broker.topic(&format!("blob/{}/{index}", blob.sha256));
        for message in session.look(&[topic]).await? {
            bytes.extend_from_slice(&message.payload);
        }
    }
    Ok(bytes)
}
