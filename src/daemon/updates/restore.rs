//! Restores the update machines at a start. Every start with a version on trial counts as a try,
//! and is counted before that version is loaded: a version that crashes the daemon is rolled back,
//! too.

use std::fs;
use std::path::Path;

use crate::VERSION;
use crate::clock::Now;
use crate::config::Config;
use crate::failpoints;
use crate::ids::{Digest, ModelName};
use crate::procfs;
use crate::store::{Settings as StoreSettings, Store, chunks};
use crate::update::Trust;
use crate::update::machine::{Effect, Settings, UpdateMachine};

/// Bytes of a keyset.
const MAX_KEYSET_BYTES: u64 = 64 << 10;

/// The update machine of one model, restored and not running yet.
#[derive(Debug)]
pub(crate) struct RestoredMachine {
    pub(super) model: ModelName,
    pub(super) device: UpdateMachine,
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
    let record = store.version_record(&model).map_err(|error| problem(&error))?;
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
    save_first(&mut effects, &model, store);
    let active = device.record().slots.active.as_ref().map(|slot| slot.digest);
    Ok(RestoredMachine { model, device, effects, active })
}

/// Executes the writes that a start begins with. The running machine repeats one that fails.
fn save_first(effects: &mut Vec<Effect>, model: &ModelName, store: &mut Store) {
    let mut saved = 0;
    for effect in effects.iter() {
        let Effect::Save(record) = effect else { break };
        if let Err(error) = store.set_version_record(model, record) {
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
