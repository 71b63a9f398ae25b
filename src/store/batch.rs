//! The unit of storage: a group of results of one priority, or one piece of small state.
//!
//! A batch is packed into one string of bytes, compressed if that makes it smaller, and cut into
//! values of at most [`MAX_VALUE_SIZE`] bytes. Each value has a slot:
//!
//! ```text
//! crc      u32  CRC-32 of the slot's number and of everything below
//! kind     u8   1 results, 2 state; 16 is added if the bytes are deflated
//! priority u8   of results
//! piece    u16  0, 1, … in the order of the bytes
//! pieces   u16  number of pieces
//! records  u16  number of results
//! first    u64  sequence number of the first result; for state, a number that rises with each value
//! last     u32  sequence number of the last result, relative to the first
//! stored   u32  time of storage in seconds since 1970
//! stamp    u32  CRC-32 of all bytes of the batch; distinguishes two attempts at one place
//! bytes         for state: length of the name as u8, the name, then the value
//! ```
//! Integers are little-endian. Piece 0 is written last and cleared first, so a batch without it is
//! incomplete.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::time::SystemTime;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::record_codec;
use crate::codec::Reader;
use crate::outbox::{Record, Seq};

/// Size of the longest value in bytes. sled writes a leaf of a quarter of a segment to a separate file,
/// which it never syncs, and the other values of the leaf count.
pub(super) const MAX_VALUE_SIZE: usize = 4096;
/// Size of the largest result that is stored, in bytes.
pub(super) const MAX_RECORD_SIZE: usize = 1 << 24;
/// Size of the largest batch after inflating, in bytes.
const MAX_UNPACKED_SIZE: u64 = 1 << 26;
const HEADER_LEN: usize = 32;
const MAX_BODY_SIZE: usize = MAX_VALUE_SIZE - HEADER_LEN;
const DEFLATED: u8 = 16;

/// The order of batches: by priority, then by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BatchKey {
    pub(super) priority: u8,
    pub(super) first: Seq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BatchKind {
    Results,
    State,
}

/// The header of a piece: its own fields and those of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: BatchKind,
    deflated: bool,
    pub(super) place: BatchKey,
    pub(super) piece: u16,
    pub(super) pieces: u16,
    pub(super) records: u16,
    pub(super) last: Seq,
    pub(super) stored: u32,
    pub(super) stamp: u32,
}

impl Header {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let kind = match self.kind {
            BatchKind::Results => 1,
            BatchKind::State => 2,
        };
        let coding = if self.deflated { DEFLATED } else { 0 };
        let distance = u32::try_from(self.last.0.saturating_sub(self.place.first.0));
        [kind + coding, self.place.priority]
            .into_iter()
            .chain(self.piece.to_le_bytes())
            .chain(self.pieces.to_le_bytes())
            .chain(self.records.to_le_bytes())
            .chain(self.place.first.0.to_le_bytes())
            .chain(distance.unwrap_or(u32::MAX).to_le_bytes())
            .chain(self.stored.to_le_bytes())
            .chain(self.stamp.to_le_bytes())
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let kind = from.byte()?;
        let deflated = kind & DEFLATED != 0;
        let kind = match kind & !DEFLATED {
            1 => BatchKind::Results,
            2 => BatchKind::State,
            _ => return None,
        };
        let priority = from.byte()?;
        let piece = u16::from_le_bytes(from.array()?);
        let pieces = u16::from_le_bytes(from.array()?);
        let records = u16::from_le_bytes(from.array()?);
        let first = Seq(u64::from_le_bytes(from.array()?));
        let last = Seq(first.0.checked_add(u32::from_le_bytes(from.array()?).into())?);
        let stored = u32::from_le_bytes(from.array()?);
        let stamp = u32::from_le_bytes(from.array()?);
        let place = BatchKey { priority, first };
        let header = Self { kind, deflated, place, piece, pieces, records, last, stored, stamp };
        (piece < pieces).then_some(header)
    }
}

/// Parses the value of a slot: its header and its part of the batch; `None` if it is damaged.
pub(super) fn read_piece(slot: u32, value: &[u8]) -> Option<(Header, &[u8])> {
    let mut reader = Reader::new(value);
    let crc = u32::from_le_bytes(reader.array()?);
    let rest = reader.rest();
    if crc != checksum(slot, rest) {
        return None;
    }
    let mut reader = Reader::new(rest);
    let header = Header::read(&mut reader)?;
    Some((header, reader.rest()))
}

fn checksum(slot: u32, rest: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&slot.to_le_bytes());
    crc.update(rest);
    crc.finalize()
}

/// A batch ready to be written.
#[derive(Debug)]
pub(super) struct PackedBatch {
    header: Header,
    body: Vec<u8>,
}

impl PackedBatch {
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes that it adds to the database.
    pub(super) fn bytes(&self) -> u64 {
        let headers = usize::from(self.header.pieces) * HEADER_LEN;
        u64::try_from(self.body.len() + headers).unwrap_or(u64::MAX)
    }

    /// Returns the values for these slots, in order.
    pub(super) fn values(
        &self,
        slots: &[u32],
    ) -> impl ExactSizeIterator<Item = (u32, Vec<u8>)> + DoubleEndedIterator {
        let pieces: Vec<(u16, &[u8])> =
            (0..self.header.pieces).zip(self.body.chunks(MAX_BODY_SIZE)).collect();
        let value = |(slot, (piece, chunk)): (&u32, (u16, &[u8]))| {
            let header = Header { piece, ..self.header };
            let rest: Vec<u8> = header.bytes().chain(chunk.iter().copied()).collect();
            let mut value = checksum(*slot, &rest).to_le_bytes().to_vec();
            value.extend_from_slice(&rest);
            (*slot, value)
        };
        slots.iter().zip(pieces).map(value).collect::<Vec<_>>().into_iter()
    }

    fn new(header: Header, body: Vec<u8>) -> Option<Self> {
        let pieces = u16::try_from(body.len().div_ceil(MAX_BODY_SIZE)).ok()?;
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let stored = since_1970.map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        let stamp = crc32fast::hash(&body);
        Some(Self { header: Header { pieces, stored, stamp, ..header }, body })
    }
}

/// Packs a group into one batch for each priority. Results above [`MAX_RECORD_SIZE`] are left out.
pub(super) fn pack(group: &[Record]) -> Vec<PackedBatch> {
    let mut lanes: BTreeMap<u8, Vec<&Record>> = BTreeMap::new();
    for record in group.iter().filter(|record| !is_too_long(record)) {
        lanes.entry(record.priority).or_default().push(record);
    }
    lanes.into_iter().filter_map(|(priority, lane)| pack_lane(priority, &lane)).collect()
}

pub(super) fn is_too_long(record: &Record) -> bool {
    record.message.payload.len() + record.message.topic.len() > MAX_RECORD_SIZE
}

/// Packs records of one priority.
pub(super) fn pack_lane(priority: u8, lane: &[&Record]) -> Option<PackedBatch> {
    let place = BatchKey { priority, first: lane.first()?.seq };
    let mut raw = Vec::new();
    lane.iter().for_each(|record| record_codec::put(&mut raw, place.first, record));
    let (deflated, body) = compress(raw);
    let header = Header {
        kind: BatchKind::Results,
        deflated,
        place,
        piece: 0,
        pieces: 0,
        records: u16::try_from(lane.len()).ok()?,
        last: lane.last()?.seq,
        stored: 0,
        stamp: 0,
    };
    PackedBatch::new(header, body)
}

/// Packs small state. `turn` must be higher than that of the value it replaces. `None` if the name or
/// the value is too long.
pub(super) fn pack_state(name: &str, value: &[u8], revision: u64) -> Option<PackedBatch> {
    if u64::try_from(value.len()).is_ok_and(|len| len > MAX_UNPACKED_SIZE) {
        return None;
    }
    let (deflated, value) = compress(value.to_vec());
    let mut body = vec![u8::try_from(name.len()).ok()?];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(&value);
    let header = Header {
        kind: BatchKind::State,
        deflated,
        place: BatchKey { priority: 0, first: Seq(revision) },
        piece: 0,
        pieces: 0,
        records: 0,
        last: Seq(revision),
        stored: 0,
        stamp: 0,
    };
    PackedBatch::new(header, body)
}

/// Reads the name of a state from the bytes of its piece 0.
pub(super) fn state_name(bytes: &[u8]) -> Option<&str> {
    let mut reader = Reader::new(bytes);
    let len = reader.byte()?;
    std::str::from_utf8(reader.take(len.into())?).ok()
}

/// Unpacks results from the values of their slots, in order; `None` if any bit is wrong.
pub(super) fn unpack<'a>(values: impl IntoIterator<Item = (u32, &'a [u8])>) -> Option<Vec<Record>> {
    let (header, body) = join(values)?;
    let raw = inflate(&header, &body)?;
    let mut reader = Reader::new(&raw);
    let BatchKey { priority, first } = header.place;
    let record = |_| record_codec::read(&mut reader, first, priority);
    let records = (0..header.records).map(record).collect::<Option<Vec<_>>>()?;
    (header.kind == BatchKind::Results && reader.is_empty()).then_some(records)
}

/// Unpacks the value of a state; `None` if any bit is wrong.
pub(super) fn unpack_state<'a>(
    values: impl IntoIterator<Item = (u32, &'a [u8])>,
) -> Option<Vec<u8>> {
    let (header, body) = join(values)?;
    let name = state_name(&body)?.len();
    let value = inflate(&header, body.get(1 + name..)?)?;
    (header.kind == BatchKind::State).then_some(value)
}

fn join<'a>(values: impl IntoIterator<Item = (u32, &'a [u8])>) -> Option<(Header, Vec<u8>)> {
    let mut body = Vec::new();
    let mut whole: Option<Header> = None;
    for (expected, (slot, value)) in (0u16..).zip(values) {
        let (header, bytes) = read_piece(slot, value)?;
        let same = whole.is_none_or(|first| Header { piece: first.piece, ..header } == first);
        if !same || header.piece != expected {
            return None;
        }
        whole.get_or_insert(header);
        body.extend_from_slice(bytes);
        if header.piece + 1 == header.pieces {
            return (crc32fast::hash(&body) == header.stamp).then_some((header, body));
        }
    }
    None
}

/// Deflates the bytes if that makes them fewer.
fn compress(raw: Vec<u8>) -> (bool, Vec<u8>) {
    match deflate(&raw) {
        Ok(deflated) if deflated.len() < raw.len() => (true, deflated),
        Ok(_) | Err(_) => (false, raw),
    }
}

fn deflate(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(raw)?;
    encoder.finish()
}

fn inflate(header: &Header, bytes: &[u8]) -> Option<Vec<u8>> {
    if !header.deflated {
        return Some(bytes.to_vec());
    }
    let mut raw = Vec::new();
    DeflateDecoder::new(bytes).take(MAX_UNPACKED_SIZE).read_to_end(&mut raw).ok()?;
    Some(raw)
}
