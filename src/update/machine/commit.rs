//! The end of an update: committed, rolled back, or given up.

use std::time::Duration;

use super::super::deployment::Trial;
use super::events::Effect;
use super::record::Outcome;
use super::types::{Reason, State, TrialStats};
use super::{Phase, UpdateMachine};
use crate::clock::Now;

/// Starts with a candidate, or probes of it, that may end without a word.
pub(super) const MAX_TRIES: u32 = 3;
/// Runs from which rates say anything.
const MIN_RUNS_FOR_RATES: u32 = 10;

impl Trial {
    pub(super) fn max(&self) -> Duration {
        Duration::from_secs(self.max_s.into())
    }

    /// Why the model is given up, if it is.
    pub(super) fn failure(&self, runs: &TrialStats) -> Option<Reason> {
        if runs.nans > 0 {
            return Some(Reason::NotANumber);
        }
        if runs.runs < MIN_RUNS_FOR_RATES.min(self.min_runs) {
            return None;
        }
        if f64::from(runs.errors) > f64::from(runs.runs) * self.max_error_rate {
            return Some(Reason::ErrorRate);
        }
        if runs.slowdown > self.max_slowdown {
            return Some(Reason::Slow);
        }
        let least = self.min_accuracy.filter(|_| self.has_labels(runs))?;
        (f64::from(runs.correct) < f64::from(runs.labels) * least).then_some(Reason::Accuracy)
    }

    /// Whether there are as many labels as the accuracy is judged by.
    fn has_labels(&self, runs: &TrialStats) -> bool {
        runs.labels >= self.min_labels.max(1)
    }

    /// Whether nothing more is to be known of a version that has not failed.
    pub(super) fn is_passed(&self, runs: &TrialStats) -> bool {
        let judged = self.min_accuracy.is_none() || self.has_labels(runs);
        runs.runs >= self.min_runs && judged
    }
}

impl UpdateMachine {
    pub(super) fn on_trial_progress(
        &mut self,
        now: Now,
        runs: TrialStats,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(update) = &mut self.update
            && let Phase::Trial { best, .. } = &mut update.phase
        {
            *best = runs;
            self.evaluate_trial(now, effects);
        }
    }

    pub(super) fn evaluate_trial(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(update) = &self.update else { return };
        let Phase::Trial { since, best } = &update.phase else { return };
        let trial = &update.deployment.trial;
        if let Some(reason) = trial.failure(best) {
            let name = update.deployment.deployment.clone();
            return self.roll_back(reason, name, effects);
        }
        if trial.is_passed(best) || now.mono.since(*since) >= trial.max() {
            let counter = self.record.slots.active.as_ref().map_or(0, |slot| slot.counter);
            self.record.min_counter = self.record.min_counter.max(counter);
            self.record.committed = Some(self.time(now));
            self.end(State::Committed, None, effects);
            effects.push(Effect::Sweep);
        }
    }

    /// Restores the previous version and refuses the candidate, in one write.
    pub(super) fn roll_back(&mut self, reason: Reason, name: String, effects: &mut Vec<Effect>) {
        let previous = self.record.slots.previous.take();
        // The previous version is not rolled back in its turn: that would be without an end.
        self.record.committed = None;
        if let Some(slot) = std::mem::replace(&mut self.record.slots.active, previous) {
            self.record.refuse(slot.manifest);
        }
        self.conclude(name.clone(), State::RolledBack, Some(reason));
        effects.push(Effect::Save(self.record.clone()));
        effects.push(Effect::Activate(self.record.slots.active.clone()));
        self.report_of(name, State::RolledBack, Some(reason), effects);
        self.update = None;
        effects.push(Effect::Sweep);
    }

    /// Whether a drift rolls the active version back: it is on trial, or its trial ended less than
    /// `within` ago. Not while an update is under way, which replaces it anyway.
    #[must_use]
    pub fn may_roll_back(&self, now: Now, within: Duration) -> bool {
        let is_recent = |ended| self.time(now).since(ended) <= within;
        let has_passed = self.update.is_none() && self.record.committed.is_some_and(is_recent);
        self.record.slots.active.is_some() && (self.is_on_trial() || has_passed)
    }

    /// The active version is in drift: the previous one becomes active.
    pub(super) fn on_drift(&mut self, effects: &mut Vec<Effect>) {
        if self.record.slots.active.is_none() {
            return;
        }
        let update = self.update.as_ref().map(|update| update.deployment.deployment.clone());
        let last = self.record.last.as_ref().filter(|last| last.state == State::Committed);
        let name = update.or_else(|| last.map(|last| last.deployment.clone()));
        self.roll_back(Reason::Drift, name.unwrap_or_default(), effects);
    }

    /// The active version cannot be loaded: the previous one becomes active, or the built-in one.
    pub(super) fn on_load_failed(&mut self, effects: &mut Vec<Effect>) {
        if self.record.slots.active.is_some() {
            let update = self.update.as_ref();
            let name =
                update.map(|update| update.deployment.deployment.clone()).unwrap_or_default();
            self.roll_back(Reason::Load, name, effects);
        }
    }

    /// The candidate failed its checks. The active model is unchanged.
    pub(super) fn fail(&mut self, reason: Reason, effects: &mut Vec<Effect>) {
        if let Some(update) = &self.update
            && reason.blames_version()
        {
            self.record.refuse(update.deployment.manifest.sha256);
        }
        self.end(State::Failed, Some(reason), effects);
        effects.push(Effect::Sweep);
    }

    /// Remembers the end, in the write that makes it one.
    fn conclude(&mut self, deployment: String, state: State, reason: Option<Reason>) {
        let candidate = self.update.as_ref().map(|update| update.deployment.manifest.sha256);
        self.record.job = None;
        self.record.slots.candidate = None;
        self.record.last = Some(Outcome { deployment, state, reason, candidate });
    }

    pub(super) fn end(&mut self, state: State, reason: Option<Reason>, effects: &mut Vec<Effect>) {
        let update = self.update.as_ref();
        let name = update.map(|update| update.deployment.deployment.clone()).unwrap_or_default();
        self.conclude(name, state, reason);
        effects.push(Effect::Save(self.record.clone()));
        self.report(state, reason, effects);
        self.update = None;
    }
}
