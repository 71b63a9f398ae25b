//! `inferctl rollout list`: every rollout that the broker retains.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::machine::RolloutState;
use super::request::first_seq;
use super::status::RolloutStatus;
use crate::clock::Timestamp;
use crate::ctl::broker::{BrokerArgs, Session, block_on};
use crate::ctl::fleet::retained::{RetainedFleet, read_fleet};
use crate::ctl::fleet::view::{self, FleetView, age};
use crate::ctl::keyset_chain::load_trust;
use crate::ctl::wall_clock::now;
use crate::ids::ModelName;
use crate::link::ClientMessage;
use crate::terminal::{Failure, print, print_json, table};
use crate::update::{Deployment, Envelope, Target, Trust, is_selected};

/// Show every rollout that the broker retains
///
/// Needs no record file: `inferctl rollout pause NAME` and `abort NAME` accept the names shown here. The
/// progress comes from the gateways' reports. Without --keyset, signatures are not verified.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl rollout list
  inferctl rollout list --keyset keyset-1.json --json")]
pub(in crate::ctl) struct List {
    /// The keysets, from the first one that the gateways were provisioned with, to verify signatures
    #[arg(long, value_name = "FILE")]
    keyset: Vec<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// A retained deployment with its retained state.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) deployment: Deployment,
    /// Whether its signatures were checked.
    pub(super) is_verified: bool,
    pub(super) status: Option<RolloutStatus>,
}

/// All that the broker retains of rollouts.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) session: Session,
    pub(super) found: Vec<Found>,
    /// The highest number of a signed deployment, by model.
    pub(super) highest: BTreeMap<String, u64>,
    pub(super) view: FleetView,
}

impl Survey {
    /// The newest deployment of the rollout of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Found> {
        let of_name = self.found.iter().filter(|found| found.deployment.deployment == name);
        of_name.max_by_key(|found| found.deployment.seq)
    }

    /// The number for the next deployment of a model.
    pub(super) fn next_seq(&self, model: &ModelName, now: Timestamp) -> u64 {
        first_seq(self.highest.get(model.as_str()).copied().unwrap_or(0), now)
    }
}

/// One rollout as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    rollout: String,
    model: String,
    target: Target,
    version: Option<String>,
    #[serde(rename = "course")]
    state: String,
    percent: f64,
    /// Waves started and planned; `None` if the controller has not reported them.
    wave: Option<usize>,
    waves: Option<Vec<f64>>,
    /// Gateways that the waves so far are for, and how their updates ended.
    reached: usize,
    committed: usize,
    failed: usize,
    /// Gateways that have not ended and are not online.
    offline: usize,
    since: Timestamp,
    expires: Timestamp,
    verified: bool,
}

pub(super) fn list(args: &List) -> Result<(), Failure> {
    let trust = if args.keyset.is_empty() { None } else { Some(load_trust(&args.keyset)?) };
    let survey = block_on(survey(&args.broker, trust.as_ref()))?;
    let rows: Vec<_> = survey.found.iter().map(|found| row(found, &survey.view, now())).collect();
    if args.json {
        return rows.iter().try_for_each(print_json);
    }
    print(&render(&rows, now()))
}

/// Reads what the broker retains. With `trust`, deployments that it does not accept are left out.
pub(super) async fn survey(broker: &BrokerArgs, trust: Option<&Trust>) -> Result<Survey, Failure> {
    let rest = ["deploy/group/+/+", "deploy/gateway/+/+", "rollout/+/+/+", "+/health"];
    let filters = rest.map(str::to_owned).into_iter().chain(view::filters(None));
    let RetainedFleet { session, view, messages } = read_fleet(broker, filters).await?;
    let deployed = messages.iter().filter_map(|message| deployed(message, broker, trust));
    let found = deployed.collect();
    let mut survey = Survey { session, found, highest: BTreeMap::new(), view };
    for found in &mut survey.found {
        let of = &found.deployment;
        let topic = broker.rollout_topic(&of.target, &of.model);
        let status = messages.iter().filter(|message| message.topic == topic);
        let status = status.filter_map(|message| RolloutStatus::read(&message.payload));
        found.status = status.filter(|status| status.deployment == of.deployment).last();
        let highest = survey.highest.entry(of.model.to_string()).or_default();
        *highest = of.seq.max(*highest);
    }
    Ok(survey)
}

/// A deployment, if it is on the topic of its own target.
fn deployed(message: &ClientMessage, broker: &BrokerArgs, trust: Option<&Trust>) -> Option<Found> {
    let deployment = match trust {
        Some(trust) => (*trust.deployment(&message.payload).ok()?).clone(),
        None => Envelope::read::<Deployment>(&message.payload).ok()?.unverified().ok()?,
    };
    let is_its_own = message.topic == broker.deploy_topic(&deployment.target, &deployment.model);
    is_its_own.then_some(Found { deployment, is_verified: trust.is_some(), status: None })
}

impl Found {
    /// The state by the signed deployment, and by the controller's report if that leaves it open.
    pub(super) fn state(&self) -> RolloutState {
        let told = self.status.as_ref().map(|status| status.state);
        match (self.deployment.hold, told) {
            (true, Some(RolloutState::Aborted)) => RolloutState::Aborted,
            (true, _) => RolloutState::Paused,
            (false, Some(RolloutState::Done)) => RolloutState::Done,
            (false, _) => RolloutState::Running,
        }
    }
}

fn row(found: &Found, view: &FleetView, now: Timestamp) -> Row {
    let of = &found.deployment;
    let members = view.members(&of.target);
    let reached = members.iter().filter(|id| is_selected(&of.seed, id, of.percent));
    let (mut all, mut committed, mut failed, mut offline) = (0, 0, 0, 0);
    let mut version = found.status.as_ref().map(|status| status.version.clone());
    for id in reached {
        all += 1;
        let report = view.model(id, of.model.as_str());
        let report = report.filter(|report| report.deployment.as_ref() == Some(&of.deployment));
        let digest = of.manifest.sha256.to_string();
        let active = report.and_then(|report| report.active.as_ref());
        let same = active.filter(|active| active.digest == digest);
        version = version.or_else(|| same.map(|active| active.version.clone()));
        match report.and_then(|report| report.update()) {
            Some(crate::update::machine::State::Committed) => committed += 1,
            Some(state) if state.is_final() => failed += 1,
            _ if view.gateways.get(id).is_some_and(|gateway| gateway.is_online()) => {}
            _ => offline += 1,
        }
    }
    let state = found.state();
    let is_expired = state == RolloutState::Running && of.expires <= now;
    Row {
        rollout: of.deployment.clone(),
        model: of.model.to_string(),
        target: of.target.clone(),
        version,
        state: if is_expired { "expired".to_owned() } else { state.to_string() },
        percent: of.percent,
        wave: found.status.as_ref().map(|status| status.wave),
        waves: found.status.as_ref().map(|status| status.waves.clone()),
        reached: all,
        committed,
        failed,
        offline,
        since: found.status.as_ref().map_or(of.created, |status| status.since),
        expires: of.expires,
        verified: found.is_verified,
    }
}

fn render(rows: &[Row], now: Timestamp) -> String {
    if rows.is_empty() {
        return "the broker retains no rollout\n".to_owned();
    }
    let head = [
        "ROLLOUT",
        "MODEL",
        "TARGET",
        "VERSION",
        "STATE",
        "WAVE",
        "REACHED",
        "COMMITTED",
        "FAILED",
        "OFFLINE",
        "SINCE",
    ];
    let line = |row: &Row| {
        let target = match &row.target {
            Target::Group(group) => format!("group {group}"),
            Target::Gateway(id) => format!("gateway {id}"),
        };
        let wave = match (row.wave, &row.waves) {
            (Some(wave), Some(waves)) => format!("{wave} of {} ({} %)", waves.len(), row.percent),
            _ => format!("{} %", row.percent),
        };
        let since = age(now.since(row.since).as_secs());
        let version = row.version.clone().unwrap_or_else(|| "?".to_owned());
        let counts = [row.reached, row.committed, row.failed, row.offline].map(|n| n.to_string());
        let first = [row.rollout.clone(), row.model.clone(), target, version];
        let next = [row.state.clone(), wave];
        first.into_iter().chain(next).chain(counts).chain([format!("{since} ago")]).collect()
    };
    let lines = std::iter::once(head.map(str::to_owned).to_vec()).chain(rows.iter().map(line));
    let mut text = table(&lines.collect::<Vec<_>>());
    if rows.iter().any(|row| !row.verified) {
        text += "signatures were not verified; give --keyset to verify them\n";
    }
    text
}
