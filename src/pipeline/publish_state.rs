//! The state of the publish rules for one device.

/// The state of the publish rules for one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PublishState {
    /// The last prediction, and how many times in a row it was given.
    pub(super) mark: u64,
    pub(super) run: u32,
    /// The subject that is active.
    pub(super) inside: Option<u64>,
    /// The last published prediction.
    pub(super) last: Option<u64>,
}
