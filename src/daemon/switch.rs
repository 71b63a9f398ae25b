//! Another version of a model in the place of the one that serves, while samples come in.
//!
//! In this order: the version is read, verified, loaded and proved; the slots change, durably; every
//! worker takes it up between two steps. What fails before the slots change leaves everything as it
//! was; a kill behind it starts with the new version.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc::UnboundedSender, oneshot};
use tokio::task::spawn_blocking;

use super::desk::{Desk, FromStore};
use super::inference::queues::{SwapError, WorkerQueues};
use super::report;
use super::serving;
use super::shared::Shared;
use crate::bundle::{Bundle, Loaded};
use crate::ids::{Digest, ModelName};
use crate::pipeline::{self, Swapped};
use crate::store::models::{ModelStore, VersionSlot, VersionSlots};
use crate::store::{Store, StoreError};

/// Why another version does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwitchError {
    #[error("no stream here uses a model {0}")]
    NoSuchModel(ModelName),
    #[error("another version is being changed to at this moment; try again")]
    Busy,
    #[error("model {model}: {why}; what served goes on")]
    Unusable { model: ModelName, why: String },
    #[error("the slots cannot be changed, what served goes on: {0}")]
    Store(#[from] StoreError),
    #[error("the store is closed or does not keep up, what served goes on")]
    NoStore,
    #[error("the daemon is stopping")]
    Stopping,
}

impl SwitchError {
    fn of_swap(error: SwapError, loaded: &Loaded) -> Self {
        match error {
            SwapError::Stopping => Self::Stopping,
            SwapError::Misfit(misfits) => {
                let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                Self::Unusable { model: loaded.card.name.clone(), why: misfits.join("; ") }
            }
        }
    }
}

/// Which version is to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Stored(Digest),
    Shipped,
}

/// What has to be reached for a change of version. Cheap to clone; outlives no desk.
#[derive(Clone)]
pub(crate) struct Switch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) versions: Option<ModelStore>,
    pub(crate) queues: WorkerQueues,
    pub(crate) desk: UnboundedSender<FromStore>,
    /// One change at a time.
    pub(crate) turn: Arc<Semaphore>,
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Switch")
    }
}

impl Switch {
    /// Has another version serve. `edit` changes the slots; it gets them as they are, and the
    /// slot of the version that is to serve (`None`: the shipped one).
    pub(crate) async fn to(
        &self,
        model: ModelName,
        choice: Choice,
        edit: impl FnOnce(&mut VersionSlots, Option<VersionSlot>) + Send + 'static,
    ) -> Result<Vec<Swapped>, SwitchError> {
        let Ok(_turn) = self.turn.try_acquire() else { return Err(SwitchError::Busy) };
        if !self.shared.config.streams.iter().any(|stream| stream.model == model) {
            return Err(SwitchError::NoSuchModel(model));
        }
        let loaded = self.load(model.clone(), choice).await?;
        let (stored, version) = (choice.stored(), loaded.card.version.clone());
        let slot = stored.map(|digest| VersionSlot { digest, version });
        self.at_store(move |store| {
            let mut slots = store.slots(&model)?;
            edit(&mut slots, slot);
            store.set_slots(&model, &slots)
        })
        .await??;
        let swapped = self.take_up(loaded, choice).await?;
        self.sweep().await;
        Ok(swapped)
    }

    /// Has the version serve that the slots name already.
    pub(crate) async fn serve(
        &self,
        model: ModelName,
        choice: Choice,
    ) -> Result<Vec<Swapped>, SwitchError> {
        let _turn = self.turn.acquire().await.map_err(|_| SwitchError::Stopping)?;
        let loaded = self.load(model, choice).await?;
        self.take_up(loaded, choice).await
    }

    async fn take_up(&self, loaded: Loaded, choice: Choice) -> Result<Vec<Swapped>, SwitchError> {
        let (queues, serving) = (self.queues.clone(), loaded.clone());
        let swapped = spawn_blocking(move || queues.swap(&serving)).await;
        let swapped = swapped.map_err(|_| SwitchError::Stopping)?;
        let swapped = swapped.map_err(|error| SwitchError::of_swap(error, &loaded))?;
        self.tell_desk(move |desk| desk.serves(loaded, choice.stored()))?;
        Ok(swapped)
    }

    /// Removes what no slot needs any more.
    pub(crate) async fn sweep(&self) {
        let Some(versions) = self.versions.clone() else { return };
        let shared = self.shared.clone();
        let sweep = move |store: &mut Store| {
            let models = shared.config.streams.iter().map(|stream| &stream.model);
            serving::sweep(models, store, &versions);
        };
        if let Err(error) = self.at_store(sweep).await {
            log::debug!("model versions are not swept: {error}");
        }
    }

    async fn load(&self, model: ModelName, choice: Choice) -> Result<Loaded, SwitchError> {
        let (shared, versions, name) = (self.shared.clone(), self.versions.clone(), model.clone());
        let load = move || match (choice, versions) {
            (Choice::Stored(digest), Some(versions)) => {
                serving::load(&shared.config, &name, digest, &versions)
                    .map_err(|why| why.to_string())
            }
            (Choice::Stored(_), None) => Err("there is no model store, see the log".to_owned()),
            (Choice::Shipped, _) => {
                let bundle = Bundle::shipped(&shared.config.models.dir, &name);
                let loaded = bundle.and_then(|bundle| pipeline::load(&bundle));
                let loaded = loaded.map_err(|error| error.to_string())?;
                serving::check_fit(&shared.config, &loaded).map(|()| loaded)
            }
        };
        let loaded = spawn_blocking(load).await.map_err(|_| SwitchError::Stopping)?;
        loaded.map_err(|why| SwitchError::Unusable { model, why })
    }

    /// Does something with the open store, on its thread.
    pub(crate) async fn at_store<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, SwitchError> {
        let (answer, found) = oneshot::channel();
        let act = move |store: Option<&mut Store>| {
            if let Some(store) = store
                && answer.send(act(store)).is_err()
            {
                log::debug!("nobody waits for what the store did");
            }
        };
        // Dropped unanswered where the store is closed or does not keep up.
        self.tell_desk(move |desk| {
            if let Err(busy) = desk.store.run(act) {
                log::debug!("{busy}");
            }
        })?;
        found.await.map_err(|_| SwitchError::NoStore)
    }

    pub(crate) fn tell_desk(
        &self,
        act: impl FnOnce(&mut Desk) + Send + 'static,
    ) -> Result<(), SwitchError> {
        let sent = self.desk.send(FromStore::Then(Box::new(act)));
        sent.map_err(|_| SwitchError::Stopping)
    }
}

impl Choice {
    fn stored(self) -> Option<Digest> {
        match self {
            Self::Stored(digest) => Some(digest),
            Self::Shipped => None,
        }
    }
}

impl Desk {
    /// Notes, and says on the model's topic, which version serves from now on.
    fn serves(&mut self, loaded: Loaded, stored: Option<Digest>) {
        let now = self.shared.clock.now().wall;
        let name = loaded.card.name.clone();
        let Some(serving) = self.serving.iter_mut().find(|s| *s.name() == name) else { return };
        (serving.loaded, serving.stored, serving.trouble) = (loaded, stored, None);
        let (version, digest) = (&serving.loaded.card.version, serving.digest());
        log::info!("model {name} {version} ({digest}) serves from now on");
        let topic = report::topic(&self.shared.config.gateway, &format!("model/{name}"));
        self.link.set_retained(topic, report::model(serving, now));
    }
}
