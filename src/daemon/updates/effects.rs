//! Executes the effects of an update machine, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::messages::{Finding, word};
use super::updater::ModelUpdater;
use super::version_files::PackedVersion;
use crate::daemon::candidate::checks::CandidateChecks;
use crate::daemon::models::switcher::{SwitchError, VersionChoice};
use crate::daemon::models::update_status::UpdateStatus;
use crate::failpoints;
use crate::ids::Digest;
use crate::store::Store;
use crate::update::machine::{Effect, Event, Reason, Record, Report};
use crate::update::manifest::Chunk;
use crate::update::{Recipe, Source, StagedVersion, VersionSlot};

/// Between the first two attempts to write the record; doubled with each.
const SAVE_RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_SAVE_RETRY_INTERVAL: Duration = Duration::from_secs(60);

impl ModelUpdater {
    /// Executes one effect; the event is its answer, if it has one.
    pub(super) async fn execute(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Save(record) => {
                failpoints::point("update-save");
                self.save(record).await;
                failpoints::point("update-saved");
                None
            }
            Effect::QueryHeld { chunks, files } => Some(self.survey(chunks, files).await),
            // The updater subscribes to everything awaited once the effects are executed.
            Effect::Fetch { source: Source::Mqtt, .. } => None,
            Effect::Fetch { source: Source::Http(url), blob, index, offset, chunk } => {
                self.fetch_from_web(url, (blob, index), offset, chunk);
                None
            }
            Effect::StoreChunk { chunk, bytes } => self.keep(chunk, bytes).await,
            Effect::ReadManifest { chunks } => Some(self.open(chunks).await),
            Effect::Assemble { manifest, recipes } => {
                failpoints::point("update-assemble");
                let result = self.assemble(manifest, recipes).await;
                failpoints::point("update-assembled");
                Some(Event::Assembled(result))
            }
            Effect::Discard { .. } => {
                // Each chunk is valid and the whole is not, so all of them are removed.
                self.files.keep_only(&BTreeSet::new());
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
            Effect::Reject(reason) => {
                self.refuse(reason);
                None
            }
        }
    }

    /// Writes the record durably. Tries until it succeeds: a full disk may have space later.
    pub(super) async fn save(&mut self, record: Record) {
        let mut wait = SAVE_RETRY_INTERVAL;
        loop {
            let (model, record) = (self.model.clone(), record.clone());
            let save = move |store: &mut Store| store.set_version_record(&model, &record);
            let why = match self.switcher.with_store(save).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            let now = self.now().mono;
            if let Some(suppressed) = self.log_limit.allow(now, "save") {
                log::error!(
                    "model {}: cannot save the state of its update, trying again: {why}{}",
                    self.model,
                    suppressed
                );
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(MAX_SAVE_RETRY_INTERVAL);
        }
    }

    /// The stored versions whose chunks may be reused.
    fn stored(&self) -> Vec<Digest> {
        self.device.record().slots.versions().map(|slot| slot.digest).collect()
    }

    async fn survey(&mut self, chunks: Vec<Digest>, files: Vec<Digest>) -> Event {
        let (versions, stored) = (self.files.clone(), self.stored());
        let manifest = self.device.deployment().map(|deployment| &deployment.manifest.chunks);
        let mut needed: BTreeSet<Digest> = chunks.iter().copied().collect();
        needed.extend(manifest.into_iter().flatten().map(|chunk| chunk.sha256));
        // The chunks of the version are known once its manifest is.
        let known = self.device.manifest().is_some();
        let survey = move || {
            if known {
                versions.keep_only(&needed);
            }
            versions.survey(chunks, files, &stored)
        };
        let nothing = Event::Held { chunks: BTreeSet::new(), files: BTreeSet::new(), room: 0 };
        spawn_blocking(survey).await.unwrap_or(nothing)
    }

    /// Removes what an ended update leaves behind.
    async fn sweep(&self) {
        if self.device.record().job.is_none() {
            self.files.keep_only(&BTreeSet::new());
        }
        self.switcher.sweep().await;
        failpoints::point("update-swept");
    }

    async fn keep(&mut self, chunk: Digest, bytes: Vec<u8>) -> Option<Event> {
        let files = self.files.clone();
        let kept = spawn_blocking(move || files.chunks.put(chunk, &bytes)).await;
        match kept {
            Ok(Ok(())) => {
                failpoints::point("update-kept");
                None
            }
            Ok(Err(error)) => {
                log::error!("model {}: cannot save a chunk: {error}", self.model);
                Some(Event::StoreFailed)
            }
            // The daemon is stopping.
            Err(_) => Some(Event::StoreFailed),
        }
    }

    async fn open(&mut self, chunks: Vec<Digest>) -> Event {
        let (files, stored) = (self.files.clone(), self.stored());
        let bytes = spawn_blocking(move || files.joined(&chunks, &stored)).await;
        let bytes = bytes.unwrap_or_default();
        self.envelope = Some(bytes.clone());
        Event::Opened(bytes)
    }

    async fn assemble(&mut self, digest: Digest, recipes: Vec<Recipe>) -> Result<(), Reason> {
        let manifest = self.device.manifest().filter(|manifest| manifest.digest() == digest);
        let manifest = manifest.cloned().ok_or(Reason::Bytes)?;
        let envelope = self.envelope.clone().ok_or(Reason::Bytes)?;
        let (files, stored) = (self.files.clone(), self.stored());
        let make = move || {
            let files = files.assemble(manifest, &recipes, &stored)?;
            // Writing to memory cannot fail.
            PackedVersion::of(&files, &envelope).map_err(|_| Reason::Bytes)
        };
        let packed = spawn_blocking(make).await.map_err(|_| Reason::Disk)??;
        self.put_in_store(digest, packed).await
    }

    /// Records the version as one that is being written, durably, then writes it.
    pub(super) async fn put_in_store(
        &mut self,
        manifest: Digest,
        packed: PackedVersion,
    ) -> Result<(), Reason> {
        let staged = StagedVersion { manifest, digest: packed.digest };
        let before = self.device.stage(Some(staged));
        self.save(self.device.record().clone()).await;
        let files = self.files.clone();
        let written = spawn_blocking(move || files.install(&packed)).await;
        let written = written.unwrap_or(Err(Reason::Disk));
        if written.is_err() {
            self.device.stage(before);
        }
        written
    }

    fn fetch_from_web(&mut self, url: String, place: (Digest, u32), offset: u64, chunk: Chunk) {
        let (http, context) = (self.http.clone(), self.switcher.context.clone());
        let fetch = move || http.fetch(&context.config, &url, place, offset, chunk);
        let (blob, index) = place;
        let lost = Event::Lost { blob, index, wait: Duration::ZERO };
        self.spawn_task(async move { spawn_blocking(fetch).await.unwrap_or(lost).into() });
    }

    fn probe(&mut self, manifest: Digest) {
        let candidate = self.proposed(manifest);
        self.spawn_task(async move { Event::Probed(log_failure(candidate.probe().await)).into() });
    }

    fn shadow(&mut self, manifest: Digest, runs: u32) {
        let candidate = self.proposed(manifest);
        let limits = CandidateChecks::limits(&candidate.trial);
        self.spawn_task(async move {
            let outcome = match candidate.shadow(runs).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => return Event::Shadowed(Ok(())).into(),
                Err(failure) => return Event::Shadowed(log_failure::<()>(Err(failure))).into(),
            };
            let shadow = outcome.report();
            let verdict = outcome.verdict(&limits).map_err(|reason| (reason, shadow.to_string()));
            Finding { event: Event::Shadowed(log_failure(verdict)), shadow: Some(shadow) }
        });
    }

    fn proposed(&self, manifest: Digest) -> CandidateChecks {
        let slots = &self.device.record().slots;
        CandidateChecks {
            model: self.model.clone(),
            // Both effects follow the write of the version.
            stored: slots.candidate.map_or(manifest, |staged| staged.digest),
            active: slots.active.as_ref().map(|slot| slot.digest),
            trial: self.device.deployment().map(|followed| followed.trial).unwrap_or_default(),
            switcher: self.switcher.clone(),
            versions: self.files.versions.clone(),
        }
    }

    /// Runs a task beside the machine. It ends with the update that it is about, and with the
    /// daemon.
    fn spawn_task(&mut self, find: impl Future<Output = Finding> + Send + 'static) {
        let Some(about) = self.candidate() else { return };
        let results = self.results.clone();
        self.tasks.spawn(async move {
            let finding = find.await;
            if results.send((about, finding)).await.is_err() {
                log::debug!("the updates have ended: a result is dropped");
            }
        });
    }

    async fn activate(&mut self, slot: Option<VersionSlot>) -> Option<Event> {
        let stored = slot.as_ref().map(|slot| slot.digest);
        let choice = stored.map_or(VersionChoice::BuiltIn, VersionChoice::Stored);
        self.delay_poll();
        match self.switcher.activate(self.model.clone(), choice).await {
            Ok(swapped) => {
                self.swapped = swapped;
                self.answer_on_trial();
                None
            }
            Err(error @ SwitchError::Unusable { .. }) => {
                log::error!("{error}");
                slot.map(|_| Event::LoadFailed)
            }
            Err(error) => {
                log::error!(
                    "model {}: {error}; the version becomes active at the next start",
                    self.model
                );
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
            self.tasks.abort_all();
        }
        self.publish_status(UpdateStatus {
            report,
            candidate_version: version,
            since,
            shadow: None,
        });
    }

    fn publish_status(&mut self, status: UpdateStatus) {
        let status = UpdateStatus { shadow: self.shadow_of(status.report.candidate), ..status };
        self.status = Some(status.clone());
        self.switcher.registry.set_update_status(&self.model, status);
    }

    /// Publishes the share of the bytes that were received, if it has changed.
    pub(super) fn publish_progress(&mut self) {
        let Some(progress) = self.device.progress() else { return };
        let Some(mut status) = self.status.clone() else { return };
        if (status.report.progress - progress).abs() > f32::EPSILON {
            status.report.progress = progress;
            status.candidate_version = self.device.manifest().map(|m| m.version.clone());
            self.publish_status(status);
        }
    }

    /// Publishes the counters.
    pub(super) fn publish_counters(&mut self) {
        self.counters.set_dropped(self.mailbox.dropped());
        self.counters.set_keyset(self.device.trust().keyset().version);
        self.switcher.registry.set_update_counters(&self.model, self.counters.clone());
    }

    fn refuse(&mut self, reason: Reason) {
        let word = word(reason);
        self.counters.add_refused(&word);
        let now = self.now().mono;
        if let Some(suppressed) = self.log_limit.allow(now, &word) {
            log::warn!("model {}: update message rejected: {word}{}", self.model, suppressed);
        }
        self.answer_rejected(reason);
        self.publish_counters();
    }
}

/// Logs why a candidate was rejected.
fn log_failure<T>(outcome: Result<T, (Reason, String)>) -> Result<(), Reason> {
    outcome.map(|_| ()).map_err(|(reason, why)| {
        log::error!("candidate rejected ({}): {why}", word(reason));
        reason
    })
}
