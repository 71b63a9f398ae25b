//! Partial windows that survive a restart: when they are saved, and what is in them.

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
