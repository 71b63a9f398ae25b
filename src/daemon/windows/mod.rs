//! Partial windows that survive a restart: when they are saved, and what is in them.

pub(crate) mod input_epoch;
pub(crate) mod journal_state;
pub(crate) mod pending_saves;
pub(crate) mod persist;
pub(crate) mod recent_inputs;
pub(crate) mod restore;

use crate::ids::StreamName;
use crate::message::InputProcessed;
use crate::store::windows::Windows;

/// The partial windows of one stream as they were between two steps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SavedWindows {
    pub(crate) stream: usize,
    pub(crate) windows: Windows,
    /// Inputs that stay unacknowledged until these windows are durable.
    pub(crate) waiting: Vec<InputProcessed>,
}

/// The key of a stream's partial windows in the store.
pub(crate) fn windows_key(stream: &StreamName) -> String {
    format!("windows/{stream}")
}
