//! The versions of a model that are in use: one model for the update machine, the store and the
//! daemon.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// A version in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSlot {
    /// The SHA-256 of its manifest, which names every byte; `digest` if it has no manifest.
    pub manifest: Digest,
    /// The SHA-256 of its bytes in the model store.
    pub digest: Digest,
    /// The version in its card.
    pub version: String,
    /// The counter of its release; 0 if that is not known.
    pub counter: u64,
}

/// A version that is in the model store, or being written to it, and was not active yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedVersion {
    pub manifest: Digest,
    pub digest: Digest,
}

/// The slots of one model. `None` in `active` or `previous` is the built-in version, which always
/// exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSlots {
    /// The version that is loaded at start-up.
    pub active: Option<VersionSlot>,
    /// The version that was active before: the target of a rollback.
    pub previous: Option<VersionSlot>,
    /// The version that an update is about to activate: kept although it may be incomplete.
    pub candidate: Option<StagedVersion>,
}

impl VersionSlots {
    /// The active version, then the previous one.
    pub fn versions(&self) -> impl Iterator<Item = &VersionSlot> {
        [&self.active, &self.previous].into_iter().flatten()
    }

    /// Every version that must stay in the model store.
    pub fn needed(&self) -> impl Iterator<Item = Digest> + '_ {
        let candidate = self.candidate.map(|candidate| candidate.digest);
        self.versions().map(|slot| slot.digest).chain(candidate)
    }

    /// Makes a version active; the one that was active becomes the previous one.
    pub fn activate(&mut self, slot: Option<VersionSlot>) {
        if self.active != slot {
            self.previous = std::mem::replace(&mut self.active, slot);
        }
        self.candidate = None;
    }

    /// The slot of a stored version: as it is known here, else without a release.
    #[must_use]
    pub fn slot_of(&self, digest: Digest, version: String) -> VersionSlot {
        let candidate = self.candidate.filter(|candidate| candidate.digest == digest);
        let manifest = candidate.map_or(digest, |candidate| candidate.manifest);
        let known = self.versions().find(|slot| slot.digest == digest).cloned();
        known.unwrap_or(VersionSlot { manifest, digest, version, counter: 0 })
    }
}
