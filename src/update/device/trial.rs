//! The end of an update: committed, rolled back, or given up.

use std::time::Duration;

use super::super::deployment::Trial;
use super::face::{Effect, Reason, Runs, State};
use super::record::Outcome;
use super::{Device, Doing};
use crate::clock::Now;

/// Starts with a candidate, or probes of it, that may end without a word.
pub(super) const TRIES_MAX: u32 = 3;
/// Runs from which rates say anything.
const RUNS_MIN: u32 = 10;

impl Trial {
    pub(super) fn max(&self) -> Duration {
        Duration::from_secs(self.max_s.into())
    }

    /// Why the model is given up, if it is.
    fn verdict(&self, runs: &Runs) -> Option<Reason> {
        if runs.nans > 0 {
            return Some(Reason::NotANumber);
        }
        if runs.runs < RUNS_MIN.min(self.min_runs) {
            return None;
        }
        if f64::from(runs.errors) > f64::from(runs.runs) * self.max_error_rate {
            return Some(Reason::ErrorRate);
        }
        (runs.slowdown > self.max_slowdown).then_some(Reason::Slow)
    }
}

impl Device {
    pub(super) fn ran(&mut self, now: Now, runs: Runs, effects: &mut Vec<Effect>) {
        if let Some(work) = &mut self.work
            && let Doing::Trial { best, .. } = &mut work.doing
        {
            *best = runs;
            self.judge_trial(now, effects);
        }
    }

    pub(super) fn judge_trial(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(work) = &self.work else { return };
        let Doing::Trial { since, best } = &work.doing else { return };
        let trial = &work.deployment.trial;
        if let Some(reason) = trial.verdict(best) {
            let name = work.deployment.deployment.clone();
            return self.roll_back(reason, name, effects);
        }
        if best.runs >= trial.min_runs || now.mono.since(*since) >= trial.max() {
            let counter = self.record.active.as_ref().map_or(0, |slot| slot.counter);
            self.record.floor = self.record.floor.max(counter);
            self.end(State::Committed, None, effects);
            effects.push(Effect::Sweep);
        }
    }

    /// One write puts the model of before back and remembers the candidate as refused.
    pub(super) fn roll_back(&mut self, reason: Reason, name: String, effects: &mut Vec<Effect>) {
        if let Some(slot) = self.record.active.take() {
            self.record.refuse(slot.manifest);
        }
        self.record.active = self.record.previous.take();
        self.conclude(name.clone(), State::RolledBack, Some(reason));
        effects.push(Effect::Save(self.record.clone()));
        effects.push(Effect::Activate(self.record.active.clone()));
        self.report_of(name, State::RolledBack, Some(reason), effects);
        self.work = None;
        effects.push(Effect::Sweep);
    }

    /// The active version does not load, whatever it did before: the one before serves, or else
    /// the shipped one.
    pub(super) fn unusable(&mut self, effects: &mut Vec<Effect>) {
        if self.record.active.is_some() {
            let work = self.work.as_ref();
            let name = work.map(|work| work.deployment.deployment.clone()).unwrap_or_default();
            self.roll_back(Reason::Load, name, effects);
        }
    }

    /// The candidate was found wanting; the active model was never touched.
    pub(super) fn fail(&mut self, reason: Reason, effects: &mut Vec<Effect>) {
        if let Some(work) = &self.work
            && reason.blames_version()
        {
            self.record.refuse(work.deployment.manifest.sha256);
        }
        self.end(State::Failed, Some(reason), effects);
        effects.push(Effect::Sweep);
    }

    /// Remembers the end, in the write that makes it one.
    fn conclude(&mut self, deployment: String, state: State, reason: Option<Reason>) {
        let candidate = self.work.as_ref().map(|work| work.deployment.manifest.sha256);
        self.record.job = None;
        self.record.last = Some(Outcome { deployment, state, reason, candidate });
    }

    pub(super) fn end(&mut self, state: State, reason: Option<Reason>, effects: &mut Vec<Effect>) {
        let work = self.work.as_ref();
        let name = work.map(|work| work.deployment.deployment.clone()).unwrap_or_default();
        self.conclude(name, state, reason);
        effects.push(Effect::Save(self.record.clone()));
        self.report(state, reason, effects);
        self.work = None;
    }
}
