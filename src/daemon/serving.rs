//! Which version of a model serves: the active one of the store, else the one before it, else the
//! shipped one, which is always there.

use super::models::update_status::UpdateStatus;
use crate::bundle::{Bundle, BundleError, Loaded};
use crate::config::Config;
use crate::ids::{Digest, ModelName};
use crate::pipeline;
use crate::store::Store;
use crate::store::models::{ModelStore, ModelStoreError, VersionSlot};

/// A model that serves.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) loaded: Loaded,
    /// Which version of the store it is; `None`: the shipped one.
    pub(crate) stored: Option<Digest>,
    pub(crate) shipped: Shipped,
    /// Why it is not the version that was chosen.
    pub(crate) trouble: Option<String>,
    /// Where its update is, once its machine has said so.
    pub(crate) told: Option<UpdateStatus>,
}

/// What is to be said of the shipped model while another serves.
#[derive(Clone, Debug)]
pub(crate) struct Shipped {
    pub(crate) version: String,
    pub(crate) digest: Digest,
}

impl Serving {
    pub(crate) fn shipped(loaded: Loaded) -> Self {
        let shipped = Shipped { version: loaded.card.version.clone(), digest: loaded.digest };
        Self { loaded, stored: None, shipped, trouble: None, told: None }
    }

    pub(crate) fn name(&self) -> &ModelName {
        &self.loaded.card.name
    }

    /// The name of what serves: of its bundle where it comes from the store, of its model file
    /// where it was shipped.
    pub(crate) fn digest(&self) -> Digest {
        self.stored.unwrap_or(self.loaded.digest)
    }
}

/// Takes the shipped models and gives what is to serve.
pub(crate) fn choose(
    config: &Config,
    shipped: Vec<Loaded>,
    mut store: Option<&mut Store>,
    versions: Option<&ModelStore>,
) -> Vec<Serving> {
    let choose = |loaded: Loaded| {
        let mut serving = Serving::shipped(loaded);
        if let (Some(store), Some(versions)) = (store.as_deref_mut(), versions) {
            prefer_stored(config, &mut serving, store, versions);
        }
        let (card, digest) = (&serving.loaded.card, serving.digest());
        log::info!("model {} {} ({digest}) serves", card.name, card.version);
        serving
    };
    shipped.into_iter().map(choose).collect()
}

fn prefer_stored(config: &Config, serving: &mut Serving, store: &mut Store, versions: &ModelStore) {
    let name = serving.name().clone();
    let slots = match store.slots(&name) {
        Ok(slots) => slots,
        Err(error) => {
            let why = format!("its slots cannot be read: {error}");
            log::error!("model {name}: {why}; the shipped model serves");
            serving.trouble = Some(why);
            return;
        }
    };
    // Without an active version the shipped one was chosen.
    let previous = slots.active.as_ref().and(slots.previous);
    for VersionSlot { digest, version } in [slots.active, previous].into_iter().flatten() {
        match load(config, &name, digest, versions) {
            Ok(loaded) => {
                serving.loaded = loaded;
                serving.stored = Some(digest);
                return;
            }
            Err(why) => {
                log::error!("model {name}: version {version} is not used: {why}");
                let why = format!("version {version} is not used: {why}");
                serving.trouble.get_or_insert(why);
            }
        }
    }
}

/// Why a stored version does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Store(#[from] ModelStoreError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error("it holds the model {0}")]
    OtherModel(ModelName),
    #[error("{0}")]
    Misfit(String),
}

/// Reads, verifies, loads and proves a stored version, and sees that every stream it is for can
/// use it. Blocks.
pub(crate) fn load(
    config: &Config,
    name: &ModelName,
    digest: Digest,
    versions: &ModelStore,
) -> Result<Loaded, Unusable> {
    let verified = versions.read(digest).inspect_err(|error| {
        // What is damaged is to be written again, and its place is better used for that.
        if matches!(error, ModelStoreError::Damaged { .. })
            && let Err(error) = versions.remove(digest)
        {
            log::warn!("a damaged model version stays on disk: {error}");
        }
    })?;
    let bundle = Bundle::read(verified.bytes())?;
    drop(verified);
    if bundle.card().name != *name {
        return Err(Unusable::OtherModel(bundle.card().name.clone()));
    }
    let loaded = pipeline::load(&bundle)?;
    check_fit(config, &loaded).map_err(Unusable::Misfit)?;
    loaded.warnings.iter().for_each(|warning| log::warn!("model {name}: {warning}"));
    Ok(loaded)
}

/// Whether every stream of the model can use it.
pub(crate) fn check_fit(config: &Config, loaded: &Loaded) -> Result<(), String> {
    let name = &loaded.card.name;
    for stream in config.streams.iter().filter(|stream| stream.model == *name) {
        let (card, model) = (&loaded.card, &loaded.model);
        if let Err(misfits) = pipeline::fit(stream, card, model.inputs(), model.outputs()) {
            let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            return Err(format!("it does not fit stream {}: {}", stream.name, misfits.join("; ")));
        }
    }
    Ok(())
}

/// Removes versions that no slot needs. Not after a database was set aside: what it said of the
/// slots is gone, and its versions save a download.
pub(crate) fn sweep<'a>(
    models: impl IntoIterator<Item = &'a ModelName>,
    store: &mut Store,
    versions: &ModelStore,
) {
    let needed = store.versions_needed(models);
    let swept = needed
        .map_err(|error| error.to_string())
        .and_then(|needed| versions.sweep(&needed).map_err(|error| error.to_string()));
    match swept {
        Ok(0) => {}
        Ok(removed) => log::info!("{removed} model versions that nothing needs are removed"),
        Err(error) => log::warn!("model versions that nothing needs stay on disk: {error}"),
    }
}
