//! The state of a stream's window journal, shared by its worker and the store's thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::recent_inputs::windows_of;
use crate::pipeline::base_number;
use crate::store::windows::{OnDisk, PutWindowsError, StoredWindows, Windows};
use crate::store::{Store, StoreError};

/// What is on disk, and whether a new base is needed.
#[derive(Debug, Default)]
pub(crate) struct JournalState {
    on_disk: Mutex<OnDisk>,
    wants_base: AtomicBool,
}

pub(crate) type SharedJournal = Arc<JournalState>;

impl JournalState {
    /// Has the worker write a new base at the next save.
    pub(crate) fn request_base(&self) {
        self.wants_base.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take_base_request(&self) -> bool {
        self.wants_base.swap(false, Ordering::Relaxed)
    }

    /// Writes windows under `key`. Runs on the store's thread.
    pub(crate) fn write(
        &self,
        store: &mut Store,
        key: &str,
        windows: &Windows,
    ) -> Result<(), PutWindowsError> {
        let mut on_disk = self.on_disk.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = store.put_windows(key, windows, &mut on_disk);
        if kept.is_err() {
            self.request_base();
        }
        kept
    }
}

/// Reads saved windows: the base with the inputs that are in it, and the journal entries.
pub(crate) fn read(store: &mut Store, key: &str) -> Result<Option<StoredWindows>, StoreError> {
    store.get_windows(key, |base| base_number(windows_of(base)))
}
