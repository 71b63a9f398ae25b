//! A record that is rebuilt from what the broker retains of a paused rollout.
//!
//! The deployment is signed: model, target, release, terms and percentage are those of the rollout.
//! Two parts are not signed: the waves that the controller reported, and the gateways' reports.
//! Three are not known: the soak time, the limit of failures, and how updates ended on gateways that
//! have since reported another one. The first two come from the command line.

use super::hold::unknown;
use super::list::{Found, Survey, survey};
use super::machine::{Plan, Rollout, RolloutState};
use super::pace::Pace;
use super::record::{Files, Record};
use super::request::Loaded;
use super::resume::nothing_to_resume;
use super::waves::{Wave, percents};
use crate::ctl::broker::BrokerArgs;
use crate::ctl::wall_clock::now;
use crate::terminal::{Exit, Failure};
use crate::update::Deployment;

/// Rebuilds the record of the paused rollout of this name. The broker does not retain its pace, so
/// the operator gives it again; `pace.waves` are those after the held one, and empty for those that
/// the controller reported.
///
/// # Errors
/// A rollout that is not paused, has expired, or whose state or waves are not known; a bundle that
/// is not its release.
pub(super) async fn rebuild(
    name: &str,
    broker: &BrokerArgs,
    loaded: &Loaded,
    files: Files,
    pace: Pace,
) -> Result<Record, Failure> {
    let survey = survey(broker, Some(&loaded.trust)).await?;
    let found = survey.named(name).ok_or_else(|| unknown(name, &survey))?;
    ensure_paused(found)?;
    ensure_same_release(&found.deployment, loaded)?;
    let (waves, wave) = waves(found, &survey, &pace.waves)?;
    let of = &found.deployment;
    let plan = Plan {
        name: of.deployment.clone(),
        seed: of.seed.clone(),
        waves,
        soak: pace.soak,
        abort_above: pace.abort_above,
        min_reports: pace.min_reports,
        skip_offline: pace.skip_offline,
    };
    warn(&plan, wave, pace.waves.is_empty());
    let topic = broker.deploy_topic(&of.target, &of.model);
    let terms = Deployment { seq: 0, percent: 0.0, hold: false, ..of.clone() };
    Ok(Record::new(topic, terms, Rollout::paused_in(plan, wave, now()), files))
}

/// Without the controller's report a pause cannot be told from an abort, which is final.
fn ensure_paused(found: &Found) -> Result<(), Failure> {
    let of = &found.deployment;
    let name = &of.deployment;
    match found.state() {
        _ if of.expires <= now() => Err(nothing_to_resume(name, "expired")),
        state @ (RolloutState::Done | RolloutState::Aborted | RolloutState::Replaced) => {
            Err(nothing_to_resume(name, &state.to_string()))
        }
        RolloutState::Running => Err(Failure::new(
            Exit::Failed,
            format!(
                "the rollout {name} is running, possibly controlled by another inferctl: pause it \
                 first with `inferctl rollout pause {name} --keyset FILE --key FILE`"
            ),
        )),
        RolloutState::Paused if found.status.is_none() => Err(Failure::new(
            Exit::Failed,
            format!(
                "the broker retains no state of the rollout {name}, so an abort cannot be told \
                 from a pause, and its waves are not known. Resume it with its record file, or \
                 start another rollout"
            ),
        )),
        RolloutState::Paused => Ok(()),
    }
}

fn ensure_same_release(deployment: &Deployment, loaded: &Loaded) -> Result<(), Failure> {
    let wanted = deployment.manifest.sha256;
    let found = loaded.checked.manifest_blob().map(|blob| blob.sha256);
    if found == Some(wanted) {
        return Ok(());
    }
    let message = format!(
        "the bundle is not the release of the rollout {}: its manifest is {}, and the rollout's is \
         {wanted}",
        deployment.deployment,
        found.map_or_else(|| "missing".to_owned(), |digest| digest.to_string()),
    );
    Err(Failure::new(Exit::Failed, message))
}

/// The waves of the rollout, and the number of the held one (from 1 on).
fn waves(found: &Found, survey: &Survey, later: &[Wave]) -> Result<(Vec<f64>, usize), Failure> {
    let of = &found.deployment;
    let usage = |message: String| Failure::new(Exit::Usage, message);
    if !later.is_empty() {
        let fleet = survey.view.members(&of.target);
        let mut waves = percents(later, &of.seed, &fleet).map_err(usage)?;
        waves.retain(|percent| *percent > of.percent);
        waves.insert(0, of.percent);
        return Ok((waves, 1));
    }
    let Some(status) = &found.status else { return Ok((vec![of.percent], 1)) };
    let is_percent = |percent: &f64| (0.0..=100.0).contains(percent);
    let is_plausible = status.waves.is_sorted() && status.waves.iter().all(is_percent);
    // The reported waves are not signed; the held deployment is.
    let wave = status.wave;
    let reported = wave.checked_sub(1).and_then(|index| status.waves.get(index));
    if is_plausible && reported == Some(&of.percent) {
        return Ok((status.waves.clone(), wave));
    }
    let message = format!(
        "the reported waves of the rollout {} do not match its deployment, which is for {} % of \
         the fleet: give the waves that follow with --waves",
        of.deployment, of.percent
    );
    Err(Failure::new(Exit::Failed, message))
}

/// Prints the rebuilt plan and its limitations on standard error.
fn warn(plan: &Plan, wave: usize, are_reported: bool) {
    let waves: Vec<_> = plan.waves.iter().map(|percent| format!("{percent} %")).collect();
    let source = if are_reported { " (as reported by its controller; not signed)" } else { "" };
    eprintln!(
        "warning: the record is rebuilt from the broker. Wave {wave} of {}: {}{source}. From this \
         command: soak time {} s, abort above {} % of at least {} reports. Updates of gateways \
         that have reported a later update are not counted",
        plan.waves.len(),
        waves.join(", "),
        plan.soak.as_secs(),
        plan.abort_above * 100.0,
        plan.min_reports,
    );
}
