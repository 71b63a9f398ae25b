//! Small state under a name: written whole or not at all.
//!
//! ```text
//! 's' name 0 turn:u8 piece:u16 BE   a piece of the value
//! 'n' name                          turn:u8, length:u32 LE, CRC-32 of the value:u32 LE
//! ```
//! The pieces of the new value go under the other turn, then the second key changes turns.

use super::batch::VALUE_MAX;
use super::database::Fault;
use super::wire::Reader;

const PIECES: u8 = b's';
const NAMES: u8 = b'n';
/// The longest value; well below what the piece numbers reach.
const STATE_MAX: u32 = 64 << 20;

#[derive(Clone, Copy)]
struct Entry {
    turn: u8,
    len: u32,
    crc: u32,
}

impl Entry {
    fn bytes(self) -> Vec<u8> {
        let len = self.len.to_le_bytes();
        [self.turn].into_iter().chain(len).chain(self.crc.to_le_bytes()).collect()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let turn = reader.byte()?;
        let len = u32::from_le_bytes(reader.array()?);
        let crc = u32::from_le_bytes(reader.array()?);
        reader.is_empty().then_some(Self { turn, len, crc })
    }
}

/// Writes; the caller flushes.
pub(super) fn keep(tree: &sled::Tree, name: &str, value: &[u8]) -> Result<(), Fault> {
    let old = tree.get(name_key(name))?.and_then(|entry| Entry::read(&entry));
    let turn = old.map_or(0, |entry| entry.turn ^ 1);
    let len = u32::try_from(value.len()).ok().filter(|len| *len <= STATE_MAX);
    let len = len.ok_or(Fault::TooLong(value.len()))?;
    for (piece, bytes) in (0..u16::MAX).zip(value.chunks(VALUE_MAX)) {
        tree.insert(piece_key(name, turn, piece), bytes)?;
    }
    let entry = Entry { turn, len, crc: crc32fast::hash(value) };
    tree.insert(name_key(name), entry.bytes())?;
    if old.is_some() {
        for key in tree.scan_prefix(turn_key(name, turn ^ 1)).keys() {
            tree.remove(key?)?;
        }
    }
    Ok(())
}

/// `None` where nothing was kept, or where it does not read back as it was.
pub(super) fn kept(tree: &sled::Tree, name: &str) -> Result<Option<Vec<u8>>, Fault> {
    let Some(entry) = tree.get(name_key(name))?.and_then(|entry| Entry::read(&entry)) else {
        return Ok(None);
    };
    let mut value = Vec::new();
    for piece in tree.scan_prefix(turn_key(name, entry.turn)).values() {
        value.extend_from_slice(&piece?);
    }
    value.truncate(usize::try_from(entry.len).unwrap_or(usize::MAX));
    let whole = u32::try_from(value.len()) == Ok(entry.len) && crc32fast::hash(&value) == entry.crc;
    if !whole {
        log::warn!("{name} does not read back as it was written; starting without it");
    }
    Ok(whole.then_some(value))
}

/// Copies all state into another database.
pub(super) fn copy(from: &sled::Tree, to: &sled::Tree) -> Result<(), Fault> {
    for prefix in [PIECES, NAMES] {
        for entry in from.scan_prefix([prefix]) {
            let (key, value) = entry?;
            to.insert(key, value)?;
        }
    }
    Ok(())
}

fn name_key(name: &str) -> Vec<u8> {
    [NAMES].into_iter().chain(name.bytes()).collect()
}

fn turn_key(name: &str, turn: u8) -> Vec<u8> {
    [PIECES].into_iter().chain(name.bytes()).chain([0, turn]).collect()
}

fn piece_key(name: &str, turn: u8, piece: u16) -> Vec<u8> {
    let mut key = turn_key(name, turn);
    key.extend(piece.to_be_bytes());
    key
}
