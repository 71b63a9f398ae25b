//! The task that drives the update machine of one model.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::commands::UpdateCommand;
use super::http_source::HttpSource;
use super::mailbox::{UpdateMailbox, UpdateMessage};
use super::messages::{PendingInstall, TaskResult};
use super::restore::RestoredMachine;
use super::trial_stats;
use super::version_files::VersionFiles;
use crate::clock::Now;
use crate::daemon::models::switcher::ModelSwitcher;
use crate::daemon::models::update_status::{UpdateCounters, UpdateStatus};
use crate::failpoints;
use crate::ids::{Digest, ModelName};
use crate::link::LinkHandle;
use crate::monitor::LogLimiter;
use crate::pipeline::SwapEffect;
use crate::update::machine::{Effect, Event, UpdateMachine};
use crate::update::{ShadowReport, Target};

/// How often a trial is looked at, and progress is reported.
const TRIAL_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often an idle machine is woken: the wall clock may have been set.
const IDLE_POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Between two batches of documents, so that a flood of them does not take up the processor.
const DOCUMENT_PACING: Duration = Duration::from_millis(50);
/// Results of background tasks that may wait for the machine.
const RESULT_QUEUE_LEN: usize = 8;

/// Drives the update machine of one model.
pub(super) struct ModelUpdater {
    pub(super) model: ModelName,
    pub(super) index: usize,
    pub(super) device: UpdateMachine,
    pub(super) files: VersionFiles,
    pub(super) switcher: ModelSwitcher,
    pub(super) mailbox: Arc<UpdateMailbox>,
    pub(super) link: LinkHandle,
    pub(super) log_limit: LogLimiter,
    pub(super) counters: UpdateCounters,
    pub(super) http: HttpSource,
    /// Probes, shadow runs and downloads of the update in progress.
    pub(super) tasks: JoinSet<()>,
    /// The candidate and outcome of the last shadow run.
    shadow: Option<(Digest, ShadowReport)>,
    /// The status published last; its progress is kept up to date.
    pub(super) status: Option<UpdateStatus>,
    /// The candidate's manifest as received.
    pub(super) envelope: Option<Vec<u8>>,
    pub(super) results: Sender<TaskResult>,
    /// The local command that waits for the release that it installs.
    pub(super) pending_install: Option<PendingInstall>,
    /// What the last change of the active version kept.
    pub(super) swapped: Vec<SwapEffect>,
    task_results: Receiver<TaskResult>,
    commands: Receiver<UpdateCommand>,
    first: Vec<Effect>,
    unusable: bool,
    /// When the trial is looked at, and progress is reported, again.
    next_poll: Instant,
}

/// What an updater is made of, besides its machine.
pub(super) struct UpdaterParts {
    pub(super) index: usize,
    pub(super) files: VersionFiles,
    pub(super) switcher: ModelSwitcher,
    pub(super) mailbox: Arc<UpdateMailbox>,
    pub(super) link: LinkHandle,
    pub(super) commands: Receiver<UpdateCommand>,
    pub(super) http: HttpSource,
    /// The active version could not be loaded.
    pub(super) unusable: bool,
}

impl ModelUpdater {
    pub(super) fn new(restored: RestoredMachine, parts: UpdaterParts) -> Self {
        let (results, task_results) = channel(RESULT_QUEUE_LEN);
        Self {
            model: restored.model,
            index: parts.index,
            device: restored.device,
            files: parts.files,
            switcher: parts.switcher,
            mailbox: parts.mailbox,
            link: parts.link,
            log_limit: LogLimiter::new(Duration::from_secs(60)),
            counters: UpdateCounters::default(),
            http: parts.http,
            tasks: JoinSet::new(),
            shadow: None,
            status: None,
            envelope: None,
            results,
            pending_install: None,
            swapped: Vec::new(),
            task_results,
            commands: parts.commands,
            first: restored.effects,
            unusable: parts.unusable,
            next_poll: Instant::now(),
        }
    }

    /// Runs until `stop` changes, or until it is dropped. The next start resumes what was in
    /// progress.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<()>) {
        let first = std::mem::take(&mut self.first);
        self.execute_all(first).await;
        if self.unusable {
            self.feed(Event::LoadFailed).await;
        }
        if self.device.record().job.is_none() {
            self.files.keep_only(&std::collections::BTreeSet::new());
        }
        self.publish_counters();
        loop {
            self.request_awaited();
            let wake = self.wake();
            tokio::select! {
                () = self.mailbox.notified(self.index) => self.receive_messages().await,
                Some(result) = self.task_results.recv() => self.on_task_result(result).await,
                // Removes ended tasks; their results come by the channel.
                Some(_) = self.tasks.join_next() => {}
                Some(command) = self.commands.recv() => self.handle(command).await,
                () = sleep_until(wake) => self.on_tick().await,
                Ok(()) = stop.changed() => return self.feed(Event::Stopping).await,
            }
        }
    }

    async fn on_task_result(&mut self, (about, finding): TaskResult) {
        // A result about an earlier candidate is dropped.
        if self.candidate() != Some(about) {
            return;
        }
        if let Event::Chunk { bytes, .. } = &finding.event {
            self.counters.add_chunk(bytes.len());
        }
        if let Some(shadow) = finding.shadow {
            log::info!("model {}: {shadow}", self.model);
            self.shadow = Some((about, shadow));
        }
        self.feed(finding.event).await;
    }

    /// The outcome of the shadow run of this candidate, if there was one.
    pub(super) fn shadow_of(&self, candidate: Option<Digest>) -> Option<ShadowReport> {
        let (about, shadow) = self.shadow?;
        (Some(about) == candidate).then_some(shadow)
    }

    pub(super) fn now(&self) -> Now {
        self.switcher.context.clock.now()
    }

    /// The version that the update in progress would install.
    pub(super) fn candidate(&self) -> Option<Digest> {
        self.device.deployment().map(|deployment| deployment.manifest.sha256)
    }

    /// One event through the machine, and everything that follows from it.
    pub(super) async fn feed(&mut self, event: Event) {
        let mut effects = Vec::new();
        let now = self.now();
        self.device.on(now, event, &mut effects);
        self.execute_all(effects).await;
    }

    async fn execute_all(&mut self, effects: Vec<Effect>) {
        let mut due = VecDeque::from(effects);
        while let Some(effect) = due.pop_front() {
            let Some(event) = self.execute(effect).await else { continue };
            let mut more = Vec::new();
            let now = self.now();
            self.device.on(now, event, &mut more);
            // What follows from an answer is executed before what was due after the effect.
            more.into_iter().rev().for_each(|effect| due.push_front(effect));
        }
    }

    /// Subscribes to what the machine waits for, and to nothing else.
    fn request_awaited(&self) {
        let next = self.device.trust().keyset().version.saturating_add(1);
        self.mailbox.request(self.index, &self.device.awaited(), next, &self.link);
    }

    async fn receive_messages(&mut self) {
        let messages = self.mailbox.drain(self.index);
        let only_documents = !messages.iter().any(|l| matches!(l, UpdateMessage::Chunk { .. }));
        for message in messages {
            match message {
                UpdateMessage::Keyset(bytes) => self.feed(Event::Keyset(bytes)).await,
                UpdateMessage::Deployment(target, bytes) if bytes.is_empty() => {
                    if self.follows(&target) {
                        self.feed(Event::Withdrawn).await;
                    }
                }
                UpdateMessage::Deployment(_, bytes) => self.feed(Event::Deployment(bytes)).await,
                UpdateMessage::Chunk { blob, index, bytes } => {
                    failpoints::point("update-chunk-came");
                    self.counters.add_chunk(bytes.len());
                    self.feed(Event::Chunk { blob, index, bytes }).await;
                }
            }
            self.request_awaited();
        }
        self.publish_counters();
        if only_documents {
            tokio::time::sleep(DOCUMENT_PACING).await;
        }
    }

    /// Whether the deployment in progress came for this target: only its own topic withdraws it.
    fn follows(&self, target: &Target) -> bool {
        self.device.deployment().is_some_and(|deployment| deployment.target == *target)
    }

    fn wake(&self) -> Instant {
        let now = self.now().mono;
        let due = self.device.deadline().map(|due| due.since(now)).unwrap_or(IDLE_POLL_INTERVAL);
        let due = Instant::now() + due.min(IDLE_POLL_INTERVAL);
        let is_polled = self.device.is_on_trial() || self.device.progress().is_some();
        if is_polled { due.min(self.next_poll) } else { due }
    }

    async fn on_tick(&mut self) {
        if Instant::now() >= self.next_poll {
            self.next_poll = Instant::now() + TRIAL_POLL_INTERVAL;
            if self.device.is_on_trial() {
                let runs = trial_stats::trial_stats(&self.switcher.context, &self.model);
                self.feed(Event::TrialProgress(runs)).await;
            }
            self.publish_progress();
        }
        self.check_drift(false).await;
        self.feed(Event::Tick).await;
    }

    /// Delays the next look at the trial: the first is a while after the change.
    pub(super) fn delay_poll(&mut self) {
        self.next_poll = Instant::now() + TRIAL_POLL_INTERVAL;
    }
}
