//! The operator's side of a rollout, as a pure machine: waves, soak, and when to stop.
//!
//! One retained deployment reaches all gateways; a wave is the same deployment under the next number
//! with a higher percentage. The state is saved before a wave is published, so a controller that was
//! killed continues without skipping or repeating a wave: publishing the same number twice has no
//! effect.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::GatewayId;
use crate::update::is_selected;
use crate::update::machine::State;

/// The plan of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::ctl) struct Plan {
    /// The rollout's name, the same in the gateways' reports.
    pub name: String,
    pub seed: String,
    /// Percent of the fleet, rising.
    pub waves: Vec<f64>,
    /// Soak time: how long a wave is observed at least.
    pub soak: Duration,
    /// The share of failures among the reports that stops the rollout.
    pub abort_above: f64,
    /// Reports before that share means anything (or all of a wave that is smaller).
    pub min_reports: usize,
    /// Gateways that have been offline for this long are not waited for; `None` waits for all.
    #[serde(default)]
    pub skip_offline: Option<Duration>,
}

/// The state of a rollout; a part of the record file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::ctl) struct Rollout {
    plan: Plan,
    /// The number of waves that have started.
    wave: usize,
    /// Deployments decided on; the one to be retained has this number.
    number: usize,
    since: Timestamp,
    #[serde(rename = "course")]
    pub state: RolloutState,
    ended: BTreeMap<String, bool>,
    /// Offline gateways that the rollout ended without.
    #[serde(default)]
    skipped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::ctl) enum RolloutState {
    Running,
    /// Held until it is resumed.
    Paused,
    Aborted,
    /// The topic was cleared or has another deployment.
    Replaced,
    Done,
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Replaced => "replaced",
            Self::Done => "done",
        })
    }
}

/// The progress of one wave.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) struct Progress {
    pub percent: f64,
    pub reached: usize,
    pub ended: usize,
    pub failed: usize,
}

/// What the controller must do, in order.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::ctl) enum Action {
    /// Write the record file; durable before what follows.
    Save,
    /// Publish the deployment, retained, unless that of this number has been published.
    Publish { number: usize, percent: f64, hold: bool },
}

impl Rollout {
    pub(in crate::ctl) fn new(plan: Plan, now: Timestamp) -> Self {
        let ended = BTreeMap::new();
        let state = RolloutState::Running;
        Self { plan, wave: 0, number: 0, since: now, state, ended, skipped: 0 }
    }

    /// A rollout that is held back in its wave number `wave` (from 1 on), for a controller that was
    /// not there when it began. Reports are still to be read.
    pub(in crate::ctl) fn paused_in(plan: Plan, wave: usize, now: Timestamp) -> Self {
        Self { wave, state: RolloutState::Paused, ..Self::new(plan, now) }
    }

    /// The first actions of a controller, also after an earlier one was killed.
    pub(in crate::ctl) fn start(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.wave == 0 { self.next_wave(now, actions) } else { self.publish(actions) }
    }

    /// Handles a gateway's report; repeated reports have no effect.
    pub(in crate::ctl) fn reported(
        &mut self,
        gateway: &GatewayId,
        deployment: &str,
        state: State,
        actions: &mut Vec<Action>,
    ) {
        if deployment != self.plan.name || !state.is_final() {
            return;
        }
        if state != State::Cancelled {
            self.ended.insert(gateway.to_string(), state == State::Committed);
        }
        if self.state == RolloutState::Running && self.fails(self.plan.min_reports) {
            self.abort(actions);
        }
    }

    /// Starts the next wave after the soak time. `fleet` is every gateway that
    /// is known, `absent` those of it that are not waited for.
    pub(in crate::ctl) fn tick(
        &mut self,
        now: Timestamp,
        fleet: &[GatewayId],
        absent: &BTreeSet<GatewayId>,
        actions: &mut Vec<Action>,
    ) {
        let soaked = self.is_soaked(now);
        let failing = self.fails(1);
        if self.state != RolloutState::Running || self.wave == 0 || !(soaked || failing) {
            return;
        }
        let reached = self.reached(fleet);
        let skipped = self.awaited(fleet).filter(|id| absent.contains(*id)).count();
        // Absent gateways alone prove nothing: a wave ends with one report at least.
        let expected = reached.saturating_sub(skipped).max(reached.min(1));
        let enough = self.plan.min_reports.min(expected);
        if failing && self.ended.len() >= enough.max(1) {
            return self.abort(actions);
        }
        if !soaked || self.ended.len() < enough {
            return;
        }
        if self.wave < self.plan.waves.len() {
            return self.next_wave(now, actions);
        }
        if self.ended.len() >= expected {
            (self.state, self.skipped) = (RolloutState::Done, skipped);
            actions.push(Action::Save);
        }
    }

    /// Holds gateways that have not switched, until [`Rollout::resume`].
    pub(in crate::ctl) fn pause(&mut self, actions: &mut Vec<Action>) {
        if self.state == RolloutState::Running {
            self.state = RolloutState::Paused;
            self.republish(actions);
        }
    }

    /// Continues the wave that was held; its soak time starts again. A rollout with too many failures
    /// is aborted instead.
    pub(in crate::ctl) fn resume(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.state != RolloutState::Paused {
            return;
        }
        if self.fails(self.plan.min_reports) {
            return self.abort(actions);
        }
        (self.state, self.since) = (RolloutState::Running, now);
        self.republish(actions);
    }

    /// Holds gateways that have not switched, permanently.
    pub(in crate::ctl) fn abort(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.state, RolloutState::Running | RolloutState::Paused) {
            self.state = RolloutState::Aborted;
            self.republish(actions);
        }
    }

    /// Another operator holds the rollout: the retained deployment is already a hold.
    pub(in crate::ctl) fn held_elsewhere(
        &mut self,
        state: RolloutState,
        actions: &mut Vec<Action>,
    ) {
        let is_later = match self.state {
            RolloutState::Running => true,
            RolloutState::Paused => state == RolloutState::Aborted,
            RolloutState::Aborted | RolloutState::Replaced | RolloutState::Done => false,
        };
        if is_later {
            self.state = state;
            actions.push(Action::Save);
        }
    }

    /// Another deployment counts now: nothing more is published.
    pub(in crate::ctl) fn replaced(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.state, RolloutState::Running | RolloutState::Paused) {
            self.state = RolloutState::Replaced;
            actions.push(Action::Save);
        }
    }

    pub(in crate::ctl) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Changes which offline gateways are waited for.
    pub(in crate::ctl) fn skip_offline(&mut self, span: Duration) {
        self.plan.skip_offline = Some(span);
    }

    /// When the current wave started.
    pub(in crate::ctl) fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether the wave was watched for long enough.
    pub(in crate::ctl) fn is_soaked(&self, now: Timestamp) -> bool {
        now.since(self.since) >= self.plan.soak
    }

    /// The gateways that the waves so far are for and whose update has not ended.
    pub(in crate::ctl) fn awaited<'a>(
        &'a self,
        fleet: &'a [GatewayId],
    ) -> impl Iterator<Item = &'a GatewayId> + 'a {
        let percent = if self.wave == 0 { 0.0 } else { self.percent() };
        fleet.iter().filter(move |id| {
            is_selected(&self.plan.seed, id, percent) && !self.ended.contains_key(id.as_str())
        })
    }

    /// Offline gateways that the rollout ended without.
    pub(in crate::ctl) fn skipped(&self) -> usize {
        self.skipped
    }

    /// The number of waves that have started.
    pub(in crate::ctl) fn wave(&self) -> usize {
        self.wave
    }

    /// Gateways whose update ended, well or not.
    pub(in crate::ctl) fn ended(&self) -> usize {
        self.ended.len()
    }

    pub(in crate::ctl) fn failures(&self) -> usize {
        self.ended.values().filter(|well| !**well).count()
    }

    /// The number of these gateways that the waves so far select.
    pub(in crate::ctl) fn reached(&self, fleet: &[GatewayId]) -> usize {
        let percent = if self.wave == 0 { 0.0 } else { self.percent() };
        fleet.iter().filter(|id| is_selected(&self.plan.seed, id, percent)).count()
    }

    /// The progress of each wave that has started, for the gateways that it added.
    pub(in crate::ctl) fn progress(&self, fleet: &[GatewayId]) -> Vec<Progress> {
        let waves = self.plan.waves.iter().take(self.wave);
        let mut progress: Vec<_> =
            waves.map(|&percent| Progress { percent, reached: 0, ended: 0, failed: 0 }).collect();
        for id in fleet {
            let reached = |of: &&mut Progress| is_selected(&self.plan.seed, id, of.percent);
            let Some(of) = progress.iter_mut().find(reached) else { continue };
            of.reached += 1;
            if let Some(well) = self.ended.get(id.as_str()) {
                of.ended += 1;
                of.failed += usize::from(!well);
            }
        }
        progress
    }

    /// Whether too many of at least `enough` reports are failures.
    fn fails(&self, enough: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "counts of gateways")]
        let share = self.failures() as f64 / self.ended.len().max(1) as f64;
        self.ended.len() >= enough && share > self.plan.abort_above
    }

    fn next_wave(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.wave += 1;
        self.since = now;
        self.republish(actions);
    }

    /// The deployment has changed and must be published.
    fn republish(&mut self, actions: &mut Vec<Action>) {
        self.number += 1;
        self.publish(actions);
    }

    fn publish(&self, actions: &mut Vec<Action>) {
        let hold = self.state != RolloutState::Running && self.state != RolloutState::Done;
        let (number, percent) = (self.number, self.percent());
        actions.push(Action::Save);
        actions.push(Action::Publish { number, percent, hold });
    }

    fn percent(&self) -> f64 {
        let wave = self.wave.saturating_sub(1);
        self.plan.waves.get(wave).or(self.plan.waves.last()).copied().unwrap_or(100.0)
    }
}
