//! The checks of a candidate before it becomes active: in a process of its own, then in the daemon,
//! then beside the active model.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::probe::{Limits, Probe};
use super::shadow::{ShadowLimits, ShadowOutcome, run_shadow};
use crate::bundle::{Bundle, BundleError, VerifiedModel};
use crate::config::Config;
use crate::daemon::inference::shadow_share::ShadowError;
use crate::daemon::models::active::{self, Unusable};
use crate::daemon::models::switcher::ModelSwitcher;
use crate::ids::{Digest, ModelName};
use crate::store::models::{ModelStore, ModelStoreError};
use crate::update::Trial;
use crate::update::machine::Reason;

/// The share of predictions of a shadow run in which candidate and active model must agree, if the
/// deployment does not say.
const MIN_AGREEMENT: f64 = 0.9;

/// Why a candidate is rejected, with a message for the log.
pub(crate) type CheckFailure = (Reason, String);

/// A candidate, and what it is compared with.
pub(crate) struct CandidateChecks {
    pub(crate) model: ModelName,
    /// Its digest in the model store.
    pub(crate) stored: Digest,
    /// The digest of the active version; `None` is the built-in one.
    pub(crate) active: Option<Digest>,
    pub(crate) trial: Trial,
    pub(crate) switcher: ModelSwitcher,
    pub(crate) versions: ModelStore,
}

impl CandidateChecks {
    /// Measures it in a child process and compares it with the active model, then loads it and
    /// checks that it fits every stream.
    pub(crate) async fn probe(self) -> Result<(), CheckFailure> {
        let config = &self.switcher.context.config;
        let limits = Limits {
            memory: config.updates.probe_memory,
            time: config.updates.probe_time,
            slowdown: self.trial.max_slowdown,
            ..Limits::default()
        };
        let probe = Probe::new(limits);
        let candidate = self.bytes(Some(self.stored)).await?;
        // If the active model cannot be measured, the candidate is not compared.
        let active = match self.bytes(self.active).await {
            Ok(active) => probe.measure(active).await.ok(),
            Err(_) => None,
        };
        let failed = |reason| (reason, format!("model {}: its probe failed", self.model));
        let measured = probe.compare(candidate, active.as_ref()).await.map_err(failed)?;
        log::info!(
            "model {}: the candidate loads in {:.1} ms and takes {:.0} us a run",
            self.model,
            measured.load_ms,
            measured.median_us
        );
        self.load().await.map(|_| ())
    }

    /// Runs it beside the active model on live inputs. Returns `None` if they cannot be compared.
    pub(crate) async fn shadow(self, runs: u32) -> Result<Option<ShadowOutcome>, CheckFailure> {
        let loaded = self.load().await?;
        let max = Duration::from_secs(self.trial.max_s.into());
        match run_shadow(&self.switcher.queues, &loaded, runs, max).await {
            Ok(outcome) => Ok(Some(outcome)),
            Err(other @ ShadowError::NotComparable(_)) => {
                log::warn!("model {}: {other}; it is judged by its trial only", self.model);
                Ok(None)
            }
            Err(other) => Err((Reason::Cancelled, format!("model {}: {other}", self.model))),
        }
    }

    /// The limits of the shadow run.
    pub(crate) fn limits(trial: &Trial) -> ShadowLimits {
        ShadowLimits {
            min_agreement: trial.min_agreement.unwrap_or(MIN_AGREEMENT),
            max_error_rate: trial.max_error_rate,
            max_slowdown: trial.max_slowdown,
        }
    }

    async fn load(&self) -> Result<VerifiedModel, CheckFailure> {
        let (context, model) = (self.switcher.context.clone(), self.model.clone());
        let (versions, stored) = (self.versions.clone(), self.stored);
        let load = move || load(&context.config, &model, stored, &versions);
        spawn_blocking(load).await.map_err(stopping)?
    }

    /// Reads the bundle of a version; `None` is the built-in one.
    async fn bytes(&self, stored: Option<Digest>) -> Result<Bytes, CheckFailure> {
        let (context, model) = (self.switcher.context.clone(), self.model.clone());
        let versions = self.versions.clone();
        let read = move || match stored {
            Some(stored) => read(stored, &versions),
            None => {
                let bundle = Bundle::built_in(&context.config.models.dir, &model);
                let bundle =
                    bundle.map_err(|error| (reason_of_bundle(&error), error.to_string()))?;
                let mut bytes = Vec::new();
                let written = bundle.write(&mut bytes);
                written.map_err(|error| (Reason::Load, error.to_string()))?;
                Ok(bytes.into())
            }
        };
        spawn_blocking(read).await.map_err(stopping)?
    }
}

/// Loads a stored version, runs its golden vectors and golden samples, and checks that it fits
/// every stream. Blocks.
pub(crate) fn load(
    config: &Config,
    model: &ModelName,
    stored: Digest,
    versions: &ModelStore,
) -> Result<VerifiedModel, CheckFailure> {
    active::load(config, model, stored, versions).map_err(|unusable| {
        let reason = match &unusable {
            Unusable::Store(error) => reason_of_store(error),
            Unusable::Bundle(error) => reason_of_bundle(error),
            Unusable::OtherModel(_) | Unusable::Misfit(_) => Reason::Load,
        };
        (reason, unusable.to_string())
    })
}

fn read(stored: Digest, versions: &ModelStore) -> Result<Bytes, CheckFailure> {
    let verified = versions.read(stored);
    let verified = verified.map_err(|error| (reason_of_store(&error), error.to_string()))?;
    Ok(verified.into_bytes().into())
}

fn reason_of_store(error: &ModelStoreError) -> Reason {
    match error {
        ModelStoreError::Full { .. } | ModelStoreError::Failed { .. } => Reason::Disk,
        _ => Reason::Bytes,
    }
}

fn reason_of_bundle(error: &BundleError) -> Reason {
    if matches!(error, BundleError::Golden { .. } | BundleError::Samples { .. }) {
        Reason::Golden
    } else {
        Reason::Load
    }
}

fn stopping(_: tokio::task::JoinError) -> CheckFailure {
    (Reason::Cancelled, "the daemon is stopping".to_owned())
}
