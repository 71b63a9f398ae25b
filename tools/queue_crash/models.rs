//! The same for model versions: each is stored, made active, and replaced by the next.
//!
//! A version is a number and noise. It is acknowledged when it is stored; it is started only when the
//! slots durably name the one before it, and what no slot names any more is removed.

use std::collections::BTreeSet;
use std::path::Path;

use inferd::ids::{Digest, ModelName};
use inferd::store::Store;
use inferd::store::models::ModelStore;
use inferd::update::{StagedVersion, VersionSlot};
use sha2::{Digest as _, Sha256};

use crate::{Failure, say, settings};

pub(crate) fn write(dir: &Path, rounds: u64) -> Result<(), Failure> {
    let (mut store, _) = Store::open(&settings(dir))?;
    let versions = ModelStore::open(&settings(dir))?;
    let first = numbers(&versions)?.last().map_or(0, |last| last + 1);
    for number in first..first + rounds {
        replace(&mut store, &versions, number)?;
    }
    std::process::abort()
}

fn replace(store: &mut Store, versions: &ModelStore, number: u64) -> Result<(), Failure> {
    let (model, bytes) = (model(), bytes(number));
    let digest = Digest(Sha256::digest(&bytes).into());
    let mut record = store.version_record(&model)?;
    record.slots.candidate = Some(StagedVersion { manifest: digest, digest });
    store.set_version_record(&model, &record)?;
    say(&format!("TRY {number} {number}"));
    let mut writer = versions.begin(digest, bytes.len() as u64)?;
    writer.put(0, &bytes)?;
    writer.finish()?;
    say(&format!("ACK {number}"));
    let (manifest, version) = (digest, number.to_string());
    record.slots.activate(Some(VersionSlot { manifest, digest, version, counter: number }));
    store.set_version_record(&model, &record)?;
    if let Some(gone) = number.checked_sub(2) {
        say(&format!("DEL {gone}"));
        versions.sweep(&record.slots.needed().collect())?;
        say(&format!("DELD {gone}"));
    }
    Ok(())
}

/// Says what reads back whole, and `POST slots BAD` where a slot names what does not, or where the
/// slots are older than a version that was started after them.
pub(crate) fn check(dir: &Path) -> Result<(), Failure> {
    let (mut store, _) = Store::open(&settings(dir))?;
    let versions = ModelStore::open(&settings(dir))?;
    let whole = numbers(&versions)?;
    crate::say_state(&whole.iter().copied().collect::<Vec<_>>(), 0);
    let slots = store.version_record(&model())?.slots;
    let active = slots.active.as_ref().and_then(|slot| slot.version.parse::<u64>().ok());
    let due = whole.last().and_then(|last| last.checked_sub(1));
    let mut bad = active < due;
    for slot in slots.versions() {
        let read = versions.read(slot.digest);
        let is_it = read.is_ok_and(|read| number(read.bytes()).to_string() == slot.version);
        bad |= !is_it;
    }
    if bad {
        say(&format!("POST slots BAD {active:?} of {whole:?}"));
    }
    // An update must also go on working.
    let next = whole.last().map_or(0, |last| last + 1);
    let bytes = bytes(next);
    let digest = Digest(Sha256::digest(&bytes).into());
    let mut writer = versions.begin(digest, bytes.len() as u64)?;
    writer.put(0, &bytes)?;
    writer.finish()?;
    Ok(versions.remove(digest)?)
}

/// Of all versions that count.
fn numbers(versions: &ModelStore) -> Result<BTreeSet<u64>, Failure> {
    let mut numbers = BTreeSet::new();
    for held in versions.held()?.iter().filter(|held| held.size.is_some()) {
        numbers.insert(number(versions.read(held.digest)?.bytes()));
    }
    Ok(numbers)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(u64::MAX, |number| u64::from_le_bytes(*number))
}

fn bytes(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    let mut bytes = vec![0; random.usize(8..120_000)];
    random.fill(&mut bytes);
    bytes.splice(..8, number.to_le_bytes());
    bytes
}

#[expect(clippy::unwrap_used, reason = "the name is one")]
fn model() -> ModelName {
    ModelName::parse("motion").unwrap()
}
