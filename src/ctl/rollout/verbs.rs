//! `inferctl rollout start|watch|pause|resume|abort`

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::{Ask, Asked, ask};
use super::bars::Bars;
use super::controller::{Controller, over};
use super::hold::{Signers, hold};
use super::list::{List, list};
use super::members::members;
use super::order::{Loaded, now, sign};
use super::preview::preview;
use super::record::{Held, Record, lock, taken};
use super::terms::Terms;
use super::warnings::warnings;
use super::waves::{Wave, wave};
use super::{Course, Order, Rollout};
use crate::config::parse_span;
use crate::ctl::broker::{BrokerArgs, Session, TargetArgs, block_on, model};
use crate::ctl::chain::{Chain, numbered_keysets};
use crate::ctl::preview::DryRun;
use crate::ctl::simulate::percent;
use crate::ctl::upload::{checked, upload, upload_keysets};
use crate::ids::ModelName;
use crate::terminal::{Exit, Failure, print};
use crate::update::Source;

/// Enough windows to tell a model that is always wrong: one that is right in nine of ten, beside another such,
/// fails with a probability of a few percent.
const SHADOW_RUNS: u32 = 20;

/// Bring a release to a fleet, wave by wave
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  inferctl rollout start --model motion --group line-a --bundle motion-1.1.0.bundle \\
      --keyset keyset-1.json --key deploy.key --waves 1%,10%,50%,100% --soak 10m --record motion.rollout
  inferctl rollout list
  inferctl rollout pause motion.rollout
  inferctl rollout resume motion.rollout")]
pub(in crate::ctl) enum Verbs {
    Start(Box<Start>),
    List(List),
    Watch(Watch),
    Pause(Paused),
    Resume(Resume),
    Abort(Abort),
}

/// Publish a release and begin its first wave, then stay and watch
///
/// A wave is one retained message, whatever the size of the fleet. The next begins when the soak
/// time is over, enough gateways have reported, and not too many of them failed; else all that have
/// not switched are held back. The record file remembers everything: a controller that was killed at
/// any moment goes on with `inferctl rollout watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout start --model motion --group line-a --bundle motion-1.1.0.bundle \\
      --keyset keyset-1.json --key deploy.key --record motion.rollout
  inferctl rollout start --model motion --group all --bundle motion-1.1.0.bundle --waves 1,10,25%,100% \\
      --soak 1h --abort-above 2% --spread 30m --window 22:00-05:00 --keyset keyset-1.json \\
      --key deploy.key --source 'https://models.example/{sha256}' --source mqtt --record m.rollout")]
pub(in crate::ctl) struct Start {
    /// The model; the bundle must be one of it
    #[arg(long, value_name = "NAME", value_parser = model)]
    model: ModelName,
    #[command(flatten)]
    target: TargetArgs,
    /// The packed and signed bundle
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    signing: Signing,
    /// Shares of the fleet, or numbers of gateways, rising
    #[arg(long, value_delimiter = ',', default_value = "1%,10%,50%,100%", value_parser = wave)]
    waves: Vec<Wave>,
    /// How long each wave is watched, at least
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = parse_span)]
    soak: Duration,
    /// The share of failures that stops the rollout
    #[arg(long, default_value = "5%", value_parser = percent)]
    abort_above: f64,
    /// Reports before that share counts, or all of a smaller wave
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_reports: usize,
    /// Do not wait for gateways that have been offline for this long [default: wait]
    ///
    /// They update when they are back, until the deployment expires.
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    skip_offline: Option<Duration>,
    /// The rollout's name in the gateways' reports [default: made up]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
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

/// Who signs, and where the record is kept.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::ctl) struct Signing {
    /// The keysets, from the one the gateways came with
    #[arg(long, value_name = "FILE", required = true)]
    pub(in crate::ctl) keyset: Vec<PathBuf>,
    /// A deploy key
    #[arg(long, value_name = "FILE", required = true)]
    pub(in crate::ctl) key: Vec<PathBuf>,
    /// A file whose first line is the password of a key file; asked for on a terminal where none
    /// fits; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(in crate::ctl) key_password_file: Vec<PathBuf>,
    /// The record file to make
    #[arg(long, value_name = "FILE")]
    pub(in crate::ctl) record: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct OfRecord {
    /// The rollout's record file
    record: PathBuf,
    /// Do not wait for gateways that have been offline for this long, from now on
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    skip_offline: Option<Duration>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object a line for what happens
    #[arg(long)]
    json: bool,
}

/// The rollout to hold back.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct ToHold {
    /// The rollout's record file, or its name as `rollout list` shows it
    #[arg(value_name = "RECORD|NAME")]
    rollout: PathBuf,
    #[command(flatten)]
    signers: Signers,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Go on with a rollout whose controller was stopped or killed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout watch motion.rollout
  inferctl rollout watch motion.rollout --skip-offline 1h")]
pub(in crate::ctl) struct Watch {
    #[command(flatten)]
    of: OfRecord,
}

/// Hold back the gateways that have not switched, until it is resumed
///
/// A controller that is at work pauses it and exits. Without the record file, the rollout's name and
/// a deploy key do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout pause motion.rollout
  inferctl rollout pause motion-1.1.0-5f2e10aa --keyset keyset-1.json --key deploy.key")]
pub(in crate::ctl) struct Paused {
    #[command(flatten)]
    of: ToHold,
}

/// Go on with a paused rollout, and watch it; as `watch` with one that is not paused
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  inferctl rollout resume motion.rollout")]
pub(in crate::ctl) struct Resume {
    #[command(flatten)]
    of: OfRecord,
}

/// Hold back the gateways that have not switched, for good
///
/// Those that have switched keep the new model; `inferctl rollback` brings them back. Without the
/// record file, the rollout's name and a deploy key do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout abort motion.rollout
  inferctl rollout abort motion-1.1.0-5f2e10aa --keyset keyset-1.json --key deploy.key")]
pub(in crate::ctl) struct Abort {
    #[command(flatten)]
    of: ToHold,
}

pub(in crate::ctl) fn rollout(verb: &Verbs) -> Result<(), Failure> {
    match verb {
        Verbs::Start(args) if args.dry_run.dry_run => {
            let order = args.order()?;
            let checked = checked(&order.bundle, &Chain::load(&order.keysets)?)?;
            preview(&order, &checked)
        }
        Verbs::Start(args) => begin(&args.order()?),
        Verbs::List(args) => list(args),
        Verbs::Watch(Watch { of }) | Verbs::Resume(Resume { of }) => {
            let resume = matches!(verb, Verbs::Resume(_));
            let lock = lock(&of.record)?.ok_or_else(|| taken(&of.record))?;
            let mut held = Held::open(&of.record, lock)?;
            if let Some(span) = of.skip_offline {
                held.record.rollout.skip_offline(span);
                held.save()?;
            }
            go_on(of, held, resume)
        }
        Verbs::Pause(Paused { of }) => tell(of, Ask::Pause),
        Verbs::Abort(Abort { of }) => tell(of, Ask::Abort),
    }
}

impl Start {
    fn order(&self) -> Result<Order, Failure> {
        Ok(Order {
            broker: self.broker.clone(),
            record: self.signing.record.clone(),
            model: self.model.clone(),
            target: self.target.target()?,
            bundle: self.bundle.clone(),
            keysets: self.signing.keyset.clone(),
            keys: self.signing.key.clone(),
            key_passwords: self.signing.key_password_file.clone(),
            terms: self.terms.clone(),
            usual_shadow: SHADOW_RUNS,
            name: self.name.clone(),
            waves: self.waves.clone(),
            soak: self.soak,
            abort_above: self.abort_above / 100.0,
            min_reports: self.min_reports,
            skip_offline: self.skip_offline,
            json: self.json,
        })
    }
}

/// Begins a rollout and stays with it to its end.
pub(in crate::ctl) fn begin(order: &Order) -> Result<(), Failure> {
    let lock = lock(&order.record)?.ok_or_else(|| taken(&order.record))?;
    if order.record.exists() {
        let message = format!(
            "{0} is there already: go on with `inferctl rollout watch {0}`, or name another file",
            order.record.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    let files = order.files()?;
    let loaded = files.load()?;
    let found = &loaded.checked.manifest.name;
    if *found != order.model {
        let message = format!("the bundle is one of the model {found}, not of {}", order.model);
        return Err(Failure::new(Exit::Failed, message));
    }
    block_on(async {
        let (view, fleet) = members(order).await?;
        let plan = order.plan(&loaded.checked.manifest.version, &fleet, now())?;
        let terms = order.deployment(&plan, &loaded.checked, now())?;
        // Keys that do not suffice are found out before anything is published.
        sign(&terms, &loaded.keys, &loaded.trust)?;
        for warning in warnings(&terms, &loaded.checked, &view, &fleet) {
            eprintln!("warning: {warning}");
        }
        let topic = order.broker.deploy_topic(&order.target, &order.model);
        let record = Record::new(topic, terms, Rollout::new(plan, now()), files);
        let held = Held::create(&order.record, record, lock)?;
        control(&order.broker, held, loaded, order.json).await?.run().await
    })
}

/// Publishes what gateways fetch, then takes control.
async fn control(
    broker: &BrokerArgs,
    held: Held,
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
    Controller::new(held, loaded, broker.clone(), session, Bars::new(json)).await
}

fn go_on(of: &OfRecord, held: Held, resume: bool) -> Result<(), Failure> {
    let course = held.record.rollout.course;
    let goes_on = course == Course::Running || (resume && course == Course::Paused);
    if !goes_on {
        Bars::new(of.json).finish(&held.record.rollout)?;
        return match course {
            Course::Done | Course::Paused | Course::Running => Ok(()),
            Course::Aborted | Course::Replaced => Err(Failure::new(
                Exit::Failed,
                "this rollout is over; start another, with another record file",
            )),
        };
    }
    let loaded = held.record.files.load()?;
    block_on(async {
        let controller = control(&of.broker, held, loaded, of.json).await?;
        if resume { controller.resume().await } else { controller.run().await }
    })
}

/// Has a controller pause or abort, or does it where there is none.
fn tell(of: &ToHold, what: Ask) -> Result<(), Failure> {
    if !of.rollout.exists() && !of.signers.key.is_empty() {
        let name = of.rollout.to_string_lossy();
        return hold(&name, what, &of.signers, &of.broker, of.json);
    }
    let record = &of.rollout;
    let rollout = Record::read(record).map_err(|failure| no_record(record, failure))?.rollout;
    match rollout.course {
        Course::Running => {}
        Course::Paused if what == Ask::Pause => return Bars::new(of.json).finish(&rollout),
        Course::Paused => {}
        course @ (Course::Done | Course::Aborted | Course::Replaced) => {
            return Err(over(&rollout.plan().name, &course.to_string()));
        }
    }
    let lock = match ask(record, what)? {
        Asked::Taken => return say(record, what, of.json),
        Asked::Alone(lock) => lock,
    };
    let held = Held::open(record, lock)?;
    let loaded = held.record.files.load()?;
    block_on(async {
        let session = Session::open(&of.broker).await?;
        let bars = Bars::new(of.json);
        let controller = Controller::new(held, loaded, of.broker.clone(), session, bars).await?;
        controller.carry_out(what).await
    })
}

fn no_record(record: &Path, failure: Failure) -> Failure {
    if record.exists() {
        return failure;
    }
    let record = record.display();
    let message = format!(
        "{record}: no such record file. To hold back the rollout of that name without its record, give \
         --keyset and --key; `inferctl rollout list` shows the names"
    );
    Failure::new(Exit::Failed, message)
}

/// What a controller that was told has made of it: the rollout may have ended before.
fn say(record: &Path, what: Ask, json: bool) -> Result<(), Failure> {
    let rollout = Record::read(record)?.rollout;
    let wanted = if what == Ask::Abort { Course::Aborted } else { Course::Paused };
    if rollout.course == wanted {
        return Bars::new(json).finish(&rollout);
    }
    Err(over(&rollout.plan().name, &rollout.course.to_string()))
}
