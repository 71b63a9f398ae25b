//! What the desk has the store keep beside the results: windows, and the count of inputs.

use std::sync::Arc;

use super::desk::Desk;
use super::windows::SavedWindows;
use super::{filters, laps};
use crate::store::handle::Busy;

impl Desk {
    /// Sends windows to the disk once every result before them is safe.
    pub(super) fn keep_ready_windows(&mut self) {
        while let Some(saved) = self.saves.ready() {
            if let Err(saved) = self.keep_windows(saved) {
                return self.saves.put_back(saved);
            }
        }
    }

    /// Sends all windows to the disk, whatever becomes of the results: the daemon ends.
    pub(super) fn keep_all_windows(&mut self) {
        for saved in self.saves.take_all() {
            if let Err(SavedWindows { stream, .. }) = self.keep_windows(saved) {
                log::error!("windows of stream {stream} are not saved: the store does not keep up");
            }
        }
    }

    /// Gives them back where the store is busy.
    fn keep_windows(&self, saved: SavedWindows) -> Result<(), SavedWindows> {
        let Some(stream) = self.shared.config.streams.get(saved.stream) else { return Ok(()) };
        let Some(journal) = self.shared.journals.get(saved.stream).cloned() else { return Ok(()) };
        let name = super::windows_key(&stream.name);
        let link = self.link.clone();
        let saved = Arc::new(saved);
        let shared = Arc::clone(&saved);
        // Inputs are let go even where the disk fails: a full disk must not stop the line of
        // acknowledgements for every stream. The failure is said and counted by the store.
        let keep = move |store: Option<&mut crate::store::Store>| {
            match store.map(|store| journal.keep(store, &name, &shared.windows)) {
                Some(Ok(())) if shared.windows.base.is_some() => log::debug!("saved {name}"),
                Some(Ok(())) => log::debug!("added to {name}"),
                Some(Err(error)) => log::warn!("cannot save {name}: {error}"),
                None => {
                    journal.want_whole();
                    log::warn!("cannot save {name}: the store is closed");
                }
            }
            shared.waiting.iter().for_each(|taken| link.input_processed(*taken));
        };
        match self.store.run(keep) {
            Ok(()) => Ok(()),
            Err(Busy) => Arc::into_inner(saved).map_or(Ok(()), Err),
        }
    }

    pub(super) fn keep_filters(&self) {
        let wanted = filters::of_streams(&self.shared.config);
        if self.store.run(move |store| filters::settle(&wanted, store)).is_err() {
            log::debug!("cannot save the filters: the store does not keep up");
        }
    }

    pub(super) fn keep_epoch(&self, epoch: u64) {
        if self.store.run(move |store| laps::keep(store, epoch)).is_err() {
            log::warn!("cannot save the count of inputs: the store does not keep up");
        }
    }
}
