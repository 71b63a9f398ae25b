//! Local commands for the updates of a model: install a release, roll back, activate a version.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::messages::{PendingInstall, word};
use super::updater::ModelUpdater;
use super::version_files::PackedVersion;
use crate::control::{ErrorCode, ErrorResponse};
use crate::daemon::candidate::checks;
use crate::ids::{Digest, ModelName};
use crate::pipeline::SwapEffect;
use crate::update::machine::{Event, Reason, Report, State};
use crate::update::{Installable, Manifest, PackError, PackedRelease, VersionSlot};

/// Commands that may wait for a model's updater.
const QUEUE_LEN: usize = 2;
const UPDATES_OFF: &str = "updates are off: set `updates.keyset` to the keyset of the releases to \
                           accept, and restart";
const BUSY: &str = "the updates of this model are busy, or the daemon is stopping";

/// The answer to a local command.
pub(crate) type CommandResult = Result<serde_json::Value, ErrorResponse>;

/// A command, and where its result goes.
#[derive(Debug)]
pub(crate) struct UpdateCommand {
    action: UpdateAction,
    result: oneshot::Sender<CommandResult>,
}

#[derive(Debug)]
enum UpdateAction {
    /// Install a release from one file, which is not verified yet.
    Install(Box<PackedRelease>),
    /// Activate the previous version.
    Rollback,
    /// Activate an installed version by its name in the store; `None` is the built-in one.
    Use(Option<Digest>),
    /// Look at the drift of the streams; nobody waits for the result.
    CheckDrift,
}

/// The command queues of all updaters, by model; empty if updates are off. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateQueues(BTreeMap<ModelName, Sender<UpdateCommand>>);

impl UpdateQueues {
    /// Adds the queue of a model's updater.
    pub(super) fn add(&mut self, model: ModelName) -> Receiver<UpdateCommand> {
        let (commands, received) = channel(QUEUE_LEN);
        self.0.insert(model, commands);
        received
    }

    /// Whether this model has an updater.
    pub(crate) fn has(&self, model: &ModelName) -> bool {
        self.0.contains_key(model)
    }

    /// Reads a release and installs it on the model that it is for.
    pub(crate) async fn install(&self, file: Vec<u8>) -> CommandResult {
        self.check_on()?;
        let read = move || {
            let packed = PackedRelease::read(&file).map_err(|error| error.to_string())?;
            // Only for its model: the updater verifies all of it.
            let manifest: Manifest =
                packed.envelope().unverified().map_err(|error| error.to_string())?;
            Ok::<_, String>((packed, manifest.name))
        };
        let (packed, model) = match spawn_blocking(read).await {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => return Err(model_error(format!("the file is rejected: {why}"))),
            Err(_) => return Err(stopping()),
        };
        if !self.has(&model) {
            return Err(model_error(format!("no stream here uses a model {model}")));
        }
        self.send(&model, UpdateAction::Install(Box::new(packed))).await
    }

    /// Activates the previous version of a model.
    pub(crate) async fn roll_back(&self, model: &str) -> CommandResult {
        self.check_on()?;
        match ModelName::parse(model).ok().filter(|model| self.has(model)) {
            Some(model) => self.send(&model, UpdateAction::Rollback).await,
            None => Err(model_error(format!("no stream here uses a model {model:?}"))),
        }
    }

    /// Activates an installed version; `None` is the built-in one.
    pub(crate) async fn use_version(
        &self,
        model: &ModelName,
        digest: Option<Digest>,
    ) -> CommandResult {
        self.send(model, UpdateAction::Use(digest)).await
    }

    /// Has the updater of a model look at the drift of its streams. One that is busy looks later by
    /// itself.
    pub(crate) fn check_drift(&self, model: &ModelName) {
        let (result, _) = oneshot::channel();
        let command = UpdateCommand { action: UpdateAction::CheckDrift, result };
        if self.0.get(model).is_some_and(|to| to.try_send(command).is_err()) {
            log::debug!("model {model}: its updater is busy and looks at the drift later");
        }
    }

    async fn send(&self, model: &ModelName, action: UpdateAction) -> CommandResult {
        let (result, received) = oneshot::channel();
        let sent = self.0.get(model).map(|to| to.try_send(UpdateCommand { action, result }));
        if !matches!(sent, Some(Ok(()))) {
            return Err(ErrorResponse::new(ErrorCode::Busy, BUSY));
        }
        received.await.unwrap_or_else(|_| Err(ErrorResponse::new(ErrorCode::Busy, BUSY)))
    }

    fn check_on(&self) -> Result<(), ErrorResponse> {
        if self.0.is_empty() {
            Err(ErrorResponse::new(ErrorCode::NoUpdates, UPDATES_OFF))
        } else {
            Ok(())
        }
    }
}

impl ModelUpdater {
    pub(super) async fn handle(&mut self, command: UpdateCommand) {
        let UpdateCommand { action, result } = command;
        let done = match action {
            UpdateAction::Install(packed) => return self.install(*packed, result).await,
            UpdateAction::CheckDrift => return self.check_drift(true).await,
            UpdateAction::Rollback => self.roll_back().await,
            UpdateAction::Use(digest) => self.use_version(digest).await,
        };
        respond(result, done);
    }

    /// Verifies the release and has it checked. The result is sent once it is on trial or rejected.
    async fn install(&mut self, packed: PackedRelease, result: oneshot::Sender<CommandResult>) {
        let trust = self.device.trust().clone();
        let envelope = packed.manifest_bytes();
        let verified = spawn_blocking(move || packed.verify(&trust)).await;
        let refused = match verified {
            Ok(Ok(files)) => match self.place(&files, &envelope).await {
                Ok(()) => {
                    let (manifest, version) =
                        (files.manifest().digest(), &files.manifest().version);
                    let version = version.clone();
                    self.pending_install = Some(PendingInstall { manifest, version, result });
                    self.feed(Event::Installed(envelope)).await;
                    return;
                }
                Err(refused) => refused,
            },
            Ok(Err(error)) => not_verified(&error),
            Err(_) => stopping(),
        };
        log::warn!("model {}: a release is not installed: {}", self.model, refused.message);
        respond(result, Err(refused));
    }

    /// Puts a verified release into the store, where nothing uses it yet.
    async fn place(&mut self, files: &Installable, envelope: &[u8]) -> Result<(), ErrorResponse> {
        let manifest = files.manifest();
        let active = self.device.record().slots.active.as_ref();
        if active.is_some_and(|slot| slot.manifest == manifest.digest()) {
            return Err(model_error(format!("version {} is already active", manifest.version)));
        }
        let rejected = |reason: Reason| model_error(sentence(reason, &manifest.version));
        if let Err(reason) = self.device.may_install(manifest) {
            let mut refused = rejected(reason);
            if let Some(unmet) = self.device.unmet(manifest).filter(|_| reason == Reason::Requires)
            {
                refused.message = format!("{}: {unmet}", refused.message);
            }
            return Err(refused);
        }
        let packed = PackedVersion::of(files, envelope).map_err(|_| rejected(Reason::Bytes))?;
        self.put_in_store(manifest.digest(), packed).await.map_err(rejected)
    }

    /// Answers a pending install: the release is active, on trial.
    pub(super) fn answer_on_trial(&mut self) {
        let candidate = self.candidate();
        let is_candidate = |pending: &mut PendingInstall| Some(pending.manifest) == candidate;
        if let Some(pending) = self.pending_install.take_if(is_candidate) {
            let answer = json!({
                "model": self.model, "version": pending.version, "state": State::Trial,
                "manifest": pending.manifest,
            });
            respond(pending.result, Ok(answer));
        }
    }

    /// Answers a pending install: the update has ended without the release.
    pub(super) fn answer_ended(&mut self, report: &Report) {
        let Some(reason) = report.reason.filter(|_| report.state.is_final()) else { return };
        let is_candidate =
            |pending: &mut PendingInstall| Some(pending.manifest) == report.candidate;
        if let Some(pending) = self.pending_install.take_if(is_candidate) {
            respond(pending.result, Err(model_error(sentence(reason, &pending.version))));
        }
    }

    /// Answers a pending install: the release was rejected.
    pub(super) fn answer_rejected(&mut self, reason: Reason) {
        if let Some(pending) = self.pending_install.take() {
            respond(pending.result, Err(model_error(sentence(reason, &pending.version))));
        }
    }

    async fn roll_back(&mut self) -> CommandResult {
        let Some(from) = self.device.record().slots.active.clone() else {
            return Err(model_error(
                "the built-in version is active: there is no previous one".to_owned(),
            ));
        };
        self.feed(Event::Rollback).await;
        let to = self.device.record().slots.active.as_ref().map(|slot| slot.version.clone());
        Ok(json!({ "model": self.model, "from": from.version, "to": to }))
    }

    async fn use_version(&mut self, stored: Option<Digest>) -> CommandResult {
        let slot = match stored {
            None => None,
            Some(stored) => Some(self.checked_slot(stored).await?),
        };
        self.swapped.clear();
        self.feed(Event::VersionSelected(slot.clone())).await;
        if self.device.record().slots.active != slot || self.swapped.is_empty() {
            let why = format!("model {}: the version cannot be activated, see the log", self.model);
            return Err(model_error(why));
        }
        let kept = self.swapped.iter().filter(|kept| **kept == SwapEffect::WindowsKept).count();
        Ok(json!({ "streams": self.swapped.len(), "windows_kept": kept }))
    }

    /// The slot of a stored version that loads here and passes its golden vectors.
    async fn checked_slot(&self, stored: Digest) -> Result<VersionSlot, ErrorResponse> {
        let (context, model) = (self.switcher.context.clone(), self.model.clone());
        let versions = self.files.versions.clone();
        let load = move || checks::load(&context.config, &model, stored, &versions);
        let loaded = spawn_blocking(load).await.map_err(|_| stopping())?;
        let loaded = loaded.map_err(|(_, why)| {
            model_error(format!("model {}: {why}; the previous version remains active", self.model))
        })?;
        let version = loaded.card.version.clone();
        Ok(self.device.record().slots.slot_of(stored, version))
    }
}

fn respond(to: oneshot::Sender<CommandResult>, result: CommandResult) {
    if to.send(result).is_err() {
        log::debug!("the result of a local command is no longer awaited");
    }
}

fn stopping() -> ErrorResponse {
    ErrorResponse::new(ErrorCode::Stopping, "the daemon is stopping")
}

fn model_error(why: String) -> ErrorResponse {
    ErrorResponse::new(ErrorCode::Model, why)
}

fn not_verified(error: &PackError) -> ErrorResponse {
    model_error(format!("the file is rejected: {error}"))
}

/// Why a release is not installed, for the operator.
fn sentence(reason: Reason, version: &str) -> String {
    let why = match reason {
        Reason::Busy => "another version is on trial; wait for its end, or roll back",
        Reason::Counter => {
            "its counter is below the one committed here; pack it under a higher one"
        }
        Reason::Refused => "it failed here before, or was rolled back",
        Reason::Requires => "this gateway does not meet its requirements",
        Reason::Disk => "there is not enough disk space, or the disk fails",
        Reason::Golden => "its output differs from its golden vectors or golden samples",
        Reason::Load => "it cannot be loaded, or does not fit a stream",
        Reason::Target => "it is a release of another model",
        _ => "it failed a check, see the log",
    };
    format!("version {version} is not installed ({}): {why}", word(reason))
}
