//! What whoever is at the gateway has a model's machine do.

use tokio::task::spawn_blocking;

use super::acts::word;
use super::parts::Bytes;
use super::proof;
use super::unit::Unit;
use crate::control::Code;
use crate::daemon::control::Asker;
use crate::ids::Digest;
use crate::pipeline::Swapped;
use crate::update::device::{Event, Reason, Report, Slot, State};
use crate::update::{Installable, PackError, Packed};

/// An order, and who waits for it to be done.
#[derive(Debug)]
pub(crate) enum Order {
    /// A release as one file, taken apart and not believed.
    Install(Box<Packed>, Asker),
    /// The version before the active one.
    Back(Asker),
    /// One of the versions that are here, by its name in the store; `None` is the shipped one.
    Use(Option<Digest>, Asker),
}

/// Who waits for a release to be on trial.
#[derive(Debug)]
pub(super) struct Waiting {
    manifest: Digest,
    version: String,
    answer: Asker,
}

/// Why an order is not followed.
type Refusal = (Code, String);

impl Unit {
    pub(super) async fn obey(&mut self, order: Order) {
        let (done, answer) = match order {
            Order::Install(packed, answer) => return self.install(*packed, answer).await,
            Order::Back(answer) => (self.go_back().await, answer),
            Order::Use(digest, answer) => (self.use_version(digest).await, answer),
        };
        match done {
            Ok(found) => answer.ok(&found),
            Err((code, why)) => answer.refuse(code, why),
        }
    }

    /// Verifies the release and has it proved; the answer comes when it is on trial or refused.
    async fn install(&mut self, packed: Packed, answer: Asker) {
        let trust = self.device.trust().clone();
        let envelope = packed.manifest_bytes();
        let verified = spawn_blocking(move || packed.verify(&trust)).await;
        let refused = match verified {
            Ok(Ok(files)) => match self.place(&files, &envelope).await {
                Ok(()) => {
                    let (manifest, version) =
                        (files.manifest().digest(), &files.manifest().version);
                    let version = version.clone();
                    self.waiting = Some(Waiting { manifest, version, answer });
                    self.feed(Event::Installed(envelope)).await;
                    self.staging = None;
                    return;
                }
                Err(refused) => refused,
            },
            Ok(Err(error)) => not_verified(&error),
            Err(_) => (Code::Stopping, "the daemon is stopping".to_owned()),
        };
        self.staging = None;
        log::warn!("model {}: a release is not installed: {}", self.model, refused.1);
        answer.refuse(refused.0, refused.1);
    }

    /// Puts a verified release into the store, where nothing uses it yet.
    async fn place(&mut self, files: &Installable, envelope: &[u8]) -> Result<(), Refusal> {
        let manifest = files.manifest();
        let active = self.device.record().active.as_ref();
        if active.is_some_and(|slot| slot.manifest == manifest.digest()) {
            return Err((Code::Model, format!("version {} serves already", manifest.version)));
        }
        let told = |reason: Reason| (Code::Model, sentence(reason, &manifest.version));
        if let Err(reason) = self.device.may_install(manifest) {
            let (code, mut why) = told(reason);
            if let Some(unmet) = self.device.unmet(manifest).filter(|_| reason == Reason::Requires)
            {
                why = format!("{why}: {unmet}");
            }
            return Err((code, why));
        }
        let packed = Bytes::of(files, envelope).map_err(|_| told(Reason::Bytes))?;
        self.staging = Some(manifest.digest());
        self.put_in_store(manifest.digest(), packed).await.map_err(told)
    }

    /// Tells whoever waits for a release that it serves now.
    pub(super) fn answer_on_trial(&mut self) {
        let candidate = self.candidate();
        let ours = |waiting: &mut Waiting| Some(waiting.manifest) == candidate;
        if let Some(Waiting { manifest, version, answer }) = self.waiting.take_if(ours) {
            answer.ok(&serde_json::json!({
                "model": self.model, "version": version, "state": State::Trial,
                "manifest": manifest,
            }));
        }
    }

    /// Tells whoever waits for a release that it came to nothing.
    pub(super) fn answer_ended(&mut self, report: &Report) {
        let Some(reason) = report.reason.filter(|_| report.state.is_final()) else { return };
        let ours = |waiting: &mut Waiting| Some(waiting.manifest) == report.candidate;
        if let Some(Waiting { version, answer, .. }) = self.waiting.take_if(ours) {
            answer.refuse(Code::Model, sentence(reason, &version));
        }
    }

    /// The machine would not have it.
    pub(super) fn refuse_waiting(&mut self, reason: Reason) {
        if let Some(Waiting { version, answer, .. }) = self.waiting.take() {
            answer.refuse(Code::Model, sentence(reason, &version));
        }
    }

    async fn go_back(&mut self) -> Result<serde_json::Value, Refusal> {
        let Some(from) = self.device.record().active.clone() else {
            return Err((
                Code::Model,
                "the shipped model serves: there is nothing before it".into(),
            ));
        };
        self.feed(Event::Back).await;
        let to = self.device.record().active.as_ref().map(|slot| slot.version.clone());
        Ok(serde_json::json!({ "model": self.model, "from": from.version, "to": to }))
    }

    async fn use_version(&mut self, stored: Option<Digest>) -> Result<serde_json::Value, Refusal> {
        let slot = match stored {
            None => None,
            Some(stored) => Some(self.provable(stored).await?),
        };
        self.swapped.clear();
        self.feed(Event::Chosen(slot.clone())).await;
        if self.device.record().active != slot || self.swapped.is_empty() {
            let why = format!("model {}: it could not be changed to, see the log", self.model);
            return Err((Code::Model, why));
        }
        let kept = self.swapped.iter().filter(|kept| **kept == Swapped::WindowsKept).count();
        Ok(serde_json::json!({ "streams": self.swapped.len(), "windows_kept": kept }))
    }

    /// The slot of a stored version that can serve.
    async fn provable(&self, stored: Digest) -> Result<Slot, Refusal> {
        let (shared, model) = (self.switch.shared.clone(), self.model.clone());
        let versions = self.shelf.versions.clone();
        let probe = move || proof::prove(&shared.config, &model, stored, &versions);
        let proved = spawn_blocking(probe).await;
        let stopping = (Code::Stopping, "the daemon is stopping".to_owned());
        let proved = proved.map_err(|_| stopping)?.map_err(|(_, why)| {
            (Code::Model, format!("model {}: {why}; what served goes on", self.model))
        })?;
        let version = proved.card.version.clone();
        let record = self.device.record();
        let manifest = self.names.manifest(stored);
        let mut known = [&record.active, &record.previous].into_iter().flatten();
        let known = known.find(|slot| slot.manifest == manifest).cloned();
        Ok(known.unwrap_or(Slot { manifest, version, counter: 0 }))
    }
}

fn not_verified(error: &PackError) -> Refusal {
    (Code::Model, format!("the file is refused: {error}"))
}

/// Why a release is not installed, for the person who brought it.
fn sentence(reason: Reason, version: &str) -> String {
    let why = match reason {
        Reason::Busy => "another version is on trial; wait for its end, or roll back",
        Reason::Counter => {
            "its counter is below the one committed here; pack it under a higher one"
        }
        Reason::Refused => "it failed here before, or was taken back",
        Reason::Requires => "this gateway is not what it was made for",
        Reason::Disk => "there is no room for it, or the disk fails",
        Reason::Golden => "it does not give what its golden vectors or golden samples ask for",
        Reason::Load => "it cannot be loaded, or does not fit a stream",
        Reason::Target => "it is a release of another model",
        _ => "it was found wanting, see the log",
    };
    format!("version {version} is not installed ({}): {why}", word(reason))
}
