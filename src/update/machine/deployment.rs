//! Handles received deployments.

use std::time::Duration;

use super::super::deployment::Deployment;
use super::super::error::VerifyError;
use super::super::maintenance_window::until_open;
use super::super::trust::Verified;
use super::events::Effect;
use super::record::{Job, Outcome};
use super::types::{Reason, State};
use super::{ActiveUpdate, Phase, UpdateMachine};
use crate::clock::Now;

impl UpdateMachine {
    pub(super) fn on_deployment(&mut self, now: Now, bytes: Vec<u8>, effects: &mut Vec<Effect>) {
        let deployment = match self.trust.deployment(&bytes) {
            Ok(deployment) => deployment,
            Err(VerifyError::Threshold { .. }) => {
                return effects.push(Effect::Reject(Reason::Signatures));
            }
            Err(_) => return effects.push(Effect::Reject(Reason::Malformed)),
        };
        if let Some(update) = &self.update
            && matches!(update.phase, Phase::Trial { .. })
        {
            if update.envelope != deployment.digest() {
                self.deferred = Some(bytes);
            }
            return;
        }
        match self.evaluate(now, &deployment) {
            Err(reason) => effects.push(Effect::Reject(reason)),
            // The wave that is followed already; retained messages come with every connection.
            Ok(false) => {}
            Ok(true) => self.follow(now, deployment, &bytes, effects),
        }
    }

    /// Whether the deployment says something new to this gateway.
    fn evaluate(&self, now: Now, deployment: &Deployment) -> Result<bool, Reason> {
        let settings = &self.settings;
        if deployment.model != settings.model {
            return Err(Reason::Target);
        }
        if !deployment.reaches(&settings.gateway, &settings.groups) {
            let meant = Deployment { percent: 100.0, ..deployment.clone() };
            // Not drawn yet is no fault; another gateway's is.
            let meant = meant.reaches(&settings.gateway, &settings.groups);
            return if meant { Ok(false) } else { Err(Reason::Target) };
        }
        if deployment.seq < self.record.seq {
            return Err(Reason::Replayed);
        }
        if deployment.seq == self.record.seq {
            return Ok(false);
        }
        if self.time(now) >= deployment.expires {
            return Err(Reason::Expired);
        }
        Ok(true)
    }

    /// Records the deployment, and starts, continues or stops an update as it demands.
    fn follow(
        &mut self,
        now: Now,
        deployment: Verified<Deployment>,
        bytes: &[u8],
        effects: &mut Vec<Effect>,
    ) {
        self.record.seq = deployment.seq;
        self.record.time = self.record.time.max(deployment.created);
        let manifest = deployment.manifest.sha256;
        let active =
            self.record.slots.active.as_ref().is_some_and(|slot| slot.manifest == manifest);
        if deployment.hold || active || self.record.refused.contains(&manifest) {
            let outcome = if active {
                (State::Committed, None)
            } else {
                (State::Rejected, Some(Reason::Refused))
            };
            return self.answer(&deployment, outcome, effects);
        }
        let text = String::from_utf8_lossy(bytes).into_owned();
        let same = self.update.as_mut().filter(|w| w.deployment.manifest.sha256 == manifest);
        if let (Some(update), Some(job)) = (same, &mut self.record.job) {
            // The next wave of the rollout that is under way here.
            update.envelope = deployment.digest();
            update.deployment = Deployment::clone(&deployment);
            job.order = text;
            return effects.push(Effect::Save(self.record.clone()));
        }
        self.record.slots.candidate = None;
        self.record.job = Some(Job { order: text, stage: State::Waiting, tries: 0, paused: false });
        effects.push(Effect::Save(self.record.clone()));
        self.update = Some(ActiveUpdate::following(deployment));
        self.wait(now, effects);
    }

    /// To a deployment that asks for nothing to be fetched: it holds the rollout, or names what is
    /// active, or what was refused.
    fn answer(
        &mut self,
        deployment: &Deployment,
        (state, reason): (State, Option<Reason>),
        effects: &mut Vec<Effect>,
    ) {
        if deployment.hold || state == State::Committed {
            self.cancel(effects);
        }
        if !deployment.hold {
            let candidate = Some(deployment.manifest.sha256);
            let deployment = deployment.deployment.clone();
            self.record.last = Some(Outcome { deployment, state, reason, candidate });
        }
        effects.push(Effect::Save(self.record.clone()));
        if !deployment.hold {
            effects.extend(reason.map(Effect::Reject));
            self.report_of(deployment.deployment.clone(), state, reason, effects);
        }
    }

    /// Waits for the time, the window and this gateway's turn within the spread.
    pub(super) fn wait(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let time = self.time(now);
        let spread = self.random.f64();
        let fetching = self.record.job.as_ref().is_some_and(|job| job.stage != State::Waiting);
        let Some(update) = &mut self.update else { return };
        let early = update.deployment.not_before.since(time);
        let window = until_open(&update.deployment.windows, time.plus(early));
        let spread = Duration::from_secs(update.deployment.spread_s.into()).mul_f64(spread);
        // Only those that have not started are queued.
        let wait = early + window + if fetching { Duration::ZERO } else { spread };
        if wait.is_zero() {
            return self.query_held(effects);
        }
        update.phase = Phase::Waiting { until: now.mono.plus(wait), seen: now };
        self.report(State::Waiting, None, effects);
    }

    /// The update under way is over before it was switched to.
    pub(super) fn cancel(&mut self, effects: &mut Vec<Effect>) {
        let switched = |update: &ActiveUpdate| matches!(update.phase, Phase::Trial { .. });
        if self.update.as_ref().is_some_and(|update| !switched(update)) {
            self.end(State::Cancelled, Some(Reason::Cancelled), effects);
        }
    }
}
