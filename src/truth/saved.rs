//! The state of a tracker as bytes, so that labels find their predictions after a restart.
//!
//! `INFT`, the format's version (1), then varints and bytes as [`crate::codec`] writes them: the
//! refusals, the versions with their outcomes, the spans, and the remembered predictions of 16 bytes
//! each, oldest first.

use std::collections::VecDeque;

use super::accuracy::VersionTally;
use super::{Answers, COUNTED_LABELS, MAX_SPANS, MAX_VERSIONS, Refusal, Span, TruthTracker};
use crate::codec::{Reader, put_bytes, put_signed, put_varint};

const MAGIC: &[u8] = b"INFT";
const FORMAT: u8 = 1;
/// The codes of [`Refusal`] in the order in which their counters are saved; more may be added.
const REFUSALS: [Refusal; 6] = [
    Refusal::Malformed,
    Refusal::Late,
    Refusal::Unmatched,
    Refusal::Repeated,
    Refusal::UnknownLabel,
    Refusal::WrongKind,
];

/// The saved labels cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saved predictions for labels are damaged or of a newer version")]
pub struct BadSave;

impl TruthTracker {
    /// The whole state.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut to = [MAGIC, &[FORMAT]].concat();
        put_count(&mut to, REFUSALS.len());
        for refusal in REFUSALS {
            put_varint(&mut to, self.refused.get(refusal.code()).copied().unwrap_or(0));
        }
        put_count(&mut to, self.tallies.len());
        self.tallies.iter().for_each(|tally| put_tally(&mut to, tally));
        put_count(&mut to, self.spans.len());
        for span in &self.spans {
            put_varint(&mut to, span.first);
            put_varint(&mut to, span.tally.into());
        }
        let (dropped, last, entries) = self.memory.parts();
        put_varint(&mut to, dropped);
        put_signed(&mut to, last);
        put_count(&mut to, entries.len());
        to.reserve(entries.len() * 16);
        entries.for_each(|entry| to.extend_from_slice(&entry));
        to
    }

    /// Takes a saved state in the place of this one. To be followed by [`Self::activate`].
    ///
    /// # Errors
    /// The bytes are no saved state; this one is unchanged.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), BadSave> {
        self.try_restore(bytes).ok_or(BadSave)
    }

    fn try_restore(&mut self, bytes: &[u8]) -> Option<()> {
        let mut from = Reader::new(bytes);
        if from.take(MAGIC.len())? != MAGIC || from.byte()? != FORMAT {
            return None;
        }
        let counters = from.number()?;
        let mut refused = Vec::new();
        for at in 0..counters.min(256) {
            let count = from.number()?;
            let refusal = usize::try_from(at).ok().and_then(|at| REFUSALS.get(at));
            refused.extend(refusal.filter(|_| count > 0).map(|it| (it.code(), count)));
        }
        let most = u64::try_from(MAX_VERSIONS).ok()?;
        let tallies = from.number().filter(|count| *count <= most)?;
        let tallies = (0..tallies).map(|_| tally(&mut from)).collect::<Option<Vec<_>>>()?;
        let most = u64::try_from(MAX_SPANS).ok()?;
        let spans = from.number().filter(|count| *count <= most)?;
        let span = |from: &mut Reader<'_>| {
            Some(Span { first: from.number()?, tally: u32::try_from(from.number()?).ok()? })
        };
        let spans = (0..spans).map(|_| span(&mut from)).collect::<Option<VecDeque<_>>>()?;
        let (dropped, last) = (from.number()?, from.signed()?);
        let count = usize::try_from(from.number()?).ok()?;
        let entries = from.take(count.checked_mul(16)?)?;
        if !from.is_empty() {
            return None;
        }
        let entries = entries.chunks_exact(16).map(|entry| entry.try_into().unwrap_or([0; 16]));
        self.memory.restore(dropped, last, entries);
        self.refused = refused.into_iter().collect();
        (self.tallies, self.spans) = (tallies, spans);
        Some(())
    }
}

fn put_count(to: &mut Vec<u8>, count: usize) {
    put_varint(to, u64::try_from(count).unwrap_or(u64::MAX));
}

fn put_tally(to: &mut Vec<u8>, tally: &VersionTally) {
    put_varint(to, tally.key.into());
    put_bytes(to, tally.version.as_bytes());
    match &tally.answers {
        Answers::Value => put_varint(to, 0),
        Answers::Labels(labels) => {
            put_varint(to, 1);
            put_count(to, labels.len());
            labels.iter().for_each(|label| put_bytes(to, label.as_bytes()));
        }
    }
    put_varint(to, tally.joined);
    put_count(to, tally.last.len());
    tally.last.iter().for_each(|outcome| to.extend_from_slice(&outcome.to_le_bytes()));
}

fn tally(from: &mut Reader<'_>) -> Option<VersionTally> {
    let key = u32::try_from(from.number()?).ok()?;
    let version = from.text()?.to_owned();
    let answers = match from.number()? {
        0 => Answers::Value,
        1 => {
            let count = from.number().filter(|count| *count <= u16::MAX.into())?;
            let label = |from: &mut Reader<'_>| from.text().map(str::to_owned);
            Answers::Labels((0..count).map(|_| label(from)).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let joined = from.number()?;
    let count = usize::try_from(from.number()?).ok().filter(|count| *count <= COUNTED_LABELS)?;
    let outcomes = from.take(count * 4)?.chunks_exact(4);
    let last = outcomes.map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default()));
    Some(VersionTally { key, version, answers, joined, last: last.collect() })
}
