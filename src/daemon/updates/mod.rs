//! Models over the air: drives the update machines of [`crate::update::machine`], one task a model.
//!
//! ```text
//!  link ──receive──▶ UpdateMailbox ──messages──▶ ModelUpdater ──events──▶ Device (pure)
//!                        ▲                        │  ◀──effects─────────────┘
//!                        └── requests ────────────┤
//!        control socket ──commands──▶             ├──▶ store: slots and record, one write
//!                                                 ├──▶ disk: chunks, versions
//!                                                 ├──▶ ModelSwitcher: the workers swap the model
//!                                                 └──▶ ModelRegistry: the retained report
//! ```
//! Effects are executed in order, each durable before the next begins; only what a machine asks for
//! and need not wait for (a probe, a download) runs in a task beside it.

pub(crate) mod commands;
mod drift;
mod effects;
mod http_source;
pub(crate) mod mailbox;
mod messages;
pub(crate) mod restore;
mod trial_stats;
mod updater;
mod version_files;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::daemon::models::switcher::ModelSwitcher;
use crate::link::LinkHandle;
use crate::store::Settings;
use crate::store::chunks::ChunkStore;
use commands::UpdateQueues;
use http_source::HttpSource;
use mailbox::UpdateMailbox;
use restore::RestoredMachine;
use updater::{ModelUpdater, UpdaterParts};
use version_files::VersionFiles;

/// The updaters of all models, not running yet.
pub(crate) struct Updates {
    updaters: Vec<ModelUpdater>,
    queues: UpdateQueues,
}

impl Updates {
    pub(crate) fn new(
        restored: Vec<RestoredMachine>,
        mailbox: &Arc<UpdateMailbox>,
        link: &LinkHandle,
        switcher: &ModelSwitcher,
    ) -> Self {
        let mut updates = Self { updaters: Vec::new(), queues: UpdateQueues::default() };
        let Some(versions) = &switcher.versions else { return updates };
        let config = &switcher.context.config;
        let http = HttpSource::default();
        for (index, restored) in restored.into_iter().enumerate() {
            let active = switcher.registry.stored(&restored.model);
            let parts = UpdaterParts {
                index,
                files: VersionFiles {
                    model: restored.model.clone(),
                    built_in: config.models.dir.clone(),
                    chunks: ChunkStore::new(&Settings::from(&config.store), &restored.model),
                    versions: versions.clone(),
                },
                switcher: switcher.clone(),
                mailbox: mailbox.clone(),
                link: link.clone(),
                commands: updates.queues.add(restored.model.clone()),
                http: http.clone(),
                unusable: restored.active.is_some() && active != restored.active,
            };
            updates.updaters.push(ModelUpdater::new(restored, parts));
        }
        updates
    }

    /// The queues for local commands.
    pub(crate) fn queues(&self) -> UpdateQueues {
        self.queues.clone()
    }

    /// Runs all of them until the returned value is stopped or dropped.
    pub(crate) fn start(self) -> Running {
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        for updater in self.updaters {
            tasks.spawn(updater.run(stopped.clone()));
        }
        Running { tasks, stop }
    }
}

/// The running updaters.
pub(crate) struct Running {
    tasks: JoinSet<()>,
    stop: watch::Sender<()>,
}

impl Running {
    /// Has them record that the gateway stops in order. One that has not done so by `deadline` is
    /// dropped, and the next start counts as one after a crash.
    pub(crate) async fn stop(mut self, deadline: Instant) {
        self.stop.send_replace(());
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            log::warn!(
                "stopping: an update is busy; it may treat the next start as one after a crash"
            );
        }
    }
}
