//! Stores the record of the update machine together with the slots, in one write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::store::models::{VersionSlot as Stored, VersionSlots};
use crate::update::machine::{Record, Slot, State};

/// Maps the digest of a version's manifest, which the machine uses, to the digest of its bytes,
/// which the model store uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DigestMap(BTreeMap<Digest, Digest>);

impl DigestMap {
    /// The digest in the store: the same one, for a version without a manifest.
    pub(super) fn stored(&self, manifest: Digest) -> Digest {
        self.0.get(&manifest).copied().unwrap_or(manifest)
    }

    /// The digest of the manifest.
    pub(super) fn manifest(&self, stored: Digest) -> Digest {
        let known = self.0.iter().find(|(_, digest)| **digest == stored);
        known.map_or(stored, |(manifest, _)| *manifest)
    }

    pub(super) fn insert(&mut self, manifest: Digest, stored: Digest) {
        self.0.insert(manifest, stored);
    }

    /// Removes all versions but these.
    fn retain(&mut self, needed: &[Option<Digest>]) {
        self.0.retain(|manifest, _| needed.contains(&Some(*manifest)));
    }
}

/// [`VersionSlots::notes`] as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct StoredRecord {
    record: Record,
    /// Stored under the name of the first version.
    #[serde(rename = "names")]
    digests: DigestMap,
}

/// Reads the record. If the slots were changed while updates were off, the record follows them.
pub(super) fn read(slots: &VersionSlots) -> (Record, DigestMap) {
    let notes = match slots.notes.as_str() {
        "" => StoredRecord::default(),
        text => serde_json::from_str(text).unwrap_or_else(|error| {
            log::error!("the stored state of an update is corrupt and was reset: {error}");
            StoredRecord::default()
        }),
    };
    let StoredRecord { mut record, digests } = notes;
    let stored = |slot: &Option<Slot>| slot.as_ref().map(|slot| digests.stored(slot.manifest));
    if stored(&record.active) != slots.active.as_ref().map(|slot| slot.digest) {
        let slot = |slot: &Option<Stored>| {
            let Stored { digest, version } = slot.as_ref()?;
            let (manifest, version) = (digests.manifest(*digest), version.clone());
            Some(Slot { manifest, version, counter: 0 })
        };
        record.active = slot(&slots.active);
        record.previous = slot(&slots.previous);
        record.job = None;
    }
    (record, digests)
}

/// Puts the record into the slots. `candidate`: the version that is being checked or written.
pub(super) fn write(
    slots: &mut VersionSlots,
    record: &Record,
    digests: &mut DigestMap,
    candidate: Option<Digest>,
) {
    let manifest = |slot: &Option<Slot>| slot.as_ref().map(|slot| slot.manifest);
    digests.retain(&[manifest(&record.active), manifest(&record.previous), candidate]);
    let stored = |slot: &Option<Slot>| {
        let slot = slot.as_ref()?;
        Some(Stored { digest: digests.stored(slot.manifest), version: slot.version.clone() })
    };
    slots.active = stored(&record.active);
    slots.previous = stored(&record.previous);
    let on_trial = record.job.as_ref().is_some_and(|job| job.stage == State::Trial);
    slots.trial = slots.active.as_ref().filter(|_| on_trial).map(|slot| slot.digest);
    let staged = candidate.filter(|_| !on_trial).and_then(|manifest| digests.0.get(&manifest));
    slots.staged = staged.copied();
    let notes = StoredRecord { record: record.clone(), digests: digests.clone() };
    // Digests, numbers and text always serialize.
    slots.notes = serde_json::to_string(&notes).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::machine::Job;

    fn slot(manifest: u8) -> Option<Slot> {
        let version = format!("1.{manifest}");
        Some(Slot { manifest: Digest([manifest; 32]), version, counter: manifest.into() })
    }

    fn record(stage: State) -> Record {
        let job = Some(Job { order: "an envelope".into(), stage, tries: 1, paused: false });
        Record { active: slot(2), previous: slot(1), min_counter: 1, job, ..Record::default() }
    }

    #[test]
    fn one_write_holds_slots_and_record_and_reads_back() {
        let mut digests = DigestMap::default();
        [1, 2, 3].iter().for_each(|n| digests.insert(Digest([*n; 32]), Digest([*n + 10; 32])));
        let mut slots = VersionSlots::default();
        let fetching = record(State::Fetching);
        write(&mut slots, &fetching, &mut digests, Some(Digest([3; 32])));
        let digest = |slot: &Option<Stored>| slot.as_ref().unwrap().digest;
        assert_eq!(digest(&slots.active), Digest([12; 32]));
        assert_eq!(digest(&slots.previous), Digest([11; 32]));
        assert_eq!((slots.trial, slots.staged), (None, Some(Digest([13; 32]))));
        assert_eq!(read(&slots), (fetching, digests.clone()));
        write(&mut slots, &record(State::Trial), &mut digests, Some(Digest([2; 32])));
        assert_eq!((slots.trial, slots.staged), (Some(Digest([12; 32])), None));
        assert_eq!(digests.0.len(), 2, "only what is in use is remembered");
    }

    #[test]
    fn slots_that_were_changed_without_the_machine_are_right() {
        let (mut slots, mut digests) = (VersionSlots::default(), DigestMap::default());
        write(&mut slots, &record(State::Trial), &mut digests, None);
        slots.previous = slots.active.take();
        let (record, _) = read(&slots);
        assert_eq!((record.active, record.job), (None, None));
        assert_eq!(record.previous.unwrap().manifest, Digest([2; 32]));
        assert_eq!(record.min_counter, 1);
    }

    #[test]
    fn a_corrupt_record_is_reset() {
        let slots = VersionSlots { notes: "{".into(), ..VersionSlots::default() };
        assert_eq!(read(&slots), (Record::default(), DigestMap::default()));
    }
}
