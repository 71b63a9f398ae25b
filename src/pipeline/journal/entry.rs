//! The parts of the journal's format.

const BASE_MAGIC: &[u8; 4] = b"INFB";
pub(super) const ENTRY_MAGIC: &[u8; 4] = b"INFA";
/// An entry with carried states.
pub(super) const STATES_MAGIC: &[u8; 4] = b"INFS";
/// Magic, base, position.
pub(super) const MIN_ENTRY_SIZE: usize = 4 + 8 + 8;

/// The kind of an item of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    End = 0,
    Sample = 1,
    TimedSample = 2,
    PublishState = 3,
    Origin = 4,
    Restart = 5,
    Values = 6,
    Input = 7,
    TimedInput = 8,
}

impl Tag {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::End,
            Self::Sample,
            Self::TimedSample,
            Self::PublishState,
            Self::Origin,
            Self::Restart,
            Self::Values,
            Self::Input,
            Self::TimedInput,
        ];
        all.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// A journal entry: what came after its base and the entries before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// The base it belongs to.
    pub base: u64,
    /// Messages between the base and this entry.
    pub from: u64,
    /// As `from`, including the messages in this entry.
    pub upto: u64,
    pub bytes: Vec<u8>,
}

/// Encodes a snapshot as the base of entries.
pub(in crate::pipeline) fn base(number: u64, snapshot: &[u8]) -> Vec<u8> {
    [&BASE_MAGIC[..], &number.to_le_bytes(), snapshot].concat()
}

/// The values to which those of the next message are relative.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DeltaBase {
    pub(super) received: i64,
    pub(super) time: i64,
    pub(super) epoch: u64,
    pub(super) packet: u16,
}

/// The number by which entries name their base; `None` for a snapshot alone.
#[must_use]
pub fn base_number(base: &[u8]) -> Option<u64> {
    split(base).0
}

/// Splits a base into its number and its snapshot. A snapshot that is not a base has no entries.
pub(super) fn split(base: &[u8]) -> (Option<u64>, &[u8]) {
    let parts = base.strip_prefix(BASE_MAGIC).and_then(<[u8]>::split_first_chunk);
    parts.map_or((None, base), |(number, rest)| (Some(u64::from_le_bytes(*number)), rest))
}
