//! The gateway's side of an update: a pure state machine, one for each model.
//!
//! ```text
//!  deployment ─▶ waiting ─▶ fetching ─▶ verifying ─▶ probing ─▶ shadow ─▶ trial ─▶ committed
//!                   │           │           │           │          │        │
//!                   └─ rejected └─ failed ◀─┴───────────┴──────────┘        └─▶ rolled back
//! ```
//!
//! Every change of stage is saved before it is acted on, and the one write that saves it holds the
//! slots too: a power cut at any instant leaves either the old model with the update under way, or
//! the new one on trial. After a start everything before the trial goes through fetching again,
//! where kept chunks are found and nothing is fetched twice.

mod commit;
mod deployment;
mod download;
mod events;
mod explanation;
mod fetch;
mod local_install;
mod record;
mod stored;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeSet;

pub use events::{Effect, Event, Report};
pub use record::{Job, Outcome, Record};
pub use types::{Reason, State, TrialStats};

use super::deployment::Deployment;
use super::error::VerifyError;
use super::manifest::Manifest;
use super::slots::StagedVersion;
use super::trust::{Trust, Verified};
use crate::clock::{Mono, Now, Timestamp};
use crate::ids::{Digest, GatewayId, ModelName};
use fetch::Fetch;

/// Settings of the machine.
#[derive(Clone, Debug)]
pub struct Settings {
    pub gateway: GatewayId,
    pub groups: Vec<String>,
    pub model: ModelName,
    /// Of this inferd, e.g. `0.2.0`.
    pub version: String,
    /// Of this processor, as [`std::env::consts::ARCH`] names it.
    pub arch: &'static str,
    pub ram_mb: u64,
    /// The local download limit; 0 disables it.
    pub max_bytes_per_s: u64,
    /// Makes the delays of gateways differ.
    pub seed: u64,
}

/// The state machine. Its owner passes events in and executes the returned effects in order.
#[derive(Debug)]
pub struct UpdateMachine {
    settings: Settings,
    trust: Trust,
    record: Record,
    /// The update under way; agrees with `record.job`.
    update: Option<ActiveUpdate>,
    /// A deployment that came during a trial, looked at when that is over.
    deferred: Option<Vec<u8>>,
    random: fastrand::Rng,
}

/// What is known of the update under way since the last start.
#[derive(Debug)]
struct ActiveUpdate {
    /// As it was verified, or what a release that was brought as a file amounts to.
    deployment: Deployment,
    /// The name of the envelope it came in.
    envelope: Digest,
    manifest: Option<Verified<Manifest>>,
    phase: Phase,
    /// A whole fetch has failed to make the files: this one is the last.
    refetched: bool,
    /// The files were brought here: there is nothing to fetch.
    is_local: bool,
}

#[derive(Debug)]
enum Phase {
    Waiting {
        until: Mono,
        /// When the clocks were last looked at.
        seen: Now,
    },
    /// Which chunks of the manifest are held.
    QueryingHeld,
    /// The manifest's chunks, or the files'.
    Fetching(Fetch, Vec<super::Recipe>, Vec<Digest>),
    /// For an answer of the shell.
    AwaitingResult,
    Trial {
        since: Mono,
        best: TrialStats,
    },
}

impl UpdateMachine {
    /// The machine as it was when the record was written. Feed it [`UpdateMachine::start`] next. `trust` is
    /// what the gateway was provisioned with; the keysets that followed are in the record, and the
    /// newest counts, so that a gateway can be provisioned again.
    ///
    /// # Errors
    /// A kept keyset that does not read back.
    pub fn new(settings: Settings, trust: Trust, mut record: Record) -> Result<Self, VerifyError> {
        // Judged when it was kept; the record is the gateway's own.
        let kept = record.keyset.as_ref().map(|kept| Trust::provisioned(kept.as_bytes()));
        let trust = match kept.transpose()? {
            Some(kept) if kept.keyset().version >= trust.keyset().version => kept,
            Some(kept) => {
                record.keyset = None;
                record.change_keys(kept.keyset(), trust.keyset());
                trust
            }
            None => trust,
        };
        let random = fastrand::Rng::with_seed(settings.seed);
        Ok(Self { settings, trust, record, update: None, deferred: None, random })
    }

    /// Resumes what a stop or a power cut interrupted.
    pub fn start(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(mut job) = self.record.job.clone() else {
            if self.record.slots.candidate.take().is_some() {
                // It was written for a local command that was not completed.
                effects.push(Effect::Save(self.record.clone()));
            }
            return self.republish_last(effects);
        };
        let update = self.update_of(&job);
        let in_trial = job.stage == State::Trial;
        let Some(mut update) = update else {
            // The keys have changed under it. What is on trial stays until the trial is judged,
            // and that needs its terms.
            let reason = Reason::Signatures;
            return if in_trial {
                self.roll_back(reason, String::new(), effects);
            } else {
                self.end(State::Failed, Some(reason), effects);
            };
        };
        // Whoever was probing or on trial may be why the gateway went down.
        if !std::mem::take(&mut job.paused) && job.runs_candidate() {
            job.tries = job.tries.saturating_add(1);
        }
        let crashed = job.tries > commit::MAX_TRIES;
        self.record.job = Some(job);
        effects.push(Effect::Save(self.record.clone()));
        let (name, is_local) = (update.deployment.deployment.clone(), update.is_local);
        if in_trial {
            update.phase = Phase::Trial { since: now.mono, best: TrialStats::default() };
        }
        self.update = Some(update);
        match (in_trial, crashed) {
            (true, true) => self.roll_back(Reason::Crash, name, effects),
            (true, false) => self.report(State::Trial, None, effects),
            (false, true) => self.fail(Reason::Crash, effects),
            (false, false) if is_local => self.probe(effects),
            (false, false) => self.wait(now, effects),
        }
    }

    /// The next start is not held against the candidate.
    fn on_stopping(&mut self, effects: &mut Vec<Effect>) {
        let Some(job) = self.record.job.as_mut().filter(|job| job.runs_candidate()) else { return };
        job.paused = true;
        effects.push(Effect::Save(self.record.clone()));
    }

    /// What a job that was interrupted was about; `None` where its signatures no longer count.
    fn update_of(&self, job: &Job) -> Option<ActiveUpdate> {
        let envelope = job.order.as_bytes();
        if let Ok(deployment) = self.trust.deployment(envelope) {
            return Some(ActiveUpdate::following(deployment));
        }
        self.trust.manifest(envelope).ok().map(|manifest| self.local(manifest))
    }

    /// Reports again how the last update ended, because the report may have been missed.
    fn republish_last(&self, effects: &mut Vec<Effect>) {
        if let Some(last) = &self.record.last {
            effects.push(Effect::Report(Report {
                state: last.state,
                active: self.record.slots.active.clone(),
                previous: self.record.slots.previous.clone(),
                candidate: last.candidate,
                progress: 0.0,
                reason: last.reason,
                deployment: last.deployment.clone(),
            }));
        }
    }

    /// Handles one event and appends the resulting effects to `effects`.
    pub fn on(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Deployment(bytes) => self.on_deployment(now, bytes, effects),
            Event::Withdrawn => self.cancel(effects),
            Event::Keyset(bytes) => self.on_keyset(&bytes, effects),
            Event::Held { chunks, files, room } => {
                self.on_held(now, &chunks, &files, room, effects);
            }
            Event::Opened(bytes) => self.on_manifest(&bytes, effects),
            Event::Chunk { blob, index, bytes } => {
                self.on_chunk(now, (blob, index), bytes, effects);
            }
            Event::Lost { blob, index, wait } => self.on_lost(now, (blob, index), wait, effects),
            Event::Assembled(result) => self.on_assembled(result, effects),
            Event::Probed(result) => self.on_probed(now, result, effects),
            Event::Shadowed(result) => self.on_shadowed(now, result, effects),
            Event::TrialProgress(runs) => self.on_trial_progress(now, runs, effects),
            Event::Stopping => self.on_stopping(effects),
            Event::LoadFailed => self.on_load_failed(effects),
            Event::StoreFailed => self.on_store_failed(effects),
            Event::Installed(envelope) => self.on_installed(&envelope, effects),
            Event::Rollback => self.rollback(effects),
            Event::Drifted => self.on_drift(effects),
            Event::VersionSelected(slot) => self.select_version(slot, effects),
            Event::Tick => self.tick(now, effects),
        }
        if self.update.is_none()
            && let Some(bytes) = self.deferred.take()
        {
            self.on_deployment(now, bytes, effects);
        }
    }

    /// When the next `Tick` is due, if nothing else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let update = self.update.as_ref()?;
        match &update.phase {
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Fetching(fetch, ..) => fetch.deadline(),
            Phase::QueryingHeld | Phase::AwaitingResult => None,
            Phase::Trial { since, .. } => Some(since.plus(update.deployment.trial.max())),
        }
    }

    /// The keyset that counts.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The deployment that is followed.
    #[must_use]
    pub fn deployment(&self) -> Option<&Deployment> {
        Some(&self.update.as_ref()?.deployment)
    }

    /// The candidate's manifest, once it is here.
    #[must_use]
    pub fn manifest(&self) -> Option<&Verified<Manifest>> {
        self.update.as_ref()?.manifest.as_ref()
    }

    /// The chunks that the broker was asked for and that have not come, by blob and index.
    #[must_use]
    pub fn awaited(&self) -> BTreeSet<(Digest, u32)> {
        match self.update.as_ref().map(|update| &update.phase) {
            Some(Phase::Fetching(fetch, ..)) => fetch.awaited().collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Of the bytes to fetch, 0 to 1; `None` while none are fetched.
    #[must_use]
    pub fn progress(&self) -> Option<f32> {
        match self.update.as_ref().map(|update| &update.phase) {
            Some(Phase::Fetching(fetch, ..)) => Some(fetch.progress()),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.update.as_ref().is_some_and(|update| matches!(update.phase, Phase::Trial { .. }))
    }

    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Names the version that is about to be written to the model store; returns the one named
    /// before. The record has to be saved before the first byte is written, so that an interrupted
    /// version is resumed.
    pub fn stage(&mut self, version: Option<StagedVersion>) -> Option<StagedVersion> {
        std::mem::replace(&mut self.record.slots.candidate, version)
    }

    /// The later of the wall clock and the latest signed time: a clock may be late but not early.
    fn time(&self, now: Now) -> Timestamp {
        now.wall.max(self.record.time)
    }

    fn on_keyset(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        let Ok(trust) = self.trust.advance(bytes) else {
            return effects.push(Effect::Reject(Reason::Keyset));
        };
        self.record.change_keys(self.trust.keyset(), trust.keyset());
        self.trust = trust;
        self.record.keyset = Some(String::from_utf8_lossy(bytes).into_owned());
        effects.push(Effect::Save(self.record.clone()));
    }

    fn report(&self, state: State, reason: Option<Reason>, effects: &mut Vec<Effect>) {
        let update = self.update.as_ref();
        let name = update.map(|update| update.deployment.deployment.clone()).unwrap_or_default();
        self.report_of(name, state, reason, effects);
    }

    fn report_of(
        &self,
        deployment: String,
        state: State,
        reason: Option<Reason>,
        effects: &mut Vec<Effect>,
    ) {
        let update = self.update.as_ref();
        let progress = match update.map(|update| &update.phase) {
            Some(Phase::Fetching(fetch, ..)) => fetch.progress(),
            _ => 0.0,
        };
        effects.push(Effect::Report(Report {
            state,
            active: self.record.slots.active.clone(),
            previous: self.record.slots.previous.clone(),
            candidate: update.map(|update| update.deployment.manifest.sha256),
            progress,
            reason,
            deployment,
        }));
    }
}

impl ActiveUpdate {
    fn following(deployment: Verified<Deployment>) -> Self {
        let (envelope, phase) = (deployment.digest(), Phase::QueryingHeld);
        let deployment = Deployment::clone(&deployment);
        Self { deployment, envelope, manifest: None, phase, refetched: false, is_local: false }
    }
}

/// The chunks that make a blob.
fn chunks_of(blob: &super::manifest::Blob) -> Vec<Digest> {
    blob.chunks.iter().map(|chunk| chunk.sha256).collect()
}

/// Bytes of a blob that are not among the held chunks.
fn missing_of(blob: &super::manifest::Blob, held: &BTreeSet<Digest>) -> u64 {
    let missing = blob.chunks.iter().filter(|chunk| !held.contains(&chunk.sha256));
    missing.map(|chunk| u64::from(chunk.len)).sum()
}
