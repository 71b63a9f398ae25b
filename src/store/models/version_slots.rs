//! Which versions of a model are in use: one piece of small state a model, changed by one durable
//! write.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, ModelName};
use crate::store::{Store, StoreError};

/// Refused versions that are remembered; the oldest go first.
const REFUSED_MAX: usize = 64;

/// A version in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSlot {
    pub digest: Digest,
    /// As the card of its bundle says.
    pub version: String,
}

/// What is known of one model's versions. `None` in a slot is the shipped model, which is always
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionSlots {
    /// What is loaded at a start.
    pub active: Option<VersionSlot>,
    /// What served before it: kept whole, to go back to.
    pub previous: Option<VersionSlot>,
    /// The active version while it has not proved itself.
    pub trial: Option<Digest>,
    /// A version that is being written: kept though it is not whole.
    pub staged: Option<Digest>,
    /// Versions that failed here and are not taken again.
    pub refused: Vec<Digest>,
    /// The update machine's own notes, which change in the same write.
    pub notes: String,
}

impl VersionSlots {
    /// Every version that must stay on disk.
    pub fn needed(&self) -> impl Iterator<Item = Digest> + '_ {
        let slots = [&self.active, &self.previous].into_iter().flatten().map(|slot| slot.digest);
        slots.chain(self.trial).chain(self.staged)
    }

    /// Remembers a version as one not to take again.
    pub fn refuse(&mut self, digest: Digest) {
        self.refused.retain(|refused| *refused != digest);
        self.refused.push(digest);
        let surplus = self.refused.len().saturating_sub(REFUSED_MAX);
        self.refused.drain(..surplus);
    }

    #[must_use]
    pub fn refuses(&self, digest: Digest) -> bool {
        self.refused.contains(&digest)
    }
}

impl Store {
    /// The slots of a model; empty where none were written, or where they do not read back.
    ///
    /// # Errors
    /// The disk failed.
    pub fn slots(&mut self, model: &ModelName) -> Result<VersionSlots, StoreError> {
        let Some(bytes) = self.get(&key(model))? else { return Ok(VersionSlots::default()) };
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            log::error!("the slots of model {model} do not read back, it starts anew: {error}");
            VersionSlots::default()
        }))
    }

    /// Changes the slots of a model, all at once. Durable when this returns.
    ///
    /// # Errors
    /// The disk is full or failed: what was there before is still there.
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
