//! `inferctl rollout watch` and `resume`: taking control of a rollout, with its record file or, if
//! that is lost, with a record that is rebuilt from the broker.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hold::SignerArgs;
use super::machine::RolloutState;
use super::pace::{Pace, PaceArgs};
use super::preview::{Waves, preview_waves};
use super::progress_view::ProgressView;
use super::rebuild::rebuild;
use super::record::{OpenRecord, Record, is_locked, lock, locked_by_other};
use super::request::{Loaded, full_path};
use super::start::control;
use crate::config::parse_duration;
use crate::ctl::broker::{BrokerArgs, block_on};
use crate::ctl::dry_run::DryRun;
use crate::ctl::rollout::record::{Files, KeyPasswords};
use crate::ctl::wall_clock::now;
use crate::terminal::{Exit, Failure};

/// Continue a rollout whose controller was stopped or killed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout watch motion.rollout
  inferctl rollout watch motion.rollout --skip-offline 1h")]
pub(in crate::ctl) struct Watch {
    /// The rollout's record file
    record: PathBuf,
    /// From now on, do not wait for gateways that have been offline longer than this
    #[arg(long, value_name = "SPAN", value_parser = parse_duration)]
    skip_offline: Option<Duration>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print events as JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// Continue a paused rollout and control it
///
/// Publishes the held wave again and keeps running, as `watch` does. If the record file is lost, the
/// rollout's name, its bundle and a deploy key rebuild it from the messages that the broker retains.
/// The soak time and the limits on failures are not retained: give them again if they were not the
/// defaults. Gateways that have reported another update since are not counted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout resume motion.rollout
  inferctl rollout resume motion-1.1.0-5f2e10aa --bundle motion-1.1.0.bundle \\
      --keyset keyset-1.json --key deploy.key --record motion.rollout")]
pub(in crate::ctl) struct Resume {
    /// The rollout's record file, or its name as `rollout list` shows it
    #[arg(value_name = "RECORD|NAME")]
    rollout: PathBuf,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    rebuilt: RebuildArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    dry_run: DryRun,
    /// Print events as JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// The parts of a record that the broker does not retain.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Without the record file")]
struct RebuildArgs {
    /// The rollout's bundle
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// The record file to create
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    pace: PaceArgs,
}

impl RebuildArgs {
    /// The options that were given and that a record file settles.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        let files = [(&self.bundle, "--bundle"), (&self.record, "--record")];
        let files = files.into_iter().filter(|(path, _)| path.is_some());
        files.map(|(_, option)| option).chain(self.pace.recorded())
    }
}

/// Goes on with the rollout of a record.
pub(super) fn watch(args: &Watch) -> Result<(), Failure> {
    let held = open(&args.record, args.skip_offline)?;
    let state = held.record.rollout.state;
    if state != RolloutState::Running {
        return ended(&held, args.json);
    }
    let loaded = held.record.files.load()?;
    block_on(async { control(&args.broker, held, loaded, args.json).await?.run().await })
}

/// Goes on with a paused rollout.
pub(super) fn resume(args: &Resume) -> Result<(), Failure> {
    if args.rollout.exists() || args.signers.key.is_empty() {
        return resume_record(args);
    }
    resume_by_name(&args.rollout.to_string_lossy(), args)
}

fn resume_record(args: &Resume) -> Result<(), Failure> {
    let path = &args.rollout;
    if !path.exists() {
        return Err(no_record(path));
    }
    if let Some(option) = args.rebuilt.given().next() {
        let path = path.display();
        let message = format!(
            "{path} is the record file of this rollout, which settles {option}: leave the option \
             out"
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    if args.dry_run.dry_run {
        if is_locked(path)? {
            return Err(locked_by_other(path));
        }
        let record = Record::read(path)?;
        let loaded = record.files.load()?;
        return preview(args, &record, &loaded);
    }
    let held = open(path, args.rebuilt.pace.skip_offline)?;
    if !matches!(held.record.rollout.state, RolloutState::Running | RolloutState::Paused) {
        return ended(&held, args.json);
    }
    let loaded = held.record.files.load()?;
    block_on(async { control(&args.broker, held, loaded, args.json).await?.resume().await })
}

/// Rebuilds the record from what the broker retains, then resumes.
fn resume_by_name(name: &str, args: &Resume) -> Result<(), Failure> {
    let (Some(bundle), Some(path)) = (&args.rebuilt.bundle, &args.rebuilt.record) else {
        let message = "to resume a rollout without its record file, also give --bundle and \
                       --record (with --keyset and --key)";
        return Err(Failure::new(Exit::Usage, message));
    };
    let lock = if args.dry_run.dry_run { None } else { lock(path)? };
    if path.exists() {
        let path = path.display();
        let message = format!(
            "{path} already exists: continue with `inferctl rollout resume {path}`, or give \
             another file"
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    let files = files(args, bundle)?;
    let loaded = files.load()?;
    let pace = args.rebuilt.pace.or(Pace { waves: Vec::new(), ..Pace::of_release() });
    let record = block_on(rebuild(name, &args.broker, &loaded, files, pace))?;
    if args.dry_run.dry_run {
        return preview(args, &record, &loaded);
    }
    let held = OpenRecord::create(path, record, lock.ok_or_else(|| locked_by_other(path))?)?;
    block_on(async { control(&args.broker, held, loaded, args.json).await?.resume().await })
}

/// Prints what resuming would publish: the wave that is held back, and those after it.
fn preview(args: &Resume, record: &Record, loaded: &Loaded) -> Result<(), Failure> {
    let (mut rollout, mut actions) = (record.rollout.clone(), Vec::new());
    match rollout.state {
        RolloutState::Paused => rollout.resume(now(), &mut actions),
        RolloutState::Running => {}
        RolloutState::Done | RolloutState::Aborted | RolloutState::Replaced => {
            return Err(nothing_to_resume(&rollout.plan().name, &rollout.state.to_string()));
        }
    }
    let is_published = record.sent.as_ref().is_some_and(|sent| sent.taken);
    let published =
        if actions.is_empty() && is_published { rollout.wave() } else { rollout.wave() - 1 };
    let waves = Waves {
        broker: &args.broker,
        terms: &record.terms,
        plan: rollout.plan(),
        keysets: &record.files.keysets,
        published,
    };
    block_on(preview_waves(&waves, loaded))?.print(args.json)
}

/// Opens and locks a record.
fn open(path: &Path, skip_offline: Option<Duration>) -> Result<OpenRecord, Failure> {
    let lock = lock(path)?.ok_or_else(|| locked_by_other(path))?;
    let mut held = OpenRecord::open(path, lock)?;
    if let Some(span) = skip_offline {
        held.record.rollout.skip_offline(span);
        held.save()?;
    }
    Ok(held)
}

/// Reports a rollout for which there is nothing left to do.
fn ended(held: &OpenRecord, json: bool) -> Result<(), Failure> {
    ProgressView::new(json).finish(&held.record.rollout)?;
    match held.record.rollout.state {
        RolloutState::Done | RolloutState::Paused | RolloutState::Running => Ok(()),
        RolloutState::Aborted | RolloutState::Replaced => Err(Failure::new(
            Exit::Failed,
            "this rollout has ended; start another one with another record file",
        )),
    }
}

fn files(args: &Resume, bundle: &Path) -> Result<Files, Failure> {
    let all = |paths: &[PathBuf]| paths.iter().map(|path| full_path(path)).collect();
    let passwords: Result<Vec<_>, Failure> = all(&args.signers.key_password_file);
    Ok(Files {
        bundle: full_path(bundle)?,
        keysets: all(&args.signers.keyset)?,
        keys: all(&args.signers.key)?,
        key_password: KeyPasswords::new(passwords?),
    })
}

fn no_record(record: &Path) -> Failure {
    let record = record.display();
    let message = format!(
        "{record}: no such record file. To resume the rollout of that name without its record, \
         give --bundle, --keyset, --key and --record; `inferctl rollout list` shows the names"
    );
    Failure::new(Exit::Failed, message)
}

/// The failure for a rollout that is over.
pub(super) fn nothing_to_resume(name: &str, state: &str) -> Failure {
    let message = format!(
        "the rollout {name} has ended ({state}) and cannot be resumed: start another rollout"
    );
    Failure::new(Exit::Failed, message)
}
