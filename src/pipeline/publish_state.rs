//! What the publish rules remember of a device.

/// What the rules remember of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PublishState {
    /// The prediction given last, and how many times in a row.
    pub(super) mark: u64,
    pub(super) run: u32,
    /// The subject whose score is in.
    pub(super) inside: Option<u64>,
    /// The prediction published last.
    pub(super) last: Option<u64>,
}
