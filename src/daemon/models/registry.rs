//! The active version, update status and counters of every model; publishes `model/{name}`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::active::ActiveModel;
use super::update_status::{UpdateCounters, UpdateStatus};
use crate::bundle::VerifiedModel;
use crate::clock::Timestamp;
use crate::daemon::context::DaemonContext;
use crate::daemon::telemetry::messages::json;
use crate::daemon::telemetry::topics;
use crate::ids::{Digest, ModelName};
use crate::link::LinkHandle;

/// The state of all models, published on their topics with every change. Cheap to clone.
///
/// Its lock is held while a message is handed to the link, so that messages leave in the order of
/// the changes; the link never calls back.
#[derive(Clone)]
pub(crate) struct ModelRegistry(Arc<Shared>);

struct Shared {
    context: Arc<DaemonContext>,
    link: LinkHandle,
    state: Mutex<State>,
}

struct State {
    models: Vec<ActiveModel>,
    /// Empty if updates are off.
    update_counters: BTreeMap<ModelName, UpdateCounters>,
}

impl ModelRegistry {
    /// Publishes the models as they are at the start.
    pub(crate) fn new(
        context: Arc<DaemonContext>,
        link: LinkHandle,
        models: Vec<ActiveModel>,
    ) -> Self {
        let started = context.started.wall;
        let state = Mutex::new(State { models, update_counters: BTreeMap::new() });
        let registry = Self(Arc::new(Shared { context, link, state }));
        registry.state().models.iter().for_each(|model| registry.publish(model, started));
        registry
    }

    /// All models as they are now.
    pub(crate) fn active(&self) -> Vec<ActiveModel> {
        self.state().models.clone()
    }

    /// The digest of a model's active version in the model store; `None` if that is the built-in
    /// one.
    pub(crate) fn stored(&self, name: &ModelName) -> Option<Digest> {
        let state = self.state();
        state.models.iter().find(|model| model.name() == name).and_then(|model| model.stored)
    }

    /// Update counters by model.
    pub(crate) fn update_counters(&self) -> BTreeMap<ModelName, UpdateCounters> {
        self.state().update_counters.clone()
    }

    /// Records the version that the workers run from now on.
    pub(crate) fn set_active(&self, loaded: VerifiedModel, stored: Option<Digest>) {
        let name = loaded.card.name.clone();
        self.change(&name, |model| {
            (model.loaded, model.stored, model.load_error) = (loaded, stored, None);
            let (version, digest) = (&model.loaded.card.version, model.digest());
            log::info!(
                "model {}: version {version} ({digest}) is active from now on",
                model.name()
            );
        });
    }

    /// Records the latest report of a model's update.
    pub(crate) fn set_update_status(&self, name: &ModelName, status: UpdateStatus) {
        self.change(name, |model| model.update_status = Some(status));
    }

    /// Records the counters of a model's updates. They are part of the health snapshot only.
    pub(crate) fn set_update_counters(&self, name: &ModelName, counters: UpdateCounters) {
        self.state().update_counters.insert(name.clone(), counters);
    }

    fn change(&self, name: &ModelName, change: impl FnOnce(&mut ActiveModel)) {
        let now = self.0.context.clock.now().wall;
        let mut state = self.state();
        if let Some(model) = state.models.iter_mut().find(|model| model.name() == name) {
            change(model);
            self.publish(model, now);
        }
    }

    fn publish(&self, model: &ActiveModel, now: Timestamp) {
        let topic = topics::model(&self.0.context.config.gateway, model.name());
        self.0.link.set_retained(topic, json(&model.report(now)));
    }

    /// A thread that panicked while it held this left no change half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
