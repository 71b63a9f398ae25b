//! From chunks to a candidate that has proved itself alone.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::assemble::recipes;
use super::super::manifest::{Blob, Manifest};
use super::face::{Effect, Reason, State};
use super::fetch::{Arrived, Fetch};
use super::record::Slot;
use super::{Device, Doing, Runs, Settings, chunks_of, missing_of};
use crate::clock::Now;
use crate::ids::Digest;

impl Device {
    pub(super) fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let time = self.time(now);
        let random = self.random.u64(..);
        let Some(work) = &mut self.work else { return };
        if time >= work.deployment.expires
            && matches!(work.doing, Doing::Waiting { .. } | Doing::Fetching(..))
        {
            return self.end(State::Rejected, Some(Reason::Expired), effects);
        }
        match &mut work.doing {
            // The clock has been set: what its old time said of the window says nothing.
            Doing::Waiting { seen, .. } if now.is_step_from(*seen) => self.wait(now, effects),
            Doing::Waiting { until, .. } if now.mono >= *until => self.survey(effects),
            Doing::Waiting { seen, .. } => *seen = now,
            Doing::Fetching(fetch, ..) => fetch.ask(now.mono, random, effects),
            Doing::Trial { .. } => self.judge_trial(now, effects),
            Doing::Surveying | Doing::Asked => {}
        }
    }

    /// Changes the stage, durably, then says so.
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
    pub(super) fn survey(&mut self, effects: &mut Vec<Effect>) {
        self.enter(State::Fetching, effects);
        let Some(work) = &mut self.work else { return };
        work.doing = Doing::Surveying;
        let (mut chunks, mut files) = (chunks_of(&work.deployment.manifest), Vec::new());
        if let Some(manifest) = &work.manifest {
            let blobs = manifest.files.iter().map(|file| &file.blob);
            let blobs = blobs.chain(manifest.deltas.iter().map(|delta| &delta.blob));
            chunks = blobs.flat_map(chunks_of).collect();
            files = manifest.deltas.iter().map(|delta| delta.base_sha256).collect();
        }
        effects.push(Effect::Survey { chunks, files });
    }

    pub(super) fn surveyed(
        &mut self,
        now: Now,
        held: &BTreeSet<Digest>,
        files: &BTreeSet<Digest>,
        room: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(work) = &mut self.work else { return };
        if !matches!(work.doing, Doing::Surveying) {
            return;
        }
        let deployment = &work.deployment;
        let (blobs, recipes): (Vec<Blob>, Vec<_>) = match &work.manifest {
            None => (vec![deployment.manifest.clone()], Vec::new()),
            Some(manifest) => {
                let missing = |blob: &Blob| missing_of(blob, held);
                let held_file = |digest| files.contains(&digest);
                let chosen = recipes(manifest, held_file, missing, !work.refetched);
                let (recipes, blobs) = chosen.into_iter().unzip();
                (blobs, recipes)
            }
        };
        // The chunks while they are kept, and the files made of them.
        let chunks = blobs.iter().map(|blob| missing_of(blob, held)).fold(0, u64::saturating_add);
        let made = work.manifest.as_ref().map_or(0, |manifest| manifest.size());
        let wanted = work.manifest.as_ref().map_or(0, |manifest| manifest.requires.disk_mb);
        if chunks.saturating_add(made).max(wanted.saturating_mul(1 << 20)) > room {
            return self.end(State::Rejected, Some(Reason::Disk), effects);
        }
        let sources = &deployment.sources;
        let limits = [deployment.max_bytes_per_s, self.settings.max_bytes_per_s];
        let rate = limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or(0);
        let fetch = Fetch::new(&blobs, held, sources, rate);
        let blobs = blobs.iter().map(|blob| blob.sha256).collect();
        work.doing = Doing::Fetching(fetch, recipes, blobs);
        self.go_on_fetching(now, effects);
    }

    pub(super) fn chunk(
        &mut self,
        now: Now,
        place: (Digest, u32),
        bytes: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) {
        let random = self.random.u64(..);
        let Some(work) = &mut self.work else { return };
        let Doing::Fetching(fetch, ..) = &mut work.doing else { return };
        match fetch.arrived(now.mono, place, &bytes, random) {
            Arrived::Stray => return,
            Arrived::Again => effects.push(Effect::Refuse(Reason::Bytes)),
            Arrived::NoSource => return self.end(State::Failed, Some(Reason::Bytes), effects),
            Arrived::Kept(chunk) => effects.push(Effect::Keep { chunk, bytes }),
        }
        self.go_on_fetching(now, effects);
    }

    pub(super) fn lost(
        &mut self,
        now: Now,
        place: (Digest, u32),
        wait: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let random = self.random.u64(..);
        if let Some(work) = &mut self.work
            && let Doing::Fetching(fetch, ..) = &mut work.doing
            && !fetch.is_done()
        {
            fetch.lost(now.mono, place, wait, random);
            self.go_on_fetching(now, effects);
        }
    }

    fn go_on_fetching(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let random = self.random.u64(..);
        let Some(work) = &mut self.work else { return };
        let Doing::Fetching(fetch, recipes, _) = &mut work.doing else { return };
        if !fetch.is_done() {
            return fetch.ask(now.mono, random, effects);
        }
        if work.manifest.is_none() {
            let chunks = chunks_of(&work.deployment.manifest);
            work.doing = Doing::Asked;
            return effects.push(Effect::Open { chunks });
        }
        let manifest = work.deployment.manifest.sha256;
        let effect = Effect::Assemble { manifest, recipes: std::mem::take(recipes) };
        self.enter(State::Verifying, effects);
        effects.push(effect);
    }

    /// The manifest's bytes are here: is it one, and may it be followed?
    pub(super) fn opened(&mut self, bytes: &[u8], effects: &mut Vec<Effect>) {
        let Some(work) = &mut self.work else { return };
        if !matches!(work.doing, Doing::Asked) || work.manifest.is_some() {
            return;
        }
        if Digest::of(bytes) != work.deployment.manifest.sha256 {
            let blobs = vec![work.deployment.manifest.sha256];
            effects.push(Effect::Discard { blobs });
            return self.end(State::Failed, Some(Reason::Bytes), effects);
        }
        let Ok(manifest) = self.trust.manifest(bytes) else {
            return self.end(State::Rejected, Some(Reason::Signatures), effects);
        };
        if let Err(reason) = self.allowed(&manifest) {
            return self.end(State::Rejected, Some(reason), effects);
        }
        if let Some(work) = &mut self.work {
            work.manifest = Some(manifest);
        }
        self.survey(effects);
    }

    pub(super) fn allowed(&self, manifest: &Manifest) -> Result<(), Reason> {
        if manifest.name != self.settings.model {
            return Err(Reason::Target);
        }
        if manifest.counter < self.record.floor {
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

    pub(super) fn assembled(&mut self, result: Result<(), Reason>, effects: &mut Vec<Effect>) {
        let Some(work) = &mut self.work else { return };
        let Doing::Fetching(_, _, blobs) = &mut work.doing else { return };
        if let Err(reason) = result {
            if reason == Reason::Disk {
                return self.unkept(effects);
            }
            effects.push(Effect::Discard { blobs: std::mem::take(blobs) });
            if work.refetched {
                return self.end(State::Failed, Some(Reason::Bytes), effects);
            }
            // Once more, without deltas.
            work.refetched = true;
            return self.survey(effects);
        }
        self.probe(effects);
    }

    /// The files are there, whole: does the model run?
    pub(super) fn probe(&mut self, effects: &mut Vec<Effect>) {
        let Some(work) = &mut self.work else { return };
        work.doing = Doing::Asked;
        let manifest = work.deployment.manifest.sha256;
        self.enter(State::Probing, effects);
        effects.push(Effect::Probe { manifest });
    }

    /// The disk does not take what is fetched. The version is not to blame.
    pub(super) fn unkept(&mut self, effects: &mut Vec<Effect>) {
        if self.work.as_ref().is_some_and(|work| matches!(work.doing, Doing::Fetching(..))) {
            self.end(State::Failed, Some(Reason::Disk), effects);
            effects.push(Effect::Sweep);
        }
    }

    pub(super) fn probed(
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
        let Some(work) = &self.work else { return };
        let (manifest, runs) = (work.deployment.manifest.sha256, work.deployment.shadow_runs);
        if runs == 0 {
            return self.switch(now, effects);
        }
        self.enter(State::Shadow, effects);
        effects.push(Effect::Shadow { manifest, runs });
    }

    pub(super) fn shadowed(
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
        let Some(work) = &mut self.work else { return };
        let Some(manifest) = &work.manifest else { return };
        let slot = Slot {
            manifest: manifest.digest(),
            version: manifest.version.clone(),
            counter: manifest.counter,
        };
        work.doing = Doing::Trial { since: now.mono, best: Runs::default() };
        self.record.previous = self.record.active.replace(slot);
        if let Some(job) = &mut self.record.job {
            job.tries = 0;
        }
        self.enter(State::Trial, effects);
        effects.push(Effect::Activate(self.record.active.clone()));
    }

    fn is_at(&self, stage: State) -> bool {
        let asked = self.work.as_ref().is_some_and(|work| matches!(work.doing, Doing::Asked));
        asked && self.record.job.as_ref().is_some_and(|job| job.stage == stage)
    }
}
