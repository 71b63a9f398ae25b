//! The record of a model as it is stored: JSON in the form of the first version of inferd.
//!
//! The outer object names versions by the digest of their bytes. `notes`, a text with JSON, names
//! them by their manifests, and `names` maps one to the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::ids::Digest;
use crate::update::slots::{StagedVersion, VersionSlot, VersionSlots};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    active: Option<StoredSlot>,
    previous: Option<StoredSlot>,
    /// The active version while it is on trial.
    trial: Option<Digest>,
    staged: Option<Digest>,
    notes: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSlot {
    digest: Digest,
    version: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Notes {
    record: NotedRecord,
    /// Manifest to stored bytes.
    names: BTreeMap<Digest, Digest>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct NotedRecord {
    active: Option<NotedSlot>,
    previous: Option<NotedSlot>,
    #[serde(flatten)]
    record: Record,
}

#[derive(Debug, Serialize, Deserialize)]
struct NotedSlot {
    manifest: Digest,
    version: String,
    counter: u64,
}

impl Notes {
    fn slot(&self, slot: &NotedSlot) -> VersionSlot {
        let NotedSlot { manifest, version, counter } = slot;
        let digest = self.names.get(manifest).unwrap_or(manifest);
        VersionSlot {
            manifest: *manifest,
            digest: *digest,
            version: version.clone(),
            counter: *counter,
        }
    }

    fn staged(&self, digest: Digest) -> StagedVersion {
        let named = self.names.iter().find(|(_, stored)| **stored == digest);
        StagedVersion { manifest: named.map_or(digest, |(manifest, _)| *manifest), digest }
    }

    fn slots(&self, staged: Option<Digest>) -> VersionSlots {
        VersionSlots {
            active: self.record.active.as_ref().map(|slot| self.slot(slot)),
            previous: self.record.previous.as_ref().map(|slot| self.slot(slot)),
            candidate: staged.map(|digest| self.staged(digest)),
        }
    }
}

impl Record {
    /// Reads a stored record. The text says what was corrupt and has been reset.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> (Self, Option<String>) {
        let stored: Stored = match serde_json::from_slice(bytes) {
            Ok(stored) => stored,
            Err(error) => {
                let why = format!("the version record is corrupt and was reset: {error}");
                return (Self::default(), Some(why));
            }
        };
        let (notes, corrupt) = match stored.notes.as_str() {
            "" => (Notes::default(), None),
            text => match serde_json::from_str(text) {
                Ok(notes) => (notes, None),
                Err(error) => {
                    let why = format!("the state of an update is corrupt and was reset: {error}");
                    (Notes::default(), Some(why))
                }
            },
        };
        let mut slots = notes.slots(stored.staged);
        let mut record = notes.record.record;
        let active = stored.active.as_ref().map(|slot| slot.digest);
        if slots.active.as_ref().map(|slot| slot.digest) != active {
            // An earlier inferd changed the slots while its updates were off.
            let slot = |slot: StoredSlot| slots.slot_of(slot.digest, slot.version);
            let (active, previous) = (stored.active.map(slot), stored.previous.map(slot));
            (slots.active, slots.previous) = (active, previous);
            record.job = None;
            record.committed = None;
        }
        (Self { slots, ..record }, corrupt)
    }

    /// The record as it is stored.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        let VersionSlots { active, previous, candidate } = &self.slots;
        let staged = candidate.iter().map(|staged| (staged.manifest, staged.digest));
        let named = self.slots.versions().map(|slot| (slot.manifest, slot.digest)).chain(staged);
        let notes = Notes {
            record: NotedRecord {
                active: active.as_ref().map(NotedSlot::from),
                previous: previous.as_ref().map(NotedSlot::from),
                record: self.clone(),
            },
            names: named.filter(|(manifest, digest)| manifest != digest).collect(),
        };
        let stored = Stored {
            active: active.as_ref().map(StoredSlot::from),
            previous: previous.as_ref().map(StoredSlot::from),
            trial: active.as_ref().filter(|_| self.is_on_trial()).map(|slot| slot.digest),
            staged: candidate.map(|staged| staged.digest),
            // Digests, numbers and text always serialize.
            notes: serde_json::to_string(&notes).unwrap_or_default(),
        };
        serde_json::to_vec(&stored).unwrap_or_default()
    }
}

impl From<&VersionSlot> for StoredSlot {
    fn from(slot: &VersionSlot) -> Self {
        Self { digest: slot.digest, version: slot.version.clone() }
    }
}

impl From<&VersionSlot> for NotedSlot {
    fn from(slot: &VersionSlot) -> Self {
        Self { manifest: slot.manifest, version: slot.version.clone(), counter: slot.counter }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::record::Job;
    use super::super::types::State;
    use super::*;

    fn digest(of: u8) -> Digest {
        Digest([of; 32])
    }

    fn slot(manifest: u8) -> Option<VersionSlot> {
        let (version, counter) = (format!("1.{manifest}"), manifest.into());
        let (manifest, digest) = (digest(manifest), digest(manifest + 10));
        Some(VersionSlot { manifest, digest, version, counter })
    }

    fn record(stage: State) -> Record {
        let job = Some(Job { order: "an envelope".into(), stage, tries: 1, paused: false });
        let slots = VersionSlots { active: slot(2), previous: slot(1), candidate: None };
        Record { slots, min_counter: 1, job, ..Record::default() }
    }

    fn json_of(record: &Record) -> Value {
        serde_json::from_slice(&record.to_stored()).unwrap()
    }

    #[test]
    fn the_stored_form_is_that_of_the_first_version() {
        let mut fetching = record(State::Fetching);
        fetching.slots.candidate = Some(StagedVersion { manifest: digest(3), digest: digest(13) });
        let stored = json_of(&fetching);
        assert_eq!(stored["active"], json!({"digest": digest(12), "version": "1.2"}));
        assert_eq!(stored["previous"]["digest"], json!(digest(11)));
        assert_eq!((&stored["trial"], &stored["staged"]), (&Value::Null, &json!(digest(13))));
        let notes: Value = serde_json::from_str(stored["notes"].as_str().unwrap()).unwrap();
        let active = json!({"manifest": digest(2), "version": "1.2", "counter": 2});
        assert_eq!((&notes["record"]["active"], &notes["record"]["floor"]), (&active, &json!(1)));
        assert_eq!(notes["record"]["slots"], Value::Null);
        assert_eq!(notes["names"][digest(3).to_string()], json!(digest(13)));
        assert_eq!(notes["names"].as_object().unwrap().len(), 3);
        assert_eq!(Record::from_stored(&fetching.to_stored()), (fetching, None));

        let trial = record(State::Trial);
        let stored = json_of(&trial);
        assert_eq!((&stored["trial"], &stored["staged"]), (&json!(digest(12)), &Value::Null));
        assert_eq!(Record::from_stored(&trial.to_stored()), (trial, None));
    }

    #[test]
    fn slots_that_an_earlier_inferd_changed_without_updates_are_right() {
        let mut stored = json_of(&record(State::Trial));
        stored["previous"] = stored["active"].take();
        let (read, corrupt) = Record::from_stored(stored.to_string().as_bytes());
        assert_eq!((&read.slots.active, &read.job, corrupt), (&None, &None, None));
        assert_eq!((read.slots.previous, read.min_counter), (slot(2), 1));
        // A version that no update has brought is named by its bytes.
        stored["active"] = json!({"digest": digest(9), "version": "2.0"});
        let (read, _) = Record::from_stored(stored.to_string().as_bytes());
        assert_eq!(read.slots.active.unwrap().manifest, digest(9));
    }

    #[test]
    fn what_is_corrupt_is_reset_and_reported() {
        let with_notes = json!({"active": {"digest": digest(9), "version": "2.0"}, "notes": "{"});
        let (read, corrupt) = Record::from_stored(with_notes.to_string().as_bytes());
        assert_eq!(read.slots.active.unwrap().version, "2.0");
        assert!(corrupt.unwrap().contains("state of an update"));
        let (read, corrupt) = Record::from_stored(b"{\"active\": 7}");
        assert_eq!(read, Record::default(), "the built-in version is active");
        assert!(corrupt.is_some());
        // The first versions of inferd wrote a list of refused versions, too.
        assert_eq!(Record::from_stored(b"{\"refused\": []}"), (Record::default(), None));
    }
}
