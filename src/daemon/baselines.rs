//! Baselines that streams have learned or are learning, kept over restarts.

use std::sync::Arc;

use super::inference::drift::{LearnedBaseline, LearningProgress};
use crate::config::Stream;
use crate::drift::Baseline;
use crate::ids::{Digest, StreamName};
use crate::store::Store;
use crate::store::handle::StoreHandle;

const DIGEST_BYTES: usize = 32;

fn key(stream: &StreamName) -> String {
    format!("baseline/{stream}")
}

/// The baseline that a stream learned with this model. What cannot be read is logged and learned
/// again.
pub(crate) fn load(store: &mut Store, stream: &StreamName, model: Digest) -> Option<Arc<Baseline>> {
    let key = key(stream);
    let saved = store.get(&key).unwrap_or_else(|error| {
        log::warn!("cannot read {key}: {error}");
        None
    })?;
    let (digest, bytes) = saved.split_at_checked(DIGEST_BYTES)?;
    if digest != model.0.as_slice() {
        return None;
    }
    let baseline = Baseline::read(bytes);
    baseline.inspect_err(|error| log::warn!("{key} is learned again: {error}")).ok().map(Arc::new)
}

fn progress_key(stream: &StreamName) -> String {
    format!("learning/{stream}")
}

/// What a stream had learned with this model when it stopped, or an hour before a crash.
pub(crate) fn load_progress(
    store: &mut Store,
    stream: &StreamName,
    model: Digest,
) -> Option<Vec<u8>> {
    let key = progress_key(stream);
    let saved = store.get(&key).unwrap_or_else(|error| {
        log::warn!("cannot read {key}: {error}");
        None
    })?;
    let (digest, bytes) = saved.split_at_checked(DIGEST_BYTES)?;
    (digest == model.0.as_slice()).then(|| bytes.to_vec())
}

/// Saves what a stream has learned so far. If that fails, a restart begins it again.
pub(crate) fn save_progress(store: &StoreHandle, streams: &[Stream], progress: LearningProgress) {
    let Some(stream) = streams.get(progress.stream) else { return };
    let key = progress_key(&stream.name);
    let bytes = [progress.model.0.as_slice(), &progress.bytes].concat();
    put(store, key, bytes, Vec::new());
}

/// Saves a learned baseline. If that fails it is learned again after a restart.
pub(crate) fn save(store: &StoreHandle, streams: &[Stream], learned: &LearnedBaseline) {
    let Some(stream) = streams.get(learned.stream) else { return };
    let key = key(&stream.name);
    let bytes = match learned.baseline.write() {
        Ok(bytes) => [learned.model.0.as_slice(), &bytes].concat(),
        Err(error) => return log::warn!("cannot save {key}: {error}"),
    };
    put(store, key, bytes, vec![progress_key(&stream.name)]);
}

/// Writes a value, then removes `outdated` keys.
fn put(store: &StoreHandle, key: String, bytes: Vec<u8>, outdated: Vec<String>) {
    let name = key.clone();
    let write = move |store: &mut Store| {
        store.put(&name, &bytes)?;
        if outdated.is_empty() { Ok(()) } else { store.write_batch(&[], &outdated) }
    };
    let name = key.clone();
    let put = move |store: Option<&mut Store>| match store.map(write) {
        Some(Ok(())) => log::debug!("saved {name}"),
        Some(Err(error)) => log::warn!("cannot save {name}: {error}"),
        None => log::warn!("cannot save {name}: the store is closed"),
    };
    if store.run(put).is_err() {
        log::warn!("cannot save {key}: the store does not keep up");
    }
}
