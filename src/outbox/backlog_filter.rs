//! Decides which results may overtake the backlog: those whose stream and topic have nothing in it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::ids::StreamName;

const FILTER_WORDS: usize = 1024;

/// The streams and topics that may have results in the backlog, in 8 KiB however many there are:
/// one bit each, by hash. Two that share a bit wait for each other and lose nothing else.
pub(super) struct BacklogFilter {
    bits: Box<[u64; FILTER_WORDS]>,
}

impl BacklogFilter {
    /// Nothing may overtake: the content of the backlog is unknown.
    pub(super) fn all() -> Self {
        Self { bits: Box::new([u64::MAX; FILTER_WORDS]) }
    }

    pub(super) fn fill(&mut self) {
        self.bits.fill(u64::MAX);
    }

    pub(super) fn clear(&mut self) {
        self.bits.fill(0);
    }

    pub(super) fn insert(&mut self, stream: &StreamName, topic: &str) {
        let (word, bit) = place(stream, topic);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn contains(&self, stream: &StreamName, topic: &str) -> bool {
        let (word, bit) = place(stream, topic);
        self.bits.get(word).is_none_or(|word| word & bit != 0)
    }
}

fn place(stream: &StreamName, topic: &str) -> (usize, u64) {
    let mut hasher = DefaultHasher::new();
    (stream.as_str(), topic).hash(&mut hasher);
    let hash = hasher.finish();
    let word = usize::try_from(hash >> 6).unwrap_or(0) % FILTER_WORDS;
    (word, 1 << (hash % 64))
}

impl fmt::Debug for BacklogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        write!(f, "BacklogFilter({set} bits)")
    }
}
