//! Restores the update machines at a start. Every start with a version on trial counts as a try,
//! and is counted before that version is loaded: a version that crashes the daemon is rolled back,
//! too.

use std::fs;
use std::path::Path;

use super::record_store::{self, DigestMap};
use crate::VERSION;
use crate::clock::Now;
use crate::config::Config;
use crate::failpoints;
use crate::ids::{Digest, ModelName};
use crate::procfs;
use crate::store::models::VersionSlots;
use crate::store::{Settings as StoreSettings, Store, StoreError, chunks};
use crate::update::Trust;
use crate::update::machine::{Effect, Settings, UpdateMachine};

/// Bytes of a keyset.
const MAX_KEYSET_BYTES: u64 = 64 << 10;

/// The update machine of one model, restored and not running yet.
#[derive(Debug)]
pub(crate) struct RestoredMachine {
    pub(super) model: ModelName,
    pub(super) device: UpdateMachine,
    pub(super) digests: DigestMap,
    /// Effects of the start that are still to be executed.
    pub(super) effects: Vec<Effect>,
    /// The active version of the slots.
    pub(super) active: Option<Digest>,
}

impl RestoredMachine {
    /// The version of the keyset that would follow the one in use.
    pub(super) fn next_keyset(&self) -> u64 {
        self.device.trust().keyset().version.saturating_add(1)
    }
}

/// Restores the machines of these models; none if updates are off or cannot be stored.
pub(crate) fn restore(
    config: &Config,
    models: impl IntoIterator<Item = ModelName>,
    store: Option<&mut Store>,
    now: Now,
) -> Vec<RestoredMachine> {
    let Some(path) = &config.updates.keyset else { return Vec::new() };
    let off = |why: &dyn std::fmt::Display| {
        log::error!("updates are off until the next start: {why}");
        Vec::new()
    };
    let Some(store) = store else { return off(&"the store is closed") };
    let trust = match provisioned(path) {
        Ok(trust) => trust,
        Err(why) => return off(&why),
    };
    let models: Vec<ModelName> = models.into_iter().collect();
    if let Err(error) = chunks::forget_others(&StoreSettings::from(&config.store), &models) {
        log::warn!("chunks of other models stay on disk: {error}");
    }
    let restored = models.into_iter().map(|model| restored(config, model, &trust, store, now));
    match restored.collect::<Result<Vec<RestoredMachine>, String>>() {
        Ok(restored) => restored,
        Err(why) => off(&why),
    }
}

/// Reads the keyset that the gateway was provisioned with.
pub(crate) fn provisioned(path: &Path) -> Result<Trust, String> {
    let problem = |why: String| format!("the keyset {}: {why}", path.display());
    let size = fs::metadata(path).map_err(|error| problem(error.to_string()))?.len();
    if size > MAX_KEYSET_BYTES {
        return Err(problem(format!("file is not a keyset ({size} bytes)")));
    }
    let bytes = fs::read(path).map_err(|error| problem(error.to_string()))?;
    Trust::provisioned(&bytes).map_err(|error| problem(error.to_string()))
}

fn restored(
    config: &Config,
    model: ModelName,
    trust: &Trust,
    store: &mut Store,
    now: Now,
) -> Result<RestoredMachine, String> {
    let problem = |why: &dyn std::fmt::Display| format!("model {model}: {why}");
    let slots = store.slots(&model).map_err(|error| problem(&error))?;
    let (record, mut digests) = record_store::read(&slots);
    let settings = Settings {
        gateway: config.gateway.id.clone(),
        groups: config.gateway.groups.clone(),
        model: model.clone(),
        version: VERSION.to_owned(),
        arch: std::env::consts::ARCH,
        ram_mb: ram_mb(),
        max_bytes_per_s: config.updates.max_bytes_per_s,
        seed: fastrand::u64(..),
    };
    let device = UpdateMachine::new(settings, trust.clone(), record);
    let mut device = device.map_err(|error| problem(&error))?;
    let mut effects = Vec::new();
    device.start(now, &mut effects);
    let mut draft_slots = slots;
    save_first(&mut effects, &device, &model, store, &mut draft_slots, &mut digests);
    if device.record().job.is_none() && draft_slots.staged.is_some() {
        // Written for a local command that was not completed: the sweep of the start removes it.
        record_store::write(&mut draft_slots, device.record(), &mut digests, None);
        if let Err(error) = store.set_slots(&model, &draft_slots) {
            log::warn!("model {model}: {error}");
        }
    }
    let active = draft_slots.active.map(|slot| slot.digest);
    Ok(RestoredMachine { model, device, digests, effects, active })
}

/// Executes the writes that a start begins with. The running machine repeats one that fails.
fn save_first(
    effects: &mut Vec<Effect>,
    device: &UpdateMachine,
    model: &ModelName,
    store: &mut Store,
    slots: &mut VersionSlots,
    digests: &mut DigestMap,
) {
    let mut saved = 0;
    for effect in effects.iter() {
        let Effect::Save(record) = effect else { break };
        let candidate = device.deployment().map(|deployment| deployment.manifest.sha256);
        record_store::write(slots, record, digests, candidate);
        let kept: Result<(), StoreError> = store.set_slots(model, slots);
        if let Err(error) = kept {
            log::error!("model {model}: {error}");
            break;
        }
        saved += 1;
        failpoints::point("update-woken");
    }
    effects.drain(..saved);
}

/// The memory of this machine in megabytes; unlimited if the system does not report it.
fn ram_mb() -> u64 {
    procfs::ram_bytes().map_or(u64::MAX, |bytes| bytes >> 20)
}
