//! `inferctl rollout start`

use std::path::PathBuf;

use super::controller::Controller;
use super::machine::Rollout;
use super::members::members;
use super::pace::{Pace, PaceArgs};
use super::preview::preview;
use super::progress_view::ProgressView;
use super::record::{OpenRecord, Record, lock, locked_by_other};
use super::request::{Loaded, RolloutRequest, sign};
use super::terms::Terms;
use super::warnings::warnings;
use crate::ctl::broker::{BrokerArgs, Session, TargetArgs, block_on, parse_model};
use crate::ctl::dry_run::DryRun;
use crate::ctl::keyset_chain::{KeysetChain, numbered_keysets};
use crate::ctl::upload::{read_release, upload, upload_keysets};
use crate::ctl::wall_clock::now;
use crate::ids::ModelName;
use crate::terminal::{Exit, Failure, print};
use crate::update::Source;

/// Default number of shadow runs. Enough to detect a model that is always wrong; two models that are each
/// right in nine of ten windows fail the comparison with a probability of a few percent.
const SHADOW_RUNS: u32 = 20;

/// Publish a release, start its first wave, and control the rollout
///
/// A wave is one retained message, for a fleet of any size. The next wave starts when the soak time is
/// over, enough gateways have reported, and not too many of them have failed; otherwise all gateways
/// that have not switched are held. The record file holds the complete state: after the controller
/// was killed, `inferctl rollout watch` continues.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout start --model motion --group line-a --bundle motion-1.1.0.bundle \\
      --keyset keyset-1.json --key deploy.key --record motion.rollout
  inferctl rollout start --model motion --group all --bundle motion-1.1.0.bundle --waves 1,10,25%,100% \\
      --soak 1h --abort-above 2% --spread 30m --window 22:00-05:00 --keyset keyset-1.json \\
      --key deploy.key --source 'https://models.example/{sha256}' --source mqtt --record m.rollout")]
pub(in crate::ctl) struct Start {
    /// The model of the bundle
    #[arg(long, value_name = "NAME", value_parser = parse_model)]
    model: ModelName,
    #[command(flatten)]
    target: TargetArgs,
    /// The packed and signed bundle
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    pace: PaceArgs,
    /// Name of the rollout in the gateways' reports [default: generated]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
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

/// The keys that sign the deployments, and the record file.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::ctl) struct Signing {
    /// The keysets, from the first one that the gateways were provisioned with
    #[arg(long, value_name = "FILE", required = true)]
    pub(in crate::ctl) keyset: Vec<PathBuf>,
    /// A deploy key
    #[arg(long, value_name = "FILE", required = true)]
    pub(in crate::ctl) key: Vec<PathBuf>,
    /// A file whose first line is the password of a key file; may be given several times [default: asked
    /// for on a terminal]
    #[arg(long, value_name = "FILE")]
    pub(in crate::ctl) key_password_file: Vec<PathBuf>,
    /// The record file to create
    #[arg(long, value_name = "FILE")]
    pub(in crate::ctl) record: PathBuf,
}

/// Runs the command.
pub(super) fn start(args: &Start) -> Result<(), Failure> {
    let request = args.request()?;
    if !args.dry_run.dry_run {
        return begin(&request);
    }
    let checked = read_release(&request.bundle, &KeysetChain::load(&request.keysets)?)?;
    preview(&request, checked)
}

impl Start {
    fn request(&self) -> Result<RolloutRequest, Failure> {
        Ok(RolloutRequest {
            broker: self.broker.clone(),
            record: self.signing.record.clone(),
            model: self.model.clone(),
            target: self.target.target()?,
            bundle: self.bundle.clone(),
            keysets: self.signing.keyset.clone(),
            keys: self.signing.key.clone(),
            key_passwords: self.signing.key_password_file.clone(),
            terms: self.terms.clone(),
            default_shadow: SHADOW_RUNS,
            name: self.name.clone(),
            pace: self.pace.or(Pace::of_release()),
            json: self.json,
        })
    }
}

/// Starts a rollout and controls it until it ends.
pub(in crate::ctl) fn begin(request: &RolloutRequest) -> Result<(), Failure> {
    let lock = lock(&request.record)?.ok_or_else(|| locked_by_other(&request.record))?;
    if request.record.exists() {
        let message = format!(
            "{0} already exists: continue that rollout with `inferctl rollout watch {0}`, or give \
             another file",
            request.record.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    let files = request.files()?;
    let loaded = files.load()?;
    let found = &loaded.checked.manifest.name;
    if *found != request.model {
        let message = format!("the bundle is of the model {found}, not {}", request.model);
        return Err(Failure::new(Exit::Failed, message));
    }
    block_on(async {
        let (view, fleet) = members(request).await?;
        let plan = request.plan(&loaded.checked.manifest.version, &fleet, now())?;
        let terms = request.deployment(&plan, &loaded.checked, now())?;
        // Detects insufficient keys before anything is published.
        sign(&terms, &loaded.keys, &loaded.trust)?;
        for warning in warnings(&terms, &loaded.checked, &view, &fleet) {
            eprintln!("warning: {warning}");
        }
        let topic = request.broker.deploy_topic(&request.target, &request.model);
        let record = Record::new(topic, terms, Rollout::new(plan, now()), files);
        let held = OpenRecord::create(&request.record, record, lock)?;
        control(&request.broker, held, loaded, request.json).await?.run().await
    })
}

/// Publishes what gateways fetch, then takes control.
pub(super) async fn control(
    broker: &BrokerArgs,
    held: OpenRecord,
    loaded: Loaded,
    json: bool,
) -> Result<Controller, Failure> {
    if held.record.terms.sources.contains(&Source::Mqtt) {
        let published = upload(broker, &loaded.checked, false).await?;
        if !json && published.sent_chunks > 0 {
            let (chunks, bytes) = (published.sent_chunks, published.sent_bytes);
            print(&format!("{bytes} bytes in {chunks} chunks published\n"))?;
        }
    }
    upload_keysets(broker, &numbered_keysets(&held.record.files.keysets)?).await?;
    let session = Session::open(broker).await?;
    Controller::new(held, loaded, broker.clone(), session, ProgressView::new(json)).await
}
