//! Writes partial windows to the store, each once the results before it are safe.

use std::sync::Arc;

use super::journal_state::SharedJournal;
use super::pending_saves::PendingSaves;
use super::{SavedWindows, windows_key};
use crate::config::Stream;
use crate::link::LinkHandle;
use crate::message::AckToken;
use crate::store::Store;
use crate::store::handle::{Busy, StoreHandle};

/// Saves partial windows on behalf of the delivery loop.
pub(crate) struct WindowPersister {
    /// By stream index: the key in the store, and the journal.
    streams: Vec<(String, SharedJournal)>,
    pending: PendingSaves,
    store: StoreHandle,
    link: LinkHandle,
}

impl WindowPersister {
    pub(crate) fn new(
        streams: &[Stream],
        journals: &[SharedJournal],
        store: StoreHandle,
        link: LinkHandle,
    ) -> Self {
        let keys = streams.iter().map(|stream| windows_key(&stream.name));
        let streams = keys.zip(journals.iter().cloned()).collect();
        Self { streams, pending: PendingSaves::default(), store, link }
    }

    /// A worker made a result of this input.
    pub(crate) fn on_result(&mut self, input: Option<AckToken>) {
        self.pending.on_result(input);
    }

    /// A result of this input is safe.
    pub(crate) fn on_released(&mut self, input: AckToken) {
        self.pending.on_released(input);
        self.save_ready();
    }

    /// Takes windows of a worker, and saves those that are ready.
    pub(crate) fn add(&mut self, saved: SavedWindows) {
        self.pending.add(saved);
        self.save_ready();
    }

    /// Saves the windows before which every result is safe.
    pub(crate) fn save_ready(&mut self) {
        while let Some(saved) = self.pending.ready() {
            if let Err(saved) = self.save(saved) {
                return self.pending.put_back(saved);
            }
        }
    }

    /// Saves all windows, whether the results before them are safe or not: the daemon stops.
    pub(crate) fn save_all(&mut self) {
        for saved in self.pending.take_all() {
            if let Err(SavedWindows { stream, .. }) = self.save(saved) {
                log::error!("windows of stream {stream} are not saved: the store does not keep up");
            }
        }
    }

    /// Returns the windows if the store is busy.
    fn save(&self, saved: SavedWindows) -> Result<(), SavedWindows> {
        let Some((key, journal)) = self.streams.get(saved.stream).cloned() else { return Ok(()) };
        let link = self.link.clone();
        let saved = Arc::new(saved);
        let shared = Arc::clone(&saved);
        // Inputs are released even if the disk fails: a full disk must not stop the
        // acknowledgements of every stream. The store logs and counts the failure.
        let save = move |store: Option<&mut Store>| {
            match store.map(|store| journal.write(store, &key, &shared.windows)) {
                Some(Ok(())) if shared.windows.base.is_some() => log::debug!("saved {key}"),
                Some(Ok(())) => log::debug!("appended to {key}"),
                Some(Err(error)) => log::warn!("cannot save {key}: {error}"),
                None => {
                    journal.request_base();
                    log::warn!("cannot save {key}: the store is closed");
                }
            }
            shared.waiting.iter().for_each(|processed| link.input_processed(*processed));
        };
        match self.store.run(save) {
            Ok(()) => Ok(()),
            Err(Busy) => Arc::into_inner(saved).map_or(Ok(()), Err),
        }
    }
}
