//! Does what a machine says, in its order.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::notes;
use super::parts::Bytes;
use super::proof::Candidate;
use super::unit::{Found, Unit};
use crate::daemon::models::update_status::UpdateStatus;
use crate::daemon::switch::{Choice, SwitchError};
use crate::failpoints;
use crate::ids::Digest;
use crate::update::Recipe;
use crate::update::Source;
use crate::update::device::{Effect, Event, Reason, Record, Report, Slot};
use crate::update::manifest::Chunk;

/// Between two attempts to write the record.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

impl Unit {
    /// Does one thing; what is asked is answered by the event.
    pub(super) async fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Save(record) => {
                failpoints::point("update-save");
                self.save(record).await;
                failpoints::point("update-saved");
                None
            }
            Effect::Survey { chunks, files } => Some(self.survey(chunks, files).await),
            // The broker is asked for all that is awaited once the effects are done.
            Effect::Fetch { source: Source::Mqtt, .. } => None,
            Effect::Fetch { source: Source::Http(url), blob, index, offset, chunk } => {
                self.fetch_from_web(url, (blob, index), offset, chunk);
                None
            }
            Effect::Keep { chunk, bytes } => self.keep(chunk, bytes).await,
            Effect::Open { chunks } => Some(self.open(chunks).await),
            Effect::Assemble { manifest, recipes } => {
                failpoints::point("update-assemble");
                let result = self.assemble(manifest, recipes).await;
                failpoints::point("update-assembled");
                Some(Event::Assembled(result))
            }
            Effect::Discard { .. } => {
                // Each chunk was right and together they are wrong, so all of them go.
                self.shelf.keep_only(&BTreeSet::new());
                None
            }
            Effect::Probe { manifest } => {
                failpoints::point("update-probe");
                self.probe(manifest);
                None
            }
            Effect::Shadow { manifest, runs } => {
                self.shadow(manifest, runs);
                None
            }
            Effect::Activate(slot) => {
                failpoints::point("update-activate");
                let answer = self.activate(slot).await;
                failpoints::point("update-activated");
                answer
            }
            Effect::Sweep => {
                self.sweep().await;
                None
            }
            Effect::Report(report) => {
                self.report(report);
                failpoints::point("update-reported");
                None
            }
            Effect::Refuse(reason) => {
                self.refuse(reason);
                None
            }
        }
    }

    /// Writes record and slots as one. What follows waits for as long as that takes: a disk that is
    /// full today may have room tomorrow.
    pub(super) async fn save(&mut self, record: Record) {
        let mut wait = AGAIN;
        loop {
            let (model, record, mut names) =
                (self.model.clone(), record.clone(), self.names.clone());
            let candidate = self.candidate().or(self.staging);
            let saved = self.switch.at_store(move |store| {
                let mut slots = store.slots(&model)?;
                notes::write(&mut slots, &record, &mut names, candidate);
                store.set_slots(&model, &slots).map(|()| names)
            });
            let why = match saved.await {
                Ok(Ok(names)) => {
                    self.names = names;
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            let now = self.now().mono;
            if let Some(held) = self.said.say(now, "save") {
                log::error!("model {}: its update waits for the disk: {why}{}", self.model, held);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(AGAIN_MAX);
        }
    }

    /// The versions in the store whose parts may be used again.
    fn stored(&self) -> Vec<Digest> {
        let record = self.device.record();
        let slots = [&record.active, &record.previous].into_iter().flatten();
        slots.map(|slot| self.names.stored(slot.manifest)).collect()
    }

    async fn survey(&mut self, chunks: Vec<Digest>, files: Vec<Digest>) -> Event {
        let (shelf, stored) = (self.shelf.clone(), self.stored());
        let manifest = self.device.deployment().map(|deployment| &deployment.manifest.chunks);
        let mut needed: BTreeSet<Digest> = chunks.iter().copied().collect();
        needed.extend(manifest.into_iter().flatten().map(|chunk| chunk.sha256));
        // Only now is it known of which chunks the version consists.
        let known = self.device.manifest().is_some();
        let survey = move || {
            if known {
                shelf.keep_only(&needed);
            }
            shelf.survey(chunks, files, &stored)
        };
        let nothing = Event::Held { chunks: BTreeSet::new(), files: BTreeSet::new(), room: 0 };
        spawn_blocking(survey).await.unwrap_or(nothing)
    }

    /// What an update that has ended leaves behind.
    async fn sweep(&self) {
        if self.device.record().job.is_none() {
            self.shelf.keep_only(&BTreeSet::new());
        }
        self.switch.sweep().await;
        failpoints::point("update-swept");
    }

    async fn keep(&mut self, chunk: Digest, bytes: Vec<u8>) -> Option<Event> {
        let shelf = self.shelf.clone();
        let kept = spawn_blocking(move || shelf.chunks.put(chunk, &bytes)).await;
        match kept {
            Ok(Ok(())) => {
                failpoints::point("update-kept");
                None
            }
            Ok(Err(error)) => {
                log::error!("model {}: a chunk is not kept: {error}", self.model);
                Some(Event::Unkept)
            }
            // The daemon is stopping.
            Err(_) => Some(Event::Unkept),
        }
    }

    async fn open(&mut self, chunks: Vec<Digest>) -> Event {
        let (shelf, stored) = (self.shelf.clone(), self.stored());
        let bytes = spawn_blocking(move || shelf.joined(&chunks, &stored)).await;
        let bytes = bytes.unwrap_or_default();
        self.envelope = Some(bytes.clone());
        Event::Opened(bytes)
    }

    async fn assemble(&mut self, digest: Digest, recipes: Vec<Recipe>) -> Result<(), Reason> {
        let manifest = self.device.manifest().filter(|manifest| manifest.digest() == digest);
        let manifest = manifest.cloned().ok_or(Reason::Bytes)?;
        let envelope = self.envelope.clone().ok_or(Reason::Bytes)?;
        let (shelf, stored) = (self.shelf.clone(), self.stored());
        let make = move || {
            let files = shelf.assemble(manifest, &recipes, &stored)?;
            // Writing to memory does not fail.
            Bytes::of(&files, &envelope).map_err(|_| Reason::Bytes)
        };
        let packed = spawn_blocking(make).await.map_err(|_| Reason::Disk)??;
        self.put_in_store(digest, packed).await
    }

    /// Names the version as one that is being written, durably, then writes it.
    pub(super) async fn put_in_store(
        &mut self,
        manifest: Digest,
        packed: Bytes,
    ) -> Result<(), Reason> {
        self.names.insert(manifest, packed.digest);
        self.save(self.device.record().clone()).await;
        let shelf = self.shelf.clone();
        spawn_blocking(move || shelf.install(&packed)).await.map_err(|_| Reason::Disk)?
    }

    fn fetch_from_web(&mut self, url: String, place: (Digest, u32), offset: u64, chunk: Chunk) {
        let (web, shared) = (self.web.clone(), self.switch.shared.clone());
        let fetch = move || web.fetch(&shared.config, &url, place, offset, chunk);
        let (blob, index) = place;
        let lost = Event::Lost { blob, index, wait: Duration::ZERO };
        self.beside(async move { spawn_blocking(fetch).await.unwrap_or(lost).into() });
    }

    fn probe(&mut self, manifest: Digest) {
        let candidate = self.proposed(manifest);
        self.beside(async move { Event::Probed(said(candidate.probe().await)).into() });
    }

    fn shadow(&mut self, manifest: Digest, runs: u32) {
        let candidate = self.proposed(manifest);
        let terms = Candidate::terms(&candidate.trial);
        self.beside(async move {
            let outcome = match candidate.shadow(runs).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => return Event::Shadowed(Ok(())).into(),
                Err(wanting) => return Event::Shadowed(said::<()>(Err(wanting))).into(),
            };
            let shadow = outcome.report();
            let verdict = outcome.verdict(&terms).map_err(|reason| (reason, shadow.to_string()));
            Found { event: Event::Shadowed(said(verdict)), shadow: Some(shadow) }
        });
    }

    fn proposed(&self, manifest: Digest) -> Candidate {
        let active = self.device.record().active.as_ref();
        Candidate {
            model: self.model.clone(),
            stored: self.names.stored(manifest),
            active: active.map(|slot| self.names.stored(slot.manifest)),
            trial: self.device.deployment().map(|followed| followed.trial).unwrap_or_default(),
            switch: self.switch.clone(),
            versions: self.shelf.versions.clone(),
        }
    }

    /// Finds something out without keeping the machine from other events. It ends with the update it
    /// is about, and with the daemon.
    fn beside(&mut self, find: impl Future<Output = Found> + Send + 'static) {
        let Some(about) = self.candidate() else { return };
        let to_self = self.to_self.clone();
        self.searches.spawn(async move {
            let found = find.await;
            if to_self.send((about, found)).await.is_err() {
                log::debug!("the updates have ended");
            }
        });
    }

    async fn activate(&mut self, slot: Option<Slot>) -> Option<Event> {
        let stored = slot.as_ref().map(|slot| self.names.stored(slot.manifest));
        let choice = stored.map_or(Choice::Shipped, Choice::Stored);
        self.look_later();
        match self.switch.serve(self.model.clone(), choice).await {
            Ok(swapped) => {
                self.swapped = swapped;
                self.answer_on_trial();
                None
            }
            Err(error @ SwitchError::Unusable { .. }) => {
                log::error!("{error}");
                slot.map(|_| Event::Unusable)
            }
            Err(error) => {
                log::error!("model {}: {error}; it serves from the next start on", self.model);
                None
            }
        }
    }

    fn report(&mut self, report: Report) {
        let manifest = self.device.manifest();
        let version = manifest.map(|manifest| manifest.version.clone()).or_else(|| {
            let slots = [&report.active, &report.previous].into_iter().flatten();
            let named = slots.filter(|slot| Some(slot.manifest) == report.candidate);
            named.map(|slot| slot.version.clone()).next()
        });
        let reason = report.reason.map(|reason| format!(": {}", word(reason))).unwrap_or_default();
        let state = serde_json::to_value(report.state).unwrap_or_default();
        let (model, name) = (&self.model, &report.deployment);
        log::info!("model {model}: update {name} is {}{reason}", state.as_str().unwrap_or("-"));
        self.answer_ended(&report);
        let since = self.now().wall;
        if report.state.is_final() {
            self.searches.abort_all();
        }
        self.tell(UpdateStatus { report, candidate_version: version, since, shadow: None });
    }

    fn tell(&mut self, told: UpdateStatus) {
        let told = UpdateStatus { shadow: self.shadow_of(told.report.candidate), ..told };
        self.told = Some(told.clone());
        let model = self.model.clone();
        if self.switch.tell_desk(move |desk| desk.tell_update(&model, told)).is_err() {
            log::debug!("the desk is closing");
        }
    }

    /// Brings the share of the bytes that are here up to date.
    pub(super) fn tell_progress(&mut self) {
        let Some(progress) = self.device.progress() else { return };
        let Some(mut told) = self.told.clone() else { return };
        if (told.report.progress - progress).abs() > f32::EPSILON {
            told.report.progress = progress;
            told.candidate_version = self.device.manifest().map(|m| m.version.clone());
            self.tell(told);
        }
    }

    pub(super) fn tell_counts(&mut self) {
        self.counts.set_dropped(self.post.dropped());
        self.counts.set_keyset(self.device.trust().keyset().version);
        let (model, counts) = (self.model.clone(), self.counts.clone());
        if self.switch.tell_desk(move |desk| desk.count_updates(&model, counts)).is_err() {
            log::debug!("the desk is closing");
        }
    }

    fn refuse(&mut self, reason: Reason) {
        let word = word(reason);
        self.counts.add_refused(&word);
        let now = self.now().mono;
        if let Some(held) = self.said.say(now, &word) {
            log::warn!("model {}: something of an update is refused: {word}{}", self.model, held);
        }
        self.refuse_waiting(reason);
        self.tell_counts();
    }
}

/// A reason as it is on the wire.
pub(super) fn word(reason: Reason) -> String {
    let value = serde_json::to_value(reason).unwrap_or_default();
    value.as_str().unwrap_or("-").to_owned()
}

/// Logs why a candidate was found wanting.
fn said<T>(outcome: Result<T, (Reason, String)>) -> Result<(), Reason> {
    outcome.map(|_| ()).map_err(|(reason, why)| {
        log::error!("a candidate is found wanting ({}): {why}", word(reason));
        reason
    })
}
