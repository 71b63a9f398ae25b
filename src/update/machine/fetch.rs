//! Keeps track of missing and requested chunks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::deployment::Source;
use super::super::installable::is_chunk;
use super::super::manifest::{Blob, Chunk};
use super::events::Effect;
use crate::backoff;
use crate::clock::Mono;
use crate::ids::Digest;

/// Chunks asked for at a time: a broker drops what exceeds a client's queue, and memory is dear.
const MAX_CHUNKS_IN_FLIGHT: usize = 4;
/// After this long without an answer a chunk is asked for again.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5 * 60);
/// Wrong bytes for one chunk from one source.
const MAX_BAD_CHUNKS: u32 = 3;

/// Names a chunk at its source.
type ChunkId = (Digest, u32);

/// A chunk, and where it begins in its blob.
#[derive(Clone, Copy, Debug)]
struct Piece {
    chunk: Chunk,
    offset: u64,
}

/// Chunks on their way.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    sources: VecDeque<Source>,
    missing: VecDeque<(ChunkId, Piece)>,
    asked: BTreeMap<ChunkId, Asked>,
    /// How often the bytes of a chunk were wrong, by source.
    bad: BTreeMap<(ChunkId, Source), u32>,
    attempt: u32,
    not_before: Mono,
    rate: u64,
    total: u64,
    left: u64,
}

/// A chunk that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    piece: Piece,
    at: Mono,
    source: Source,
}

/// What became of bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Not asked for, or no longer.
    Stray,
    Kept(Digest),
    /// Wrong, and asked for again.
    Again,
    /// No source has the right bytes.
    NoSource,
}

impl Fetch {
    /// Everything of `blobs` that is not `held`.
    pub(super) fn new<'a>(
        blobs: impl IntoIterator<Item = &'a Blob>,
        held: &BTreeSet<Digest>,
        sources: &[Source],
        rate: u64,
    ) -> Self {
        let mut seen = held.clone();
        let mut missing = VecDeque::new();
        for blob in blobs {
            let mut offset = 0_u64;
            for (index, chunk) in (0..).zip(&blob.chunks) {
                if seen.insert(chunk.sha256) {
                    let piece = Piece { chunk: *chunk, offset };
                    missing.push_back(((blob.sha256, index), piece));
                }
                offset = offset.saturating_add(chunk.len.into());
            }
        }
        let total = missing.iter().map(|(_, piece)| u64::from(piece.chunk.len)).sum();
        Self {
            sources: sources.iter().cloned().collect(),
            missing,
            asked: BTreeMap::new(),
            bad: BTreeMap::new(),
            attempt: 0,
            not_before: Mono(0),
            rate,
            total,
            left: total,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.missing.is_empty() && self.asked.is_empty()
    }

    /// Of the bytes to fetch, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for people to look at")]
    pub(super) fn progress(&self) -> f32 {
        if self.total == 0 { 1.0 } else { 1.0 - self.left as f32 / self.total as f32 }
    }

    /// Asks for as many as may be asked for now.
    pub(super) fn ask(&mut self, now: Mono, random: u64, effects: &mut Vec<Effect>) {
        let late = self.asked.iter().filter(|(_, asked)| now.since(asked.at) >= CHUNK_TIMEOUT);
        for place in late.map(|(place, _)| *place).collect::<Vec<_>>() {
            self.lost(now, place, Duration::ZERO, random);
        }
        while self.asked.len() < MAX_CHUNKS_IN_FLIGHT && now >= self.not_before {
            let Some(source) = self.sources.front().cloned() else { return };
            let Some((place, piece)) = self.missing.pop_front() else { return };
            let Piece { chunk, offset } = piece;
            self.asked.insert(place, Asked { piece, at: now, source: source.clone() });
            if let Some(micros) = (u64::from(chunk.len) * 1_000_000).checked_div(self.rate) {
                self.not_before = now.plus(Duration::from_micros(micros));
            }
            let (blob, index) = place;
            effects.push(Effect::Fetch { source, blob, index, offset, chunk });
        }
    }

    /// The chunks that were asked of the broker and have not come.
    pub(super) fn awaited(&self) -> impl Iterator<Item = ChunkId> {
        let of_broker = self.asked.iter().filter(|(_, asked)| asked.source == Source::Mqtt);
        of_broker.map(|(place, _)| *place)
    }

    /// When [`Fetch::ask`] has something to do, if nothing comes before.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let answer = self.asked.values().map(|asked| asked.at.plus(CHUNK_TIMEOUT)).min();
        let more = !self.missing.is_empty() && self.asked.len() < MAX_CHUNKS_IN_FLIGHT;
        [answer, more.then_some(self.not_before)].into_iter().flatten().min()
    }

    pub(super) fn arrived(
        &mut self,
        now: Mono,
        place: ChunkId,
        bytes: &[u8],
        random: u64,
    ) -> Arrived {
        let Some(Asked { piece: Piece { chunk, .. }, source, .. }) = self.asked.get(&place) else {
            return self.arrived_late(place, bytes);
        };
        if is_chunk(chunk, bytes) {
            let chunk = *chunk;
            self.asked.remove(&place);
            return self.kept(chunk);
        }
        let source = source.clone();
        let bad = self.bad.entry((place, source.clone())).or_default();
        *bad += 1;
        if *bad >= MAX_BAD_CHUNKS {
            self.sources.retain(|other| *other != source);
        }
        self.lost(now, place, Duration::ZERO, random);
        if self.sources.is_empty() { Arrived::NoSource } else { Arrived::Again }
    }

    /// On a slow network a chunk may come after it was given up: then it is not asked for again.
    fn arrived_late(&mut self, place: ChunkId, bytes: &[u8]) -> Arrived {
        let fits = |(at, piece): &(ChunkId, Piece)| *at == place && is_chunk(&piece.chunk, bytes);
        let late = self.missing.iter().position(fits);
        match late.and_then(|at| self.missing.remove(at)) {
            Some((_, piece)) => self.kept(piece.chunk),
            None => Arrived::Stray,
        }
    }

    fn kept(&mut self, chunk: Chunk) -> Arrived {
        self.left = self.left.saturating_sub(chunk.len.into());
        self.attempt = 0;
        Arrived::Kept(chunk.sha256)
    }

    /// Puts a chunk back and waits before the next is asked for: `wait` at least, where the only
    /// source requires it.
    pub(super) fn lost(&mut self, now: Mono, place: ChunkId, wait: Duration, random: u64) {
        let Some(Asked { piece, .. }) = self.asked.remove(&place) else { return };
        self.missing.push_front((place, piece));
        let alone = if self.sources.len() > 1 { Duration::ZERO } else { wait };
        let wait =
            backoff::delay(self.attempt, MIN_RETRY_DELAY, MAX_RETRY_DELAY, random).max(alone);
        self.not_before = self.not_before.max(now.plus(wait));
        self.attempt = self.attempt.saturating_add(1);
        // Another source may answer where this one does not; with one source this changes nothing.
        self.sources.rotate_left(self.sources.len().min(1));
    }
}
