//! Local commands: installing a release from a file, rolling back, activating an installed version.

use super::super::deployment::{Deployment, Target, Trial};
use super::super::manifest::{Blob, Manifest};
use super::super::slots::VersionSlot;
use super::super::trust::Verified;
use super::events::Effect;
use super::record::Job;
use super::types::{Reason, State};
use super::{ActiveUpdate, Phase, UpdateMachine};
use crate::clock::Timestamp;

/// What reports call a release that was brought as a file.
const LOCAL: &str = "local";

impl UpdateMachine {
    /// Whether a release that was brought here may be installed now.
    ///
    /// # Errors
    /// Why not.
    pub fn may_install(&self, manifest: &Verified<Manifest>) -> Result<(), Reason> {
        if self.is_on_trial() {
            return Err(Reason::Busy);
        }
        if self.record.refused.contains(&manifest.digest()) {
            return Err(Reason::Refused);
        }
        self.allowed(manifest)
    }

    /// Proves a release whose files are in the store already, then goes the way of every update.
    pub(super) fn on_installed(&mut self, envelope: &[u8], effects: &mut Vec<Effect>) {
        let Ok(manifest) = self.trust.manifest(envelope) else {
            return effects.push(Effect::Reject(Reason::Signatures));
        };
        if let Err(reason) = self.may_install(&manifest) {
            return effects.push(Effect::Reject(reason));
        }
        // The end of an update in progress does not concern this version.
        let staged = self.stage(None);
        self.cancel(effects);
        self.stage(staged);
        let order = String::from_utf8_lossy(envelope).into_owned();
        self.record.job = Some(Job { order, stage: State::Verifying, tries: 0, paused: false });
        self.update = Some(self.local(manifest));
        self.probe(effects);
    }

    /// The work that installing this is.
    pub(super) fn local(&self, manifest: Verified<Manifest>) -> ActiveUpdate {
        let always = Timestamp(0);
        let deployment = Deployment {
            deployment: LOCAL.to_owned(),
            seq: self.record.seq,
            model: self.settings.model.clone(),
            target: Target::Gateway(self.settings.gateway.clone()),
            manifest: Blob { len: 0, sha256: manifest.digest(), chunks: Vec::new() },
            sources: Vec::new(),
            percent: 100.0,
            seed: String::new(),
            hold: false,
            created: always,
            not_before: always,
            expires: Timestamp(i64::MAX),
            windows: Vec::new(),
            spread_s: 0,
            max_bytes_per_s: 0,
            shadow_runs: 0,
            trial: Trial::default(),
        };
        let (envelope, phase) = (manifest.digest(), Phase::AwaitingResult);
        ActiveUpdate {
            deployment,
            envelope,
            manifest: Some(manifest),
            phase,
            refetched: false,
            is_local: true,
        }
    }

    /// Rolls back to the previous version. The active one is refused from then on.
    pub(super) fn rollback(&mut self, effects: &mut Vec<Effect>) {
        if self.record.slots.active.is_none() {
            return effects.push(Effect::Reject(Reason::Target));
        }
        self.cancel(effects);
        let name = self.update.as_ref().map(|update| update.deployment.deployment.clone());
        let name = name.unwrap_or_else(|| LOCAL.to_owned());
        self.roll_back(Reason::Operator, name, effects);
    }

    /// Activates an installed version without a trial. The active version becomes the previous one.
    pub(super) fn select_version(&mut self, slot: Option<VersionSlot>, effects: &mut Vec<Effect>) {
        self.cancel(effects);
        self.update = None;
        self.record.select(slot);
        effects.push(Effect::Save(self.record.clone()));
        effects.push(Effect::Activate(self.record.slots.active.clone()));
        effects.push(Effect::Sweep);
    }
}
