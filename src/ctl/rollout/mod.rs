//! The operator's side of a rollout, as a pure machine: waves, soak, and when to stop.
//!
//! One retained deployment reaches everyone; a wave is the same deployment under the next number
//! with a higher percentage. What is saved before a wave is published lets a controller that was
//! killed go on without skipping or repeating one: publishing the same number twice changes nothing.

mod ask;
mod awaited;
mod bars;
mod controller;
mod hold;
mod list;
mod members;
mod order;
mod preview;
mod record;
mod status;
pub(super) mod terms;
#[cfg(test)]
mod tests;
mod verbs;
mod warnings;
pub(super) mod waves;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::GatewayId;
use crate::update::device::State;
use crate::update::drawn;

pub(super) use order::Order;
pub(super) use preview::preview;
pub(super) use verbs::{Signing, Verbs, begin, rollout};

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
    /// Gateways that have been offline for this long are not waited for; `None` waits for all.
    #[serde(default)]
    pub skip_offline: Option<Duration>,
}

/// What a controller remembers of the way so far; a part of the record file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    plan: Plan,
    /// Waves begun; 0 is none.
    wave: usize,
    /// Deployments decided on; the one to be retained has this number.
    number: usize,
    since: Timestamp,
    pub course: Course,
    ended: BTreeMap<String, bool>,
    /// Offline gateways that the rollout ended without.
    #[serde(default)]
    skipped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Course {
    Running,
    /// Held back until someone resumes it.
    Paused,
    Aborted,
    /// Someone else has emptied the topic or put another deployment there.
    Replaced,
    Done,
}

impl fmt::Display for Course {
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

/// How one wave stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    pub percent: f64,
    pub reached: usize,
    pub ended: usize,
    pub failed: usize,
}

/// What the controller must do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// Write the record file; durable before what follows.
    Save,
    /// Publish the deployment, retained, unless that of this number has been published.
    Publish { number: usize, percent: f64, hold: bool },
}

impl Rollout {
    pub(super) fn new(plan: Plan, now: Timestamp) -> Self {
        let ended = BTreeMap::new();
        let course = Course::Running;
        Self { plan, wave: 0, number: 0, since: now, course, ended, skipped: 0 }
    }

    /// What is to be done first, also after the controller was killed.
    pub(super) fn start(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.wave == 0 { self.next_wave(now, actions) } else { self.publish(actions) }
    }

    /// A gateway's report, however often it comes.
    pub(super) fn reported(
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
        if self.course == Course::Running && self.fails(self.plan.min_reports) {
            self.abort(actions);
        }
    }

    /// Begins the next wave when this one was watched long enough. `fleet` is every gateway that
    /// is known, `absent` those of it that are not waited for.
    pub(super) fn tick(
        &mut self,
        now: Timestamp,
        fleet: &[GatewayId],
        absent: &BTreeSet<GatewayId>,
        actions: &mut Vec<Action>,
    ) {
        let soaked = self.is_soaked(now);
        let failing = self.fails(1);
        if self.course != Course::Running || self.wave == 0 || !(soaked || failing) {
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
            (self.course, self.skipped) = (Course::Done, skipped);
            actions.push(Action::Save);
        }
    }

    /// Holds back who has not switched, until [`Rollout::resume`].
    pub(super) fn pause(&mut self, actions: &mut Vec<Action>) {
        if self.course == Course::Running {
            self.course = Course::Paused;
            self.say_anew(actions);
        }
    }

    /// Goes on with the wave that was held back; it is watched from now on.
    pub(super) fn resume(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.course == Course::Paused {
            (self.course, self.since) = (Course::Running, now);
            self.say_anew(actions);
        }
    }

    /// Holds back who has not switched, for good.
    pub(super) fn abort(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.course, Course::Running | Course::Paused) {
            self.course = Course::Aborted;
            self.say_anew(actions);
        }
    }

    /// Somebody else holds the rollout back: what is retained says so already.
    pub(super) fn held_elsewhere(&mut self, course: Course, actions: &mut Vec<Action>) {
        let is_later = match self.course {
            Course::Running => true,
            Course::Paused => course == Course::Aborted,
            Course::Aborted | Course::Replaced | Course::Done => false,
        };
        if is_later {
            self.course = course;
            actions.push(Action::Save);
        }
    }

    /// Another deployment counts now: nothing more is published.
    pub(super) fn replaced(&mut self, actions: &mut Vec<Action>) {
        if matches!(self.course, Course::Running | Course::Paused) {
            self.course = Course::Replaced;
            actions.push(Action::Save);
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Changes which offline gateways are waited for.
    pub(super) fn skip_offline(&mut self, span: Duration) {
        self.plan.skip_offline = Some(span);
    }

    /// When the wave that counts was begun.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether the wave was watched for long enough.
    pub(super) fn is_soaked(&self, now: Timestamp) -> bool {
        now.since(self.since) >= self.plan.soak
    }

    /// The gateways that the waves so far are for and whose update has not ended.
    pub(super) fn awaited<'a>(
        &'a self,
        fleet: &'a [GatewayId],
    ) -> impl Iterator<Item = &'a GatewayId> + 'a {
        let percent = if self.wave == 0 { 0.0 } else { self.percent() };
        fleet.iter().filter(move |id| {
            drawn(&self.plan.seed, id, percent) && !self.ended.contains_key(id.as_str())
        })
    }

    /// Offline gateways that the rollout ended without.
    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    /// Waves begun.
    pub(super) fn wave(&self) -> usize {
        self.wave
    }

    /// Gateways whose update ended, well or not.
    pub(super) fn ended(&self) -> usize {
        self.ended.len()
    }

    pub(super) fn failures(&self) -> usize {
        self.ended.values().filter(|well| !**well).count()
    }

    /// How many of these gateways the waves so far are for.
    pub(super) fn reached(&self, fleet: &[GatewayId]) -> usize {
        let percent = if self.wave == 0 { 0.0 } else { self.percent() };
        fleet.iter().filter(|id| drawn(&self.plan.seed, id, percent)).count()
    }

    /// How the waves begun stand, each with the gateways that it added.
    pub(super) fn progress(&self, fleet: &[GatewayId]) -> Vec<Progress> {
        let waves = self.plan.waves.iter().take(self.wave);
        let mut progress: Vec<_> =
            waves.map(|&percent| Progress { percent, reached: 0, ended: 0, failed: 0 }).collect();
        for id in fleet {
            let reached = |of: &&mut Progress| drawn(&self.plan.seed, id, of.percent);
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
        self.say_anew(actions);
    }

    /// What is to be retained has changed.
    fn say_anew(&mut self, actions: &mut Vec<Action>) {
        self.number += 1;
        self.publish(actions);
    }

    fn publish(&self, actions: &mut Vec<Action>) {
        let hold = self.course != Course::Running && self.course != Course::Done;
        let (number, percent) = (self.number, self.percent());
        actions.push(Action::Save);
        actions.push(Action::Publish { number, percent, hold });
    }

    fn percent(&self) -> f64 {
        let wave = self.wave.saturating_sub(1);
        self.plan.waves.get(wave).or(self.plan.waves.last()).copied().unwrap_or(100.0)
    }
}
