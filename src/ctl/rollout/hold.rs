//! `inferctl rollout pause` and `abort`: with the record file, or by the rollout's name and a deploy
//! key.

use std::path::{Path, PathBuf};

use super::controller::{Controller, already_ended};
use super::controller_ipc::{Delivered, HoldKind, ask};
use super::list::{Found, Survey, survey};
use super::machine::RolloutState;
use super::preview::preview_change;
use super::progress_view::ProgressView;
use super::record::{OpenRecord, Record};
use super::request::sign;
use super::status::RolloutStatus;
use crate::ctl::broker::{BrokerArgs, Session, block_on};
use crate::ctl::dry_run::{DryRun, PlannedMessages, Preview};
use crate::ctl::keyset_chain::load_trust;
use crate::ctl::unlock::load_keys;
use crate::ctl::wall_clock::now;
use crate::terminal::{Exit, Failure, print, print_json};
use crate::update::Deployment;

/// The keys that sign a hold if there is no record file.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Without the record file")]
pub(in crate::ctl) struct SignerArgs {
    /// The keysets, from the first one that the gateways were provisioned with
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) keyset: Vec<std::path::PathBuf>,
    /// A deploy key
    #[arg(long, value_name = "FILE", requires = "keyset")]
    pub(super) key: Vec<std::path::PathBuf>,
    /// A file whose first line is the password of a key file; may be given several times [default: asked
    /// for on a terminal]
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) key_password_file: Vec<std::path::PathBuf>,
}

/// The rollout to hold.
#[derive(Debug, clap::Args)]
pub(in crate::ctl) struct HoldArgs {
    /// The rollout's record file, or its name as `rollout list` shows it
    #[arg(value_name = "RECORD|NAME")]
    rollout: PathBuf,
    #[command(flatten)]
    signers: SignerArgs,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    dry_run: DryRun,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Pauses or aborts a rollout.
pub(super) fn hold(args: &HoldArgs, kind: HoldKind) -> Result<(), Failure> {
    if !args.rollout.exists() && !args.signers.key.is_empty() {
        return hold_by_name(&args.rollout.to_string_lossy(), kind, args);
    }
    let path = &args.rollout;
    let record = Record::read(path).map_err(|failure| no_record(path, failure))?;
    let rollout = &record.rollout;
    match rollout.state {
        RolloutState::Running => {}
        RolloutState::Paused if kind == HoldKind::Pause => {
            return if args.dry_run.dry_run {
                Preview::default().print(args.json)
            } else {
                ProgressView::new(args.json).finish(rollout)
            };
        }
        RolloutState::Paused => {}
        state @ (RolloutState::Done | RolloutState::Aborted | RolloutState::Replaced) => {
            return Err(already_ended(&rollout.plan().name, &state.to_string()));
        }
    }
    if args.dry_run.dry_run {
        let loaded = record.files.load()?;
        return preview_change(&args.broker, &record, &loaded, args.json, |rollout, actions| {
            match kind {
                HoldKind::Pause => rollout.pause(actions),
                HoldKind::Abort => rollout.abort(actions),
            }
        });
    }
    let lock = match ask(path, kind)? {
        Delivered::Taken => return report_outcome(path, kind, args.json),
        Delivered::Alone(lock) => lock,
    };
    let held = OpenRecord::open(path, lock)?;
    let loaded = held.record.files.load()?;
    block_on(async {
        let session = Session::open(&args.broker).await?;
        let view = ProgressView::new(args.json);
        let controller = Controller::new(held, loaded, args.broker.clone(), session, view).await?;
        controller.carry_out(kind).await
    })
}

/// Publishes the rollout's deployment again under the next number, as one that is held. A running
/// controller of the rollout ends when it sees that.
fn hold_by_name(name: &str, kind: HoldKind, args: &HoldArgs) -> Result<(), Failure> {
    let (signers, broker) = (&args.signers, &args.broker);
    let trust = load_trust(&signers.keyset)?;
    let keys = load_keys(&signers.key, &signers.key_password_file)?;
    let state = if kind == HoldKind::Abort { RolloutState::Aborted } else { RolloutState::Paused };
    let mut preview = Preview::default();
    let held = block_on(async {
        let mut survey = survey(broker, Some(&trust)).await?;
        let Some(found) = survey.named(name) else { return Err(unknown(name, &survey)) };
        if is_held(found, state)? {
            return Ok(found.deployment.clone());
        }
        let seq = survey.next_seq(&found.deployment.model, now());
        let held = Deployment { seq, hold: true, created: now(), ..found.deployment.clone() };
        let envelope = sign(&held, &keys, &trust)?;
        let status_topic = broker.rollout_topic(&held.target, &held.model);
        let topic = broker.deploy_topic(&held.target, &held.model);
        let status = found.status.clone().map(|status| RolloutStatus { state, ..status }.bytes());
        if args.dry_run.dry_run {
            if let Some(status) = status {
                preview.add(PlannedMessages::one(
                    &status_topic,
                    status.len(),
                    "state of the rollout",
                ));
            }
            let what = format!("deployment {name}, held back ({state})");
            preview.add(PlannedMessages::one(&topic, envelope.len(), what));
            return Ok(held);
        }
        // The status comes first: a controller reads it when it sees the hold.
        if let Some(status) = status {
            survey.session.publish_unconfirmed(&status_topic, status).await?;
        }
        survey.session.publish(&topic, envelope.into()).await?;
        Ok(held)
    })?;
    if args.dry_run.dry_run {
        return preview.print(args.json);
    }
    if args.json {
        return print_json(&serde_json::json!({ "event": "end", "deployment": name,
            "course": state, "seq": held.seq }));
    }
    print(&format!("{name}: {state}; gateways that have not switched are held\n"))
}

/// Whether the rollout is already held as requested.
fn is_held(found: &Found, wanted: RolloutState) -> Result<bool, Failure> {
    match (found.state(), wanted) {
        (RolloutState::Paused, RolloutState::Paused) => Ok(true),
        (RolloutState::Running | RolloutState::Paused, _) if found.deployment.expires > now() => {
            Ok(false)
        }
        (state, _) => {
            let state = if state == RolloutState::Running {
                "expired".to_owned()
            } else {
                state.to_string()
            };
            Err(already_ended(&found.deployment.deployment, &state))
        }
    }
}

/// The failure for a name that no rollout on the broker has.
pub(super) fn unknown(name: &str, survey: &Survey) -> Failure {
    let names: Vec<_> =
        survey.found.iter().map(|found| found.deployment.deployment.as_str()).collect();
    let there = if names.is_empty() {
        "no rollout is signed for these keysets".to_owned()
    } else {
        format!("the rollouts are {}", names.join(", "))
    };
    Failure::new(
        Exit::Failed,
        format!("{name} is neither a record file nor a rollout on this broker: {there}"),
    )
}

/// The failure for a record file that cannot be read; names the way without one if there is none.
pub(super) fn no_record(record: &Path, failure: Failure) -> Failure {
    if record.exists() {
        return failure;
    }
    let record = record.display();
    let message = format!(
        "{record}: no such record file. To hold the rollout of that name without its record file, \
         give --keyset and --key; `inferctl rollout list` shows the names"
    );
    Failure::new(Exit::Failed, message)
}

/// Reports the outcome of a request to the controller: the rollout may have ended before.
fn report_outcome(record: &Path, kind: HoldKind, json: bool) -> Result<(), Failure> {
    let rollout = Record::read(record)?.rollout;
    let wanted = if kind == HoldKind::Abort { RolloutState::Aborted } else { RolloutState::Paused };
    if rollout.state == wanted {
        return ProgressView::new(json).finish(&rollout);
    }
    Err(already_ended(&rollout.plan().name, &rollout.state.to_string()))
}
