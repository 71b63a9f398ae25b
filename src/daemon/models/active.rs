//! Which version of a model is active: the active one of the store, else the previous one, else the
//! built-in one, which always exists.

use super::update_status::UpdateStatus;
use crate::bundle::{Bundle, BundleError, VerifiedModel};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::ids::{Digest, ModelName};
use crate::pipeline;
use crate::store::Store;
use crate::store::models::{ModelStore, ModelStoreError};
use crate::update::{CandidateReport, ModelReport, ModelState, VersionReport, VersionSlot};

/// The active version of a model.
#[derive(Clone, Debug)]
pub(crate) struct ActiveModel {
    pub(crate) loaded: VerifiedModel,
    /// Its digest in the model store; `None` for the built-in version.
    pub(crate) stored: Option<Digest>,
    pub(crate) built_in: BuiltIn,
    /// Why it is not the version that was chosen.
    pub(crate) load_error: Option<String>,
    /// The latest report of its update, once there is one.
    pub(crate) update_status: Option<UpdateStatus>,
}

/// Names the built-in version, also while another one is active.
#[derive(Clone, Debug)]
pub(crate) struct BuiltIn {
    pub(crate) version: String,
    pub(crate) digest: Digest,
}

impl ActiveModel {
    pub(crate) fn built_in(loaded: VerifiedModel) -> Self {
        let built_in = BuiltIn { version: loaded.card.version.clone(), digest: loaded.digest };
        Self { loaded, stored: None, built_in, load_error: None, update_status: None }
    }

    pub(crate) fn name(&self) -> &ModelName {
        &self.loaded.card.name
    }

    /// The digest of the active version: of its bundle if it is a stored version, of its model file
    /// if it is the built-in one.
    pub(crate) fn digest(&self) -> Digest {
        self.stored.unwrap_or(self.loaded.digest)
    }

    /// The message of the model's topic.
    pub(crate) fn report(&self, now: Timestamp) -> ModelReport {
        let status = self.update_status.as_ref();
        let report = status.map(|status| &status.report);
        let candidate = status.and_then(|status| {
            let (version, digest) = (status.candidate_version.clone(), status.report.candidate?);
            Some(CandidateReport { version, digest })
        });
        ModelReport {
            v: 1,
            state: report.map_or(ModelState::Idle, |report| ModelState::Update(report.state)),
            active: self.version_report(),
            previous: report.and_then(|report| report.previous.as_ref()).map(VersionReport::from),
            candidate,
            progress: report.map_or(0.0, |report| report.progress),
            reason: report.and_then(|report| report.reason),
            deployment: report.map(|report| report.deployment.clone()),
            nodes: self.loaded.model.nodes(),
            since: status.map_or(now, |status| status.since),
            shadow: status.and_then(|status| status.shadow),
        }
    }

    /// The active version, by its manifest if it has one.
    fn version_report(&self) -> VersionReport {
        let version = self.loaded.card.version.clone();
        let named = self.update_status.as_ref().and_then(|status| status.report.active.as_ref());
        let named = named.filter(|slot| self.stored.is_some() && slot.version == version);
        named.map_or_else(
            || VersionReport { version: version.clone(), digest: self.digest(), counter: None },
            VersionReport::from,
        )
    }
}

/// Selects the active version of each model. `built_in` has one version of every model.
pub(crate) fn select(
    config: &Config,
    built_in: Vec<VerifiedModel>,
    mut store: Option<&mut Store>,
    versions: Option<&ModelStore>,
) -> Vec<ActiveModel> {
    let select = |loaded: VerifiedModel| {
        let mut model = ActiveModel::built_in(loaded);
        if let (Some(store), Some(versions)) = (store.as_deref_mut(), versions) {
            prefer_stored(config, &mut model, store, versions);
        }
        let (card, digest) = (&model.loaded.card, model.digest());
        log::info!("model {}: version {} ({digest}) is active", card.name, card.version);
        model
    };
    built_in.into_iter().map(select).collect()
}

fn prefer_stored(
    config: &Config,
    model: &mut ActiveModel,
    store: &mut Store,
    versions: &ModelStore,
) {
    let name = model.name().clone();
    let slots = match store.version_record(&name) {
        Ok(record) => record.slots,
        Err(error) => {
            let why = format!("its slots cannot be read: {error}");
            log::error!("model {name}: {why}; the built-in version is active");
            model.load_error = Some(why);
            return;
        }
    };
    // Without an active slot the built-in version was chosen.
    let previous = slots.active.as_ref().and(slots.previous);
    for VersionSlot { digest, version, .. } in [slots.active, previous].into_iter().flatten() {
        match load(config, &name, digest, versions) {
            Ok(loaded) => {
                model.loaded = loaded;
                model.stored = Some(digest);
                return;
            }
            Err(why) => {
                log::error!("model {name}: version {version} is not used: {why}");
                let why = format!("version {version} is not used: {why}");
                model.load_error.get_or_insert(why);
            }
        }
    }
}

/// Why a stored version cannot become active.
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

/// Reads, verifies and loads a stored version, runs its golden vectors, and checks that it fits
/// every stream of its model. Blocks.
pub(crate) fn load(
    config: &Config,
    name: &ModelName,
    digest: Digest,
    versions: &ModelStore,
) -> Result<VerifiedModel, Unusable> {
    let verified = versions.read(digest).inspect_err(|error| {
        // A damaged version has to be written again, and its space is needed for that.
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

/// Checks that the version fits every stream of its model.
pub(crate) fn check_fit(config: &Config, loaded: &VerifiedModel) -> Result<(), String> {
    let name = &loaded.card.name;
    for stream in config.streams.iter().filter(|stream| stream.model == *name) {
        let (card, model) = (&loaded.card, &loaded.model);
        if let Err(misfits) =
            pipeline::check_compatibility(stream, card, model.inputs(), model.outputs())
        {
            let misfits: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            return Err(format!("it does not fit stream {}: {}", stream.name, misfits.join("; ")));
        }
    }
    Ok(())
}

/// Removes versions that no slot needs. Not to be called after a database was quarantined: its
/// slots are lost, and the versions that they named save a download.
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
        Ok(removed) => log::info!("removed {removed} unused model versions"),
        Err(error) => log::warn!("unused model versions stay on disk: {error}"),
    }
}
