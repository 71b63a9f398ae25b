//! The operator's side of a rollout, as a pure machine: waves, soak, and when to stop.
//!
//! One retained deployment reaches everyone; a wave is the same deployment under the next number
//! with a higher percentage. What is saved before a wave is published lets a controller that was
//! killed go on without skipping or repeating one: publishing the same number twice changes nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::GatewayId;
use crate::update::device::{Report, State};
use crate::update::drawn;

/// How a rollout goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The rollout's name, the same in the gateways' reports.
    pub name: String,
    pub seed: String,
    /// Percent of the fleet, rising.
    pub waves: Vec<f64>,
    /// How long a wave is watched before the next, at least.
    pub soak: Duration,
    /// The share of failures among the reports that stops the rollout.
    pub abort_above: f64,
    /// Reports before that share means anything (or all of a wave that is smaller).
    pub min_reports: usize,
}

/// All that a controller remembers: the record file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    plan: Plan,
    /// Waves begun; 0 is none.
    wave: usize,
    since: Timestamp,
    pub course: Course,
    ended: BTreeMap<String, bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Course {
    Running,
    Aborted,
    Done,
}

/// What the controller must do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Write the record file; durable before what follows.
    Save,
    /// Publish the deployment, retained. The wave's number is added to the rollout's first `seq`.
    Publish { wave: usize, percent: f64, hold: bool },
}

impl Rollout {
    pub(super) fn new(plan: Plan, now: Timestamp) -> Self {
        let (wave, ended) = (0, BTreeMap::new());
        Self { plan, wave, since: now, course: Course::Running, ended }
    }

    /// What is to be done first, also after the controller was killed.
    pub(super) fn start(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.wave == 0 { self.next_wave(now, actions) } else { self.publish(actions) }
    }

    /// A gateway's report, however often it comes.
    pub(super) fn reported(
        &mut self,
        gateway: &GatewayId,
        report: &Report,
        actions: &mut Vec<Action>,
    ) {
        if report.deployment != self.plan.name || !report.state.is_final() {
            return;
        }
        let well = report.state == State::Committed;
        if report.state != State::Cancelled {
            self.ended.insert(gateway.to_string(), well);
        }
        let failures = self.failures();
        #[expect(clippy::cast_precision_loss, reason = "counts of gateways")]
        let share = failures as f64 / self.ended.len().max(1) as f64;
        let enough = self.ended.len() >= self.plan.min_reports;
        if self.course == Course::Running && enough && share > self.plan.abort_above {
            self.course = Course::Aborted;
            self.publish(actions);
        }
    }

    /// Begins the next wave when this one was watched long enough. `fleet` is every gateway that
    /// is known.
    pub(super) fn tick(&mut self, now: Timestamp, fleet: &[GatewayId], actions: &mut Vec<Action>) {
        if self.course != Course::Running || now.since(self.since) < self.plan.soak {
            return;
        }
        let percent = self.percent();
        let reached = fleet.iter().filter(|id| drawn(&self.plan.seed, id, percent)).count();
        if self.ended.len() < self.plan.min_reports.min(reached) {
            return;
        }
        if self.wave < self.plan.waves.len() {
            return self.next_wave(now, actions);
        }
        if self.ended.len() >= reached {
            self.course = Course::Done;
            actions.push(Action::Save);
        }
    }

    pub(super) fn failures(&self) -> usize {
        self.ended.values().filter(|well| !**well).count()
    }

    fn next_wave(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.wave += 1;
        self.since = now;
        self.publish(actions);
    }

    fn publish(&self, actions: &mut Vec<Action>) {
        let hold = self.course == Course::Aborted;
        // Holding back is one more message, under the next number.
        let wave = self.wave + usize::from(hold);
        actions.push(Action::Save);
        actions.push(Action::Publish { wave, percent: self.percent(), hold });
    }

    fn percent(&self) -> f64 {
        let wave = self.wave.saturating_sub(1);
        self.plan.waves.get(wave).or(self.plan.waves.last()).copied().unwrap_or(100.0)
    }
}
