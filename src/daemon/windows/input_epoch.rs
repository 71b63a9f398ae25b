//! Loads and saves the input epoch, which is part of the ids of received messages.

use crate::store::Store;

const KEY: &str = "inputs";

/// The epoch that the last process saved. Without one, a random epoch beyond those that a counter
/// reaches.
pub(crate) fn load(store: Option<&mut Store>) -> u64 {
    let Some(store) = store else { return random() };
    let kept = store.get(KEY).unwrap_or_else(|error| {
        log::warn!("cannot read {KEY}: {error}");
        None
    });
    let epoch = kept.and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    epoch.unwrap_or_else(|| {
        let epoch = random();
        save(Some(store), epoch);
        epoch
    })
}

/// Saves the epoch. If that fails, a result of one of the next 16,384 inputs may have another id
/// when it is made again after a crash; nothing is lost.
pub(crate) fn save(store: Option<&mut Store>, epoch: u64) {
    match store.map(|store| store.put(KEY, &epoch.to_le_bytes())) {
        Some(Ok(())) => {}
        Some(Err(error)) => log::warn!("cannot save {KEY}: {error}"),
        None => log::debug!("cannot save {KEY}: the store is closed"),
    }
}

fn random() -> u64 {
    fastrand::u64(..1 << 40)
}
