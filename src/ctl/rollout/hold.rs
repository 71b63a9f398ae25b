//! Pausing or aborting a rollout by its name: by anyone with a deploy key, without the record file.

use super::Course;
use super::ask::Ask;
use super::controller::{first_seq, over};
use super::list::{Found, survey};
use super::order::{now, sign};
use super::status::RolloutStatus;
use crate::ctl::broker::{BrokerArgs, Session, block_on};
use crate::ctl::chain::load_trust;
use crate::ctl::unlock::load_keys;
use crate::terminal::{Exit, Failure, print, print_json};
use crate::update::Deployment;

/// Whose signature holds a rollout back where there is no record file.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Without the record file")]
pub(in crate::ctl) struct Signers {
    /// The keysets, from the one the gateways came with
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) keyset: Vec<std::path::PathBuf>,
    /// A deploy key
    #[arg(long, value_name = "FILE", requires = "keyset")]
    pub(super) key: Vec<std::path::PathBuf>,
    /// A file whose first line is the password of a key file; asked for on a terminal where none
    /// fits; may be given several times
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) key_password_file: Vec<std::path::PathBuf>,
}

/// Publishes the rollout's deployment again under the next number, as one that is held. Its controller, if
/// one is at work, ends by it.
pub(super) fn hold(
    name: &str,
    ask: Ask,
    signers: &Signers,
    broker: &BrokerArgs,
    json: bool,
) -> Result<(), Failure> {
    let trust = load_trust(&signers.keyset)?;
    let keys = load_keys(&signers.key, &signers.key_password_file)?;
    let course = if ask == Ask::Abort { Course::Aborted } else { Course::Paused };
    let held = block_on(async {
        let mut session = Session::open(broker).await?;
        let survey = survey(&mut session, broker, Some(&trust)).await?;
        let of_name = survey.found.iter().filter(|found| found.deployment.deployment == name);
        let Some(found) = of_name.max_by_key(|found| found.deployment.seq) else {
            return Err(unknown(name, &survey.found));
        };
        if is_held(found, course)? {
            return Ok(found.deployment.clone());
        }
        let highest = survey.highest.get(found.deployment.model.as_str()).copied().unwrap_or(0);
        let seq = first_seq(highest, now());
        let held = Deployment { seq, hold: true, created: now(), ..found.deployment.clone() };
        let envelope = sign(&held, &keys, &trust)?;
        // What it means comes first: the controller reads it when it sees the hold.
        let topic = broker.rollout_topic(&held.target, &held.model);
        if let Some(status) = &found.status {
            let status = RolloutStatus { course, ..status.clone() };
            session.inform(&topic, status.bytes()).await?;
        }
        session.publish(&broker.deploy_topic(&held.target, &held.model), envelope.into()).await?;
        Ok(held)
    })?;
    if json {
        return print_json(&serde_json::json!({ "event": "end", "deployment": name,
            "course": course, "seq": held.seq }));
    }
    print(&format!("{name}: {course}; gateways that had not switched are held back\n"))
}

/// Whether it is held back that way already.
fn is_held(found: &Found, wanted: Course) -> Result<bool, Failure> {
    match (found.course(), wanted) {
        (Course::Paused, Course::Paused) => Ok(true),
        (Course::Running | Course::Paused, _) if found.deployment.expires > now() => Ok(false),
        (course, _) => {
            let course =
                if course == Course::Running { "expired".to_owned() } else { course.to_string() };
            Err(over(&found.deployment.deployment, &course))
        }
    }
}

fn unknown(name: &str, found: &[Found]) -> Failure {
    let names: Vec<_> = found.iter().map(|found| found.deployment.deployment.as_str()).collect();
    let there = if names.is_empty() {
        "none is signed by these keysets".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    Failure::new(
        Exit::Failed,
        format!("{name} is neither a record file nor a rollout on this broker: {there}"),
    )
}
