//! The shape of a stream's windows.

use std::time::Duration;

/// The windows of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowShape {
    /// Samples in a window.
    pub(super) length: usize,
    /// Samples between the starts of two windows.
    pub(super) hop: usize,
    /// Values in a sample.
    pub(super) channels: usize,
    /// Samples are stored in 64 bits, for models with inputs that 32 bits would round.
    pub(super) wide: bool,
    pub(super) max_gap: Option<Duration>,
    /// Samples of zeros before the first ones.
    pub(super) lead: usize,
    /// A longer time between two samples starts the carried state over.
    pub(super) state_gap: Option<Duration>,
}
