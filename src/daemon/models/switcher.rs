//! Changes the active version of a model while samples arrive.
//!
//! In this order: the version is read, verified, loaded, and its golden vectors are run; the slots
//! change, durably; every worker takes it up between two steps. A failure before the slots change
//! leaves everything as it was; a crash after it starts with the new version.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::active;
use super::registry::ModelRegistry;
use crate::bundle::{Bundle, VerifiedModel};
use crate::daemon::context::DaemonContext;
use crate::daemon::inference::queues::{SwapError, WorkerQueues};
use crate::daemon::store_access::{self, StoreUnavailable};
use crate::ids::{Digest, ModelName};
use crate::pipeline::{self, SwapEffect};
use crate::store::handle::StoreHandle;
use crate::store::models::ModelStore;
use crate::store::{Store, StoreError};

/// Why the active version was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchError {
    #[error("no stream here uses a model {0}")]
    NoSuchModel(ModelName),
    #[error("another version is being activated at this moment; try again")]
    Busy,
    #[error("model {model}: {why}; the previous version remains active")]
    Unusable { model: ModelName, why: String },
    #[error("cannot change the version slots, the previous version remains active: {0}")]
    Store(#[from] StoreError),
    #[error("{0}; the previous version remains active")]
    NoStore(#[from] StoreUnavailable),
    #[error("the daemon is stopping")]
    Stopping,
}

impl SwitchError {
    fn of_swap(error: SwapError, loaded: &VerifiedModel) -> Self {
        match error {
            SwapError::Stopping => Self::Stopping,
            SwapError::Misfit(misfits) => {
                let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                Self::Unusable { model: loaded.card.name.clone(), why: misfits.join("; ") }
            }
        }
    }
}

/// A version to activate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionChoice {
    Stored(Digest),
    BuiltIn,
}

impl VersionChoice {
    fn stored(self) -> Option<Digest> {
        match self {
            Self::Stored(digest) => Some(digest),
            Self::BuiltIn => None,
        }
    }
}

/// Changes the active version of models. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ModelSwitcher {
    pub(crate) context: Arc<DaemonContext>,
    /// `None` if there is no folder for versions.
    pub(crate) versions: Option<ModelStore>,
    pub(crate) queues: WorkerQueues,
    pub(crate) registry: ModelRegistry,
    pub(crate) store: StoreHandle,
    /// One change at a time.
    lock: Arc<Semaphore>,
}

impl fmt::Debug for ModelSwitcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelSwitcher")
    }
}

impl ModelSwitcher {
    pub(crate) fn new(
        context: Arc<DaemonContext>,
        versions: Option<ModelStore>,
        queues: WorkerQueues,
        registry: ModelRegistry,
        store: StoreHandle,
    ) -> Self {
        Self { context, versions, queues, registry, store, lock: Arc::new(Semaphore::new(1)) }
    }

    /// Activates another version, durably and without a trial.
    pub(crate) async fn switch_to(
        &self,
        model: ModelName,
        choice: VersionChoice,
    ) -> Result<Vec<SwapEffect>, SwitchError> {
        let Ok(_lock) = self.lock.try_acquire() else { return Err(SwitchError::Busy) };
        if !self.context.config.streams.iter().any(|stream| stream.model == model) {
            return Err(SwitchError::NoSuchModel(model));
        }
        let loaded = self.load(model.clone(), choice).await?;
        let (stored, version) = (choice.stored(), loaded.card.version.clone());
        self.with_store(move |store| {
            let mut record = store.version_record(&model)?;
            record.select(stored.map(|digest| record.slots.slot_of(digest, version)));
            store.set_version_record(&model, &record)
        })
        .await??;
        let swapped = self.apply(loaded, choice).await?;
        self.sweep().await;
        Ok(swapped)
    }

    /// Activates the version that the slots name already.
    pub(crate) async fn activate(
        &self,
        model: ModelName,
        choice: VersionChoice,
    ) -> Result<Vec<SwapEffect>, SwitchError> {
        let _lock = self.lock.acquire().await.map_err(|_| SwitchError::Stopping)?;
        let loaded = self.load(model, choice).await?;
        self.apply(loaded, choice).await
    }

    /// Has the workers run the version.
    async fn apply(
        &self,
        loaded: VerifiedModel,
        choice: VersionChoice,
    ) -> Result<Vec<SwapEffect>, SwitchError> {
        let (queues, model) = (self.queues.clone(), loaded.clone());
        let swapped = spawn_blocking(move || queues.swap(&model)).await;
        let swapped = swapped.map_err(|_| SwitchError::Stopping)?;
        let swapped = swapped.map_err(|error| SwitchError::of_swap(error, &loaded))?;
        self.registry.set_active(loaded, choice.stored());
        Ok(swapped)
    }

    /// Removes the versions that no slot needs.
    pub(crate) async fn sweep(&self) {
        let Some(versions) = self.versions.clone() else { return };
        let context = self.context.clone();
        let sweep = move |store: &mut Store| {
            let models = context.config.streams.iter().map(|stream| &stream.model);
            active::sweep(models, store, &versions);
        };
        if let Err(error) = self.with_store(sweep).await {
            log::debug!("unused model versions stay on disk: {error}");
        }
    }

    async fn load(
        &self,
        model: ModelName,
        choice: VersionChoice,
    ) -> Result<VerifiedModel, SwitchError> {
        let (context, versions) = (self.context.clone(), self.versions.clone());
        let name = model.clone();
        let load = move || match (choice, versions) {
            (VersionChoice::Stored(digest), Some(versions)) => {
                active::load(&context.config, &name, digest, &versions)
                    .map_err(|why| why.to_string())
            }
            (VersionChoice::Stored(_), None) => {
                Err("there is no model store, see the log".to_owned())
            }
            (VersionChoice::BuiltIn, _) => {
                let bundle = Bundle::built_in(&context.config.models.dir, &name);
                let loaded = bundle.and_then(|bundle| pipeline::load(&bundle));
                let loaded = loaded.map_err(|error| error.to_string())?;
                active::check_fit(&context.config, &loaded).map(|()| loaded)
            }
        };
        let loaded = spawn_blocking(load).await.map_err(|_| SwitchError::Stopping)?;
        loaded.map_err(|why| SwitchError::Unusable { model, why })
    }

    /// Runs a job on the open store, on its thread.
    pub(crate) async fn with_store<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        store_access::with_open(&self.store, job).await
    }
}
