//! A group of results of one priority as keys and values of the database.
//!
//! The records of a batch are packed one after the other, compressed where that makes them
//! smaller, and cut into pieces of at most [`VALUE_MAX`] bytes. The first piece begins with a
//! [`Header`] and is written last and deleted first: a batch without it was never whole.
//!
//! ```text
//! key    'q'  priority:u8  first seq:u64 BE  piece:u16 BE
//! piece 0     header, then the first bytes
//! piece 1..   the next bytes
//! ```

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::record;
use super::wire::Reader;
use crate::outbox::{Record, Seq};

/// The longest value. sled rewrites up to 17 neighbours together, and keeps values over a quarter
/// of a segment in files of their own that it never syncs.
pub(super) const VALUE_MAX: usize = 4096;
pub(super) const PREFIX: u8 = b'q';
/// A result longer than this is not stored.
pub(super) const RECORD_MAX: usize = 1 << 24;
const KEY_LEN: usize = 12;
const HEADER_LEN: usize = 22;
const VERSION: u8 = 1;
const DEFLATED: u8 = 1;
/// A batch never unpacks to more: the outbox groups far less, and one result is bounded.
const RAW_MAX: u32 = 1 << 28;

/// Where a batch stands: the order of the keys is priority, then age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) priority: u8,
    pub(super) first: Seq,
}

impl Place {
    pub(super) fn key(self, piece: u16) -> [u8; KEY_LEN] {
        let mut key = [0; KEY_LEN];
        let parts = [PREFIX, self.priority].into_iter().chain(self.first.0.to_be_bytes());
        let bytes = parts.chain(piece.to_be_bytes());
        key.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        key
    }

    /// The place and the piece a key names; `None` for a key of something else.
    pub(super) fn of(key: &[u8]) -> Option<(Self, u16)> {
        let mut reader = Reader::new(key);
        let ours = reader.byte()? == PREFIX;
        let priority = reader.byte()?;
        let first = Seq(u64::from_be_bytes(reader.array()?));
        let piece = u16::from_be_bytes(reader.array()?);
        (ours && reader.is_empty()).then_some((Self { priority, first }, piece))
    }
}

/// A batch ready to be written.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) place: Place,
    pub(super) records: u64,
    /// In their order; at least one.
    pub(super) pieces: Vec<Vec<u8>>,
}

impl Packed {
    /// What it adds to the database, keys included.
    pub(super) fn bytes(&self) -> u64 {
        let bytes: usize = self.pieces.iter().map(|piece| KEY_LEN + piece.len()).sum();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// A batch as it is read, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Whole {
    bytes: Vec<u8>,
    pieces: usize,
    finished: bool,
}

impl Whole {
    pub(super) fn push(&mut self, piece: u16, value: &[u8]) {
        self.finished |= piece == 0;
        self.bytes.extend_from_slice(value);
        self.pieces += 1;
    }

    /// Whether its writing came to the end: piece 0 is the last to be written.
    pub(super) fn was_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it takes in the database, keys included.
    pub(super) fn disk_bytes(&self) -> u64 {
        u64::try_from(self.bytes.len() + self.pieces * KEY_LEN).unwrap_or(u64::MAX)
    }
}

/// What the first piece says of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    deflated: bool,
    pub(super) records: u16,
    pub(super) pieces: u16,
    raw_len: u32,
    pub(super) last: Seq,
    crc: u32,
}

impl Header {
    fn bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let flags = if self.deflated { DEFLATED } else { 0 };
        let fields = [VERSION, flags]
            .into_iter()
            .chain(self.records.to_le_bytes())
            .chain(self.pieces.to_le_bytes())
            .chain(self.raw_len.to_le_bytes())
            .chain(self.last.0.to_le_bytes())
            .chain(self.crc.to_le_bytes());
        bytes.iter_mut().zip(fields).for_each(|(to, byte)| *to = byte);
        bytes
    }

    /// `None` where piece 0 is not one.
    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let version = from.byte()?;
        let flags = from.byte()?;
        let header = Self {
            deflated: flags & DEFLATED != 0,
            records: u16::from_le_bytes(from.array()?),
            pieces: u16::from_le_bytes(from.array()?),
            raw_len: u32::from_le_bytes(from.array()?),
            last: Seq(u64::from_le_bytes(from.array()?)),
            crc: u32::from_le_bytes(from.array()?),
        };
        let known = version == VERSION && flags & !DEFLATED == 0;
        let sane = known && header.pieces > 0 && header.raw_len <= RAW_MAX;
        sane.then_some(header)
    }

    /// Over everything but itself, and over the place, so that a value under a wrong key is found.
    fn checksum(&self, place: Place, body: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&place.key(0));
        crc.update(&Self { crc: 0, ..*self }.bytes());
        crc.update(body);
        crc.finalize()
    }
}

/// Packs a group: one batch for each priority in it. What is over [`RECORD_MAX`] is left out.
pub(super) fn pack(group: &[Record]) -> Vec<Packed> {
    let mut lanes: BTreeMap<u8, Vec<&Record>> = BTreeMap::new();
    for record in group.iter().filter(|record| !is_too_long(record)) {
        lanes.entry(record.priority).or_default().push(record);
    }
    let pack = |(priority, lane): (u8, Vec<&Record>)| pack_lane(priority, &lane);
    lanes.into_iter().filter_map(pack).collect()
}

pub(super) fn is_too_long(record: &Record) -> bool {
    record.message.payload.len() + record.message.topic.len() > RECORD_MAX
}

fn pack_lane(priority: u8, lane: &[&Record]) -> Option<Packed> {
    let place = Place { priority, first: lane.first()?.seq };
    let mut raw = Vec::new();
    lane.iter().for_each(|record| record::put(&mut raw, place.first, record));
    let deflated = deflate(&raw).ok().filter(|deflated| deflated.len() < raw.len());
    let mut header = Header {
        deflated: deflated.is_some(),
        records: u16::try_from(lane.len()).ok()?,
        pieces: 0,
        raw_len: u32::try_from(raw.len()).ok()?,
        last: lane.last()?.seq,
        crc: 0,
    };
    let body = deflated.unwrap_or(raw);
    header.pieces = u16::try_from((HEADER_LEN + body.len()).div_ceil(VALUE_MAX)).ok()?;
    header.crc = header.checksum(place, &body);
    let mut whole = header.bytes().to_vec();
    whole.extend_from_slice(&body);
    let pieces = whole.chunks(VALUE_MAX).map(<[u8]>::to_vec).collect();
    Some(Packed { place, records: u64::from(header.records), pieces })
}

/// Unpacks a batch from its pieces, one after the other; `None` where a single bit is wrong.
pub(super) fn unpack(place: Place, whole: &[u8]) -> Option<Vec<Record>> {
    let (header, body) = verify(place, whole)?;
    let mut inflated = Vec::new();
    if header.deflated {
        let limit = u64::from(header.raw_len) + 1;
        DeflateDecoder::new(body).take(limit).read_to_end(&mut inflated).ok()?;
    }
    let raw = if header.deflated { &inflated } else { body };
    if u32::try_from(raw.len()) != Ok(header.raw_len) {
        return None;
    }
    let mut reader = Reader::new(raw);
    let record = |_| record::read(&mut reader, place.first, place.priority);
    let records = (0..header.records).map(record).collect::<Option<Vec<_>>>()?;
    reader.is_empty().then_some(records)
}

/// The header of a batch that is whole, and what follows it.
pub(super) fn verify(place: Place, whole: &[u8]) -> Option<(Header, &[u8])> {
    let mut reader = Reader::new(whole);
    let header = Header::read(&mut reader)?;
    let body = reader.rest();
    (header.checksum(place, body) == header.crc).then_some((header, body))
}

fn deflate(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(raw)?;
    encoder.finish()
}
