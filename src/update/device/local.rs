//! What whoever is at the gateway orders: a release brought as a file, the version of before, or
//! another of those that are there.

use super::super::deployment::{Deployment, Target, Trial};
use super::super::manifest::{Blob, Manifest};
use super::super::trust::Verified;
use super::face::{Effect, Reason, State};
use super::record::{Job, Slot};
use super::{Device, Doing, Work};
use crate::clock::Timestamp;

/// What reports call a release that was brought as a file.
const LOCAL: &str = "local";

impl Device {
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
    pub(super) fn installed(&mut self, envelope: &[u8], effects: &mut Vec<Effect>) {
        let Ok(manifest) = self.trust.manifest(envelope) else {
            return effects.push(Effect::Refuse(Reason::Signatures));
        };
        if let Err(reason) = self.may_install(&manifest) {
            return effects.push(Effect::Refuse(reason));
        }
        self.cancel(effects);
        let order = String::from_utf8_lossy(envelope).into_owned();
        self.record.job = Some(Job { order, stage: State::Verifying, tries: 0, paused: false });
        self.work = Some(self.local(manifest));
        self.probe(effects);
    }

    /// The work that installing this is.
    pub(super) fn local(&self, manifest: Verified<Manifest>) -> Work {
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
        let (envelope, doing) = (manifest.digest(), Doing::Asked);
        Work {
            deployment,
            envelope,
            manifest: Some(manifest),
            doing,
            refetched: false,
            is_local: true,
        }
    }

    /// Back to the version before the active one; the active one is not taken again.
    pub(super) fn back(&mut self, effects: &mut Vec<Effect>) {
        if self.record.active.is_none() {
            return effects.push(Effect::Refuse(Reason::Target));
        }
        self.cancel(effects);
        let name = self.work.as_ref().map(|work| work.deployment.deployment.clone());
        let name = name.unwrap_or_else(|| LOCAL.to_owned());
        self.roll_back(Reason::Operator, name, effects);
    }

    /// By the word of whoever is here: no trial, and what served before can be gone back to.
    pub(super) fn chosen(&mut self, slot: Option<Slot>, effects: &mut Vec<Effect>) {
        self.cancel(effects);
        self.work = None;
        self.record.job = None;
        if self.record.active != slot {
            self.record.previous = std::mem::replace(&mut self.record.active, slot);
        }
        effects.push(Effect::Save(self.record.clone()));
        effects.push(Effect::Activate(self.record.active.clone()));
        effects.push(Effect::Sweep);
    }
}
