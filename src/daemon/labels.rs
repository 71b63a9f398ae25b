//! Remembered predictions and their outcomes, saved so that labels find their predictions after a
//! restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Stream;
use crate::ids::StreamName;
use crate::pipeline::Pipeline;
use crate::store::Store;
use crate::store::handle::{Busy, StoreHandle};

/// The remembered predictions of one stream as they were between two steps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedLabels {
    pub(crate) stream: usize,
    pub(crate) bytes: Vec<u8>,
}

/// The key of a stream's remembered predictions in the store.
fn labels_key(stream: &StreamName) -> String {
    format!("labels/{stream}")
}

/// Restores what the last stop or the last save wrote. What cannot be read is logged and left out.
pub(crate) fn restore_labels(pipeline: &mut Pipeline, stream: &Stream, store: &mut Store) {
    let key = labels_key(&stream.name);
    if stream.labels.is_none() {
        return remove(&key, store);
    }
    match store.get(&key) {
        Ok(Some(saved)) => {
            if let Err(error) = pipeline.restore_labels(&saved) {
                log::warn!("stream {}: {error}; their labels are not counted", stream.name);
            }
        }
        Ok(None) => {}
        Err(error) => log::warn!("cannot read {key}: {error}"),
    }
}

/// The stream has no labels any more.
fn remove(key: &str, store: &mut Store) {
    let exists = store.get(key).is_ok_and(|saved| saved.is_some());
    if exists && let Err(error) = store.write_batch(&[], &[key.to_owned()]) {
        log::warn!("cannot remove {key}: {error}");
    }
}

/// Saves remembered predictions on behalf of the delivery loop.
pub(crate) struct LabelPersister {
    /// By stream index: the key in the store.
    keys: Vec<String>,
    /// What the store had no room for, by stream.
    pending: BTreeMap<usize, Vec<u8>>,
    store: StoreHandle,
}

impl LabelPersister {
    pub(crate) fn new(streams: &[Stream], store: StoreHandle) -> Self {
        let keys = streams.iter().map(|stream| labels_key(&stream.name)).collect();
        Self { keys, pending: BTreeMap::new(), store }
    }

    /// Saves these, or keeps them until [`Self::save_pending`] if the store does not keep up.
    pub(crate) fn save(&mut self, saved: SavedLabels) {
        let Some(key) = self.keys.get(saved.stream).cloned() else { return };
        let bytes = Arc::new(saved.bytes);
        let shared = bytes.clone();
        let save = move |store: Option<&mut Store>| match store.map(|it| it.put(&key, &shared)) {
            Some(Ok(())) => log::debug!("saved {key}"),
            Some(Err(error)) => log::warn!("cannot save {key}: {error}"),
            None => log::warn!("cannot save {key}: the store is closed"),
        };
        if let Err(Busy) = self.store.run(save)
            && let Some(bytes) = Arc::into_inner(bytes)
        {
            self.pending.insert(saved.stream, bytes);
        }
    }

    /// Tries again what the store had no room for.
    pub(crate) fn save_pending(&mut self) {
        for (stream, bytes) in std::mem::take(&mut self.pending) {
            self.save(SavedLabels { stream, bytes });
        }
    }
}
