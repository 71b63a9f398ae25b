//! The boot number: never the same twice, so that result ids never repeat.
//!
//! In a file of its own beside the database, because it must survive the quarantine of a database.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;

use crate::fs::write_atomic_through;

const NAME: &str = "boot";
const WRITTEN: &str = "boot.new";

/// Takes the next number; it is durable when this returns.
///
/// A folder without one, or with one that does not read, starts at a random place: the gateway may
/// have had another folder, or this one before its card was wiped. So does one that cannot be
/// written now, for this start only.
pub(super) fn next(root: &Path) -> u64 {
    advance(root).unwrap_or_else(|error| {
        let number = random();
        log::warn!("{}: cannot update the boot id ({error}), using {number:x}", root.display());
        number
    })
}

fn advance(root: &Path) -> io::Result<u64> {
    fs::create_dir_all(root)?;
    let number = match fs::read_to_string(root.join(NAME)) {
        Ok(text) => parse(&text).map_or_else(random, |last| last.wrapping_add(1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => random(),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => random(),
        Err(error) => return Err(error),
    };
    let text = format!("{number:x} {:08x}\n", crc32fast::hash(&number.to_le_bytes()));
    write_atomic_through(&root.join(WRITTEN), &root.join(NAME), text.as_bytes())?;
    Ok(number)
}

fn parse(text: &str) -> Option<u64> {
    let (number, crc) = text.trim().split_once(' ')?;
    let number = u64::from_str_radix(number, 16).ok()?;
    (u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(&number.to_le_bytes())).then_some(number)
}

/// A number that another folder is unlikely to have started at, short enough for an id.
fn random() -> u64 {
    RandomState::new().hash_one(NAME) >> 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_the_last_and_a_damaged_one_starts_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let first = next(dir.path());
        assert_eq!(next(dir.path()), first + 1);
        assert_eq!(next(dir.path()), first + 2);
        fs::write(dir.path().join(NAME), "3 00000000\n").unwrap();
        assert_ne!(next(dir.path()), 4);
        fs::write(dir.path().join(NAME), [0xff; 20]).unwrap();
        assert_ne!(next(dir.path()), first + 3);
    }
}
