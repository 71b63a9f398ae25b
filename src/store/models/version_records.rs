//! The versions of a model that are in use: one value per model, changed by one durable write.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, ModelName};
use crate::store::{Store, StoreError};

/// A version in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSlot {
    pub digest: Digest,
    /// The version in the card of its bundle.
    pub version: String,
}

/// The versions of one model. `None` in a slot is the built-in model, which always exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionSlots {
    /// The version that is loaded at start-up.
    pub active: Option<VersionSlot>,
    /// The version that was active before: the target of a rollback.
    pub previous: Option<VersionSlot>,
    /// The active version while it is on trial.
    pub trial: Option<Digest>,
    /// A version that is being written: kept although it is incomplete.
    pub staged: Option<Digest>,
    /// The record of the update machine, which changes in the same write.
    pub notes: String,
}

impl VersionSlots {
    /// Every version that must stay on disk.
    pub fn needed(&self) -> impl Iterator<Item = Digest> + '_ {
        let slots = [&self.active, &self.previous].into_iter().flatten().map(|slot| slot.digest);
        slots.chain(self.trial).chain(self.staged)
    }
}

impl Store {
    /// The slots of a model; empty if there are none, or if they are corrupt.
    ///
    /// # Errors
    /// The disk failed.
    pub fn slots(&mut self, model: &ModelName) -> Result<VersionSlots, StoreError> {
        let Some(bytes) = self.get(&key(model))? else { return Ok(VersionSlots::default()) };
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            log::error!("the version record of model {model} is corrupt and was reset: {error}");
            VersionSlots::default()
        }))
    }

    /// Replaces the slots of a model atomically. Durable when this returns.
    ///
    /// # Errors
    /// The disk is full or failed: the previous slots are unchanged.
    pub fn set_slots(&mut self, model: &ModelName, slots: &VersionSlots) -> Result<(), StoreError> {
        // Names, digests and text always serialize.
        let bytes = serde_json::to_vec(slots).unwrap_or_default();
        self.put(&key(model), &bytes)
    }

    /// Every version that one of these models needs, for [`super::ModelStore::sweep`].
    ///
    /// # Errors
    /// The disk failed: then nothing may be swept.
    pub fn versions_needed<'a>(
        &mut self,
        models: impl IntoIterator<Item = &'a ModelName>,
    ) -> Result<BTreeSet<Digest>, StoreError> {
        let mut needed = BTreeSet::new();
        for model in models {
            needed.extend(self.slots(model)?.needed());
        }
        Ok(needed)
    }
}

fn key(model: &ModelName) -> String {
    format!("slots/{model}")
}
