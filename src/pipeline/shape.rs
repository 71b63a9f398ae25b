//! The shape of a stream's windows.

use std::time::Duration;

/// The windows of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowShape {
    /// Samples in a window.
    pub(super) length: usize,
    /// Samples from one window's start to the next one's.
    pub(super) hop: usize,
    /// Numbers in a sample.
    pub(super) channels: usize,
    /// Samples are kept in 64 bits, for models that take numbers which 32 would round.
    pub(super) wide: bool,
    pub(super) max_gap: Option<Duration>,
}
