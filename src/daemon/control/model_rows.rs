//! The versions of all models, as `inferd models` lists them.

use serde::Serialize;

use crate::daemon::models::active::ActiveModel;
use crate::ids::Digest;
use crate::store::Store;
use crate::store::models::{ModelStore, StoredVersion};
use crate::update::machine::Record;

/// A version of a model: stored or built-in.
#[derive(Debug, Serialize)]
pub(super) struct ModelRow {
    name: String,
    version: Option<String>,
    digest: Digest,
    slot: &'static str,
    size: Option<u64>,
    disk_bytes: Option<u64>,
    state: &'static str,
}

/// Lists the versions. Blocks.
pub(super) fn model_rows(
    models: &[ActiveModel],
    versions: Option<&ModelStore>,
    mut store: Option<&mut Store>,
) -> Vec<ModelRow> {
    let held = versions.and_then(|versions| versions.held().ok()).unwrap_or_default();
    let rows = models.iter().flat_map(|model| {
        let record = store.as_mut().and_then(|store| store.version_record(model.name()).ok());
        rows_of(model, &record.unwrap_or_default(), &held)
    });
    rows.collect()
}

/// The versions of one model, the built-in one last.
fn rows_of(model: &ActiveModel, record: &Record, held: &[StoredVersion]) -> Vec<ModelRow> {
    let row = |slot, digest: Digest, version: Option<&String>| {
        let held = held.iter().find(|held| held.digest == digest);
        let state = match held {
            _ if model.stored == Some(digest) => "serving",
            Some(StoredVersion { size: Some(_), .. }) => "kept",
            Some(StoredVersion { size: None, .. }) => "incomplete",
            None => "missing",
        };
        ModelRow {
            name: model.name().to_string(),
            version: version.cloned(),
            digest,
            slot,
            size: held.and_then(|held| held.size),
            disk_bytes: held.map(|held| held.disk_bytes),
            state,
        }
    };
    let slots = &record.slots;
    let active = if record.is_on_trial() { "trial" } else { "active" };
    let named = [(active, &slots.active), ("previous", &slots.previous)];
    let named = named.into_iter().filter_map(|(name, slot)| {
        slot.as_ref().map(|slot| row(name, slot.digest, Some(&slot.version)))
    });
    let mut rows: Vec<ModelRow> = named.collect();
    rows.extend(slots.candidate.map(|staged| row("staged", staged.digest, None)));
    rows.push(ModelRow {
        name: model.name().to_string(),
        version: Some(model.built_in.version.clone()),
        digest: model.built_in.digest,
        slot: "shipped",
        size: None,
        disk_bytes: None,
        state: if model.stored.is_none() { "serving" } else { "kept" },
    });
    rows
}
