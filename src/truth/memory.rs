//! The last predictions of a stream, 16 bytes each.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Answer, Label, LabelKey};
use crate::clock::Timestamp;

/// One prediction, packed into 128 bits: 38 of the hash of its id, 19 of the hash of its device, 1
/// that says whether a label was joined, 38 of its time in milliseconds (8.7 years), and 32 of its
/// answer: a label and its score in 16 bits each, or a value.
///
/// Of 65,536 predictions, one has the id hash of a given other one with a probability of 2.4e-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remembered(u128);

const _: () = assert!(size_of::<Remembered>() == 16);

const ANSWER: Field = Field { shift: 0, bits: 32 };
const TIME: Field = Field { shift: 32, bits: 38 };
const JOINED: Field = Field { shift: 70, bits: 1 };
const DEVICE: Field = Field { shift: 71, bits: 19 };
const ID: Field = Field { shift: 90, bits: 38 };

/// No label.
const NONE: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    fn put(self, value: u64) -> u128 {
        u128::from(value & self.mask()) << self.shift
    }

    fn get(self, entry: Remembered) -> u64 {
        // No field is wider than 64 bits.
        let [a, b, c, d, e, f, g, h, ..] = (entry.0 >> self.shift).to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) & self.mask()
    }
}

/// FNV-1a with a final mix (MurmurHash3's). It is saved, so it must stay the same.
fn hash(text: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = text.bytes().fold(start, step);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// 0 stands for a prediction that was not published.
fn id_hash(id: &str) -> u64 {
    (hash(id) & ID.mask()).max(1)
}

fn device_hash(device: &str) -> u64 {
    hash(device) & DEVICE.mask()
}

fn millis(time: Timestamp) -> i64 {
    time.0.div_euclid(1000)
}

impl Answer {
    fn pack(self, score: Option<f32>) -> u64 {
        match self {
            Self::Label(place) => {
                #[expect(clippy::cast_possible_truncation, reason = "between 0 and 65535")]
                #[expect(clippy::cast_sign_loss, reason = "between 0 and 65535")]
                let score = (score.unwrap_or(0.0).clamp(0.0, 1.0) * 65535.0) as u16;
                u64::from(place.unwrap_or(NONE)) << 16 | u64::from(score)
            }
            Self::Value(value) => value.to_bits().into(),
        }
    }
}

/// The answer of a remembered prediction. Its version knows of which kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedAnswer(u32);

impl PackedAnswer {
    /// The place of the label; [`u16::MAX`] for none.
    pub(super) fn label(self) -> u16 {
        let [_, _, low, high] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    pub(super) fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// A remembered prediction that a label is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Predictions are numbered in the order in which they were remembered.
    pub(super) number: u64,
    pub(super) answer: PackedAnswer,
    /// It has a label.
    pub(super) is_joined: bool,
}

/// A bounded queue of predictions.
#[derive(Debug)]
pub(super) struct PredictionMemory {
    capacity: usize,
    entries: VecDeque<Remembered>,
    /// Predictions dropped because the memory was full.
    dropped: u64,
    /// The time of the last prediction, in milliseconds.
    last: i64,
}

impl PredictionMemory {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), entries: VecDeque::new(), dropped: 0, last: 0 }
    }

    pub(super) fn push(
        &mut self,
        id: Option<&str>,
        device: &str,
        time: Timestamp,
        answer: Answer,
        score: Option<f32>,
    ) {
        self.last = millis(time);
        let entry = ID.put(id.map_or(0, id_hash))
            | DEVICE.put(device_hash(device))
            | TIME.put(self.last.cast_unsigned())
            | ANSWER.put(answer.pack(score));
        self.make_room(1);
        self.entries.push_back(Remembered(entry));
    }

    fn make_room(&mut self, count: usize) {
        let excess = (self.entries.len() + count).saturating_sub(self.capacity);
        let excess = excess.min(self.entries.len());
        self.entries.drain(..excess);
        self.dropped = self.dropped.saturating_add(u64::try_from(excess).unwrap_or(u64::MAX));
        // Grows to its capacity and no further.
        let spare = self.entries.capacity() - self.entries.len();
        if spare < count {
            let more = self.entries.len().max(64).min(self.capacity - self.entries.len());
            self.entries.reserve_exact(more.max(count));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of the oldest prediction that is remembered.
    pub(super) fn first_number(&self) -> u64 {
        self.dropped
    }

    /// The number of the next prediction.
    pub(super) fn next_number(&self) -> u64 {
        self.dropped.saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    pub(super) fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    /// Whether a time is before the oldest prediction that is remembered.
    pub(super) fn is_before_all(&self, time: Timestamp) -> bool {
        let Some(oldest) = self.entries.front() else { return false };
        let behind = self.last.cast_unsigned().wrapping_sub(TIME.get(*oldest)) & TIME.mask();
        let behind = i64::try_from(behind).unwrap_or(0);
        millis(time) < self.last.saturating_sub(behind)
    }

    pub(super) fn find(&self, label: &Label<'_>, tolerance: Duration) -> Option<Found> {
        let device = label.device.map(device_hash);
        let at = match label.key {
            LabelKey::Id(id) => self.find_id(id_hash(id), device)?,
            LabelKey::Time(time) => self.find_time(millis(time), device, tolerance)?,
        };
        let entry = *self.entries.get(at)?;
        Some(Found {
            number: self.dropped.saturating_add(u64::try_from(at).ok()?),
            answer: PackedAnswer(u32::try_from(ANSWER.get(entry)).ok()?),
            is_joined: JOINED.get(entry) == 1,
        })
    }

    /// The newest prediction with this id. Of several with the same hash, one of the device.
    fn find_id(&self, id: u64, device: Option<u64>) -> Option<usize> {
        let mut newest = None;
        for (at, entry) in self.entries.iter().enumerate().rev() {
            if ID.get(*entry) != id {
                continue;
            }
            if device.is_none_or(|device| DEVICE.get(*entry) == device) {
                return Some(at);
            }
            newest = newest.or(Some(at));
        }
        newest
    }

    /// The prediction of the device that is nearest to a time; of two, the newer.
    fn find_time(&self, time: i64, device: Option<u64>, tolerance: Duration) -> Option<usize> {
        let tolerance = u64::try_from(tolerance.as_millis()).unwrap_or(u64::MAX);
        let wanted = time.cast_unsigned();
        let distance = |entry: &Remembered| {
            let ahead = TIME.get(*entry).wrapping_sub(wanted) & TIME.mask();
            ahead.min((TIME.mask() + 1) - ahead)
        };
        let of_device =
            |entry: &Remembered| device.is_none_or(|device| DEVICE.get(*entry) == device);
        let all = self.entries.iter().enumerate().rev().filter(|(_, entry)| of_device(entry));
        let near = all.map(|(at, entry)| (distance(entry), at));
        let nearest = near.min_by_key(|(distance, _)| *distance)?;
        (nearest.0 <= tolerance).then_some(nearest.1)
    }

    pub(super) fn mark_joined(&mut self, number: u64) {
        let at = number.checked_sub(self.dropped).and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.0 |= JOINED.put(1);
        }
    }

    /// The state as numbers and entries, oldest first.
    pub(super) fn parts(&self) -> (u64, i64, impl ExactSizeIterator<Item = [u8; 16]> + '_) {
        (self.dropped, self.last, self.entries.iter().map(|entry| entry.0.to_le_bytes()))
    }

    /// Takes a saved state. Of more entries than it remembers, the newest.
    pub(super) fn restore(
        &mut self,
        dropped: u64,
        last: i64,
        entries: impl ExactSizeIterator<Item = [u8; 16]>,
    ) {
        let excess = entries.len().saturating_sub(self.capacity);
        self.entries.clear();
        self.dropped = dropped.saturating_add(u64::try_from(excess).unwrap_or(u64::MAX));
        self.last = last;
        let kept = entries.skip(excess).map(|bytes| Remembered(u128::from_le_bytes(bytes)));
        self.entries.extend(kept);
    }
}
