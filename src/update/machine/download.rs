//! Downloads, verifies and tests a candidate.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::assemble::recipes;
use super::super::manifest::{Blob, Manifest};
use super::super::slots::VersionSlot;
use super::events::Effect;
use super::fetch::{Arrived, Fetch};
use super::types::{Reason, State};
use super::{Phase, Settings, TrialStats, UpdateMachine, chunks_of, missing_of};
use crate::clock::Now;
use crate::ids::Digest;

impl UpdateMachine {
    pub(super) fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let time = self.time(now);
        let random = self.random.u64(..);
        let Some(update) = &mut self.update else { return };
        if time >= update.deployment.expires
            && matches!(update.phase, Phase::Waiting { .. } | Phase::Fetching(..))
        {
            return self.end(State::Rejected, Some(Reason::Expired), effects);
        }
        match &mut update.phase {
            // The clock has been set: the window of its old time does not apply.
            Phase::Waiting { seen, .. } if now.is_step_from(*seen) => self.wait(now, effects),
            Phase::Waiting { until, .. } if now.mono >= *until => self.query_held(effects),
            Phase::Waiting { seen, .. } => *seen = now,
            Phase::Fetching(fetch, ..) => fetch.ask(now.mono, random, effects),
            Phase::Trial { .. } => self.evaluate_trial(now, effects),
            Phase::QueryingHeld | Phase::AwaitingResult => {}
        }
    }

    /// Changes the stage durably, then reports it.
    fn enter(&mut self, stage: State, effects: &mut Vec<Effect>) {
        if let Some(job) = &mut self.record.job
            && job.stage != stage
        {
            job.stage = stage;
            effects.push(Effect::Save(self.record.clone()));
            self.report(stage, None, effects);
        }
    }

    /// Asks what is held of the manifest, or of what it names.
    pub(super) fn query_held(&mut self, effects: &mut Vec<Effect>) {
        self.enter(State::Fetching, effects);
        let Some(update) = &mut self.update else { return };
        update.phase = Phase::QueryingHeld;
        let (mut chunks, mut files) = (chunks_of(&update.deployment.manifest), Vec::new());
        if let Some(manifest) = &update.manifest {
            let blobs = manifest.files.iter().map(|file| &file.blob);
            let blobs = blobs.chain(manifest.deltas.iter().map(|delta| &delta.blob));
            chunks = blobs.flat_map(chunks_of).collect();
            files = manifest.deltas.iter().map(|delta| delta.base_sha256).collect();
        }
        effects.push(Effect::QueryHeld { chunks, files });
    }

    pub(super) fn on_held(
        &mut self,
        now: Now,
        held: &BTreeSet<Digest>,
        files: &BTreeSet<Digest>,
        room: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(update) = &mut self.update else { return };
        if !matches!(update.phase, Phase::QueryingHeld) {
            return;
        }
        let deployment = &update.deployment;
        let (blobs, recipes): (Vec<Blob>, Vec<_>) = match &update.manifest {
            None => (vec![deployment.manifest.clone()], Vec::new()),
            Some(manifest) => {
                let missing = |blob: &Blob| missing_of(blob, held);
                let held_file = |digest| files.contains(&digest);
                let select_version = recipes(manifest, held_file, missing, !update.refetched);
                let (recipes, blobs) = select_version.into_iter().unzip();
                (blobs, recipes)
            }
        };
        // The chunks while they are kept, and the files made of them.
        let chunks = blobs.iter().map(|blob| missing_of(blob, held)).fold(0, u64::saturating_add);
        let made = update.manifest.as_ref().map_or(0, |manifest| manifest.size());
        let wanted = update.manifest.as_ref().map_or(0, |manifest| manifest.requires.disk_mb);
        if chunks.saturating_add(made).max(wanted.saturating_mul(1 << 20)) > room {
            return self.end(State::Rejected, Some(Reason::Disk), effects);
        }
        let sources = &deployment.sources;
        let limits = [deployment.max_bytes_per_s, self.settings.max_bytes_per_s];
        let rate = limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or(0);
        let fetch = Fetch::new(&blobs, held, sources, rate);
        let blobs = blobs.iter().map(|blob| blob.sha256).collect();
        update.phase = Phase::Fetching(fetch, recipes, blobs);
        self.continue_fetching(now, effects);
    }

    pub(super) fn on_chunk(
        &mut self,
        now: Now,
        place: (Digest, u32),
        bytes: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) {
        let random = self.random.u64(..);
        let Some(update) = &mut self.update else { return };
        let Phase::Fetching(fetch, ..) = &mut update.phase else { return };
        match fetch.arrived(now.mono, place, &bytes, random) {
            Arrived::Stray => return,
            Arrived::Again => effects.push(Effect::Reject(Reason::Bytes)),
            Arrived::NoSource => return self.end(State::Failed, Some(Reason::Bytes), effects),
            Arrived::Kept(chunk) => effects.push(Effect::StoreChunk { chunk, bytes }),
        }
        self.continue_fetching(now, effects);
    }

    pub(super) fn on_lost(
        &mut self,
        now: Now,
        place: (Digest, u32),
        wait: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let random = self.random.u64(..);
        if let Some(update) = &mut self.update
            && let Phase::Fetching(fetch, ..) = &mut update.phase
            && !fetch.is_done()
        {
            fetch.lost(now.mono, place, wait, random);
            self.continue_fetching(now, effects);
        }
    }

    fn continue_fetching(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let random = self.random.u64(..);
        let Some(update) = &mut self.update else { return };
        let Phase::Fetching(fetch, recipes, _) = &mut update.phase else { return };
        if !fetch.is_done() {
            return fetch.ask(now.mono, random, effects);
        }
        if update.manifest.is_none() {
            let chunks = chunks_of(&update.deployment.manifest);
            update.phase = Phase::AwaitingResult;
            return effects.push(Effect::ReadManifest { chunks });
        }
        let manifest = update.deployment.manifest.sha256;
        let effect = Effect::Assemble { manifest, recipes: std::mem::take(recipes) };
        self.enter(State::Verifying, effects);
        effects.push(effect);
    }

    /// The manifest's bytes are here: is it one, and may it be followed?
    pub(super) fn on_manifest(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        let Some(update) = &mut self.update else { return };
        if !matches!(update.phase, Phase::AwaitingResult) || update.manifest.is_some() {
            return;
        }
        if Digest::of(bytes) != update.deployment.manifest.sha256 {
            let blobs = vec![update.deployment.manifest.sha256];
            effects.push(Effect::Discard { blobs });
            return self.end(State::Failed, Some(Reason::Bytes), effects);
        }
        let Ok(manifest) = self.trust.manifest(bytes) else {
            return self.end(State::Rejected, Some(Reason::Signatures), effects);
        };
        if let Err(reason) = self.allowed(&manifest) {
            return self.end(State::Rejected, Some(reason), effects);
        }
        if let Some(update) = &mut self.update {
            update.manifest = Some(manifest);
        }
        self.query_held(effects);
    }

    pub(super) fn allowed(&self, manifest: &Manifest) -> Result<(), Reason> {
        if manifest.name != self.settings.model {
            return Err(Reason::Target);
        }
        if manifest.counter < self.record.min_counter {
            return Err(Reason::Counter);
        }
        if self.unmet(manifest).is_some() {
            return Err(Reason::Requires);
        }
        Ok(())
    }

    /// What the release needs and this gateway does not have, in words.
    #[must_use]
    pub fn unmet(&self, manifest: &Manifest) -> Option<String> {
        let Settings { version, arch, ram_mb, .. } = &self.settings;
        manifest.requires.unmet(version, arch, *ram_mb)
    }

    pub(super) fn on_assembled(&mut self, result: Result<(), Reason>, effects: &mut Vec<Effect>) {
        let Some(update) = &mut self.update else { return };
        let Phase::Fetching(_, _, blobs) = &mut update.phase else { return };
        if let Err(reason) = result {
            if reason == Reason::Disk {
                return self.on_store_failed(effects);
            }
            effects.push(Effect::Discard { blobs: std::mem::take(blobs) });
            if update.refetched {
                return self.end(State::Failed, Some(Reason::Bytes), effects);
            }
            // Once more, without deltas.
            update.refetched = true;
            return self.query_held(effects);
        }
        self.probe(effects);
    }

    /// The files are there, whole: does the model run?
    pub(super) fn probe(&mut self, effects: &mut Vec<Effect>) {
        let Some(update) = &mut self.update else { return };
        update.phase = Phase::AwaitingResult;
        let manifest = update.deployment.manifest.sha256;
        self.enter(State::Probing, effects);
        effects.push(Effect::Probe { manifest });
    }

    /// The disk does not take what is fetched. The version is not to blame.
    pub(super) fn on_store_failed(&mut self, effects: &mut Vec<Effect>) {
        if self.update.as_ref().is_some_and(|update| matches!(update.phase, Phase::Fetching(..))) {
            self.end(State::Failed, Some(Reason::Disk), effects);
            effects.push(Effect::Sweep);
        }
    }

    pub(super) fn on_probed(
        &mut self,
        now: Now,
        result: Result<(), Reason>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_at(State::Probing) {
            return;
        }
        if let Err(reason) = result {
            return self.fail(reason, effects);
        }
        let Some(update) = &self.update else { return };
        let (manifest, runs) = (update.deployment.manifest.sha256, update.deployment.shadow_runs);
        if runs == 0 {
            return self.switch(now, effects);
        }
        self.enter(State::Shadow, effects);
        effects.push(Effect::Shadow { manifest, runs });
    }

    pub(super) fn on_shadowed(
        &mut self,
        now: Now,
        result: Result<(), Reason>,
        effects: &mut Vec<Effect>,
    ) {
        match result {
            _ if !self.is_at(State::Shadow) => {}
            Ok(()) => self.switch(now, effects),
            Err(reason) => self.fail(reason, effects),
        }
    }

    /// One write makes the candidate active and the active model the one to go back to.
    fn switch(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(update) = &mut self.update else { return };
        let Some(manifest) = &update.manifest else { return };
        let staged = self.record.slots.candidate;
        let Some(staged) = staged.filter(|staged| staged.manifest == manifest.digest()) else {
            // Nothing in the store is this version.
            return self.fail(Reason::Bytes, effects);
        };
        let slot = VersionSlot {
            manifest: staged.manifest,
            digest: staged.digest,
            version: manifest.version.clone(),
            counter: manifest.counter,
        };
        update.phase = Phase::Trial { since: now.mono, best: TrialStats::default() };
        self.record.slots.activate(Some(slot));
        self.record.committed = None;
        if let Some(job) = &mut self.record.job {
            job.tries = 0;
        }
        self.enter(State::Trial, effects);
        effects.push(Effect::Activate(self.record.slots.active.clone()));
    }

    fn is_at(&self, stage: State) -> bool {
        let asked = self
            .update
            .as_ref()
            .is_some_and(|update| matches!(update.phase, Phase::AwaitingResult));
        asked && self.record.job.as_ref().is_some_and(|job| job.stage == stage)
    }
}
