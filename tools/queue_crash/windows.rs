//! The same for saved windows: additions to a base, and now and then a new base for all of them.
//!
//! An addition is a number and noise, a base the number that comes next. What an addition says is
//! acknowledged when it is kept, and must be found in it or in a later base.

use std::path::Path;

use inferd::pipeline::JournalEntry;
use inferd::store::Store;
use inferd::store::windows::{OnDisk, Windows};

use crate::{Failure, say, say_state, settings};

const NAME: &str = "windows/motion";
/// One in so many saves is a base.
const BASES: u8 = 12;

pub(crate) fn write(dir: &Path, seed: u64, rounds: u64) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut store, _) = Store::open(&settings(dir))?;
    let mut next = kept(&mut store)?.0;
    let mut on_disk = OnDisk::default();
    let (mut base, mut first) = (0, next);
    for round in 0..rounds {
        let mut windows = Windows::default();
        if round == 0 || random.u8(..BASES) == 0 {
            (base, first) = (random.u64(..), next);
            windows = Windows::base(base, bytes(base, next, random.usize(..20_000)));
        }
        let last = next + random.u64(0..3);
        for number in next..=last {
            let (from, upto) = (number - first, number - first + 1);
            let bytes = bytes(base, number, random.usize(..6_000));
            let entries = vec![JournalEntry { base, from, upto, bytes }];
            windows.append(Windows { base: None, entries });
        }
        say(&format!("TRY {next} {last}"));
        store.put_windows(NAME, &windows, &mut on_disk)?;
        say(&format!("ACK {last}"));
        next = last + 1;
    }
    std::process::abort()
}

pub(crate) fn check(dir: &Path) -> Result<(), Failure> {
    let (mut store, _) = Store::open(&settings(dir))?;
    let (next, wrong) = kept(&mut store)?;
    say_state(&(0..next).collect::<Vec<_>>(), wrong);
    // Saving must also go on working.
    let mut windows = Windows::base(1, bytes(1, next, 100));
    let entries = vec![JournalEntry { base: 1, from: 0, upto: 1, bytes: bytes(1, next, 100) }];
    windows.append(Windows { base: None, entries });
    store.put_windows(NAME, &windows, &mut OnDisk::default())?;
    match kept(&mut store)? {
        (found, 0) if found == next + 1 => Ok(()),
        other => Err(format!("what was kept last reads as {other:?}").into()),
    }
}

/// The number that comes next, and how many values were not as they were written or not in order.
fn kept(store: &mut Store) -> Result<(u64, usize), Failure> {
    let number = |base: &[u8]| Some(read(base)?.0);
    let Some(kept) = store.get_windows(NAME, number)? else { return Ok((0, 0)) };
    let Some((base, mut next)) = read(&kept.base) else { return Ok((0, 1)) };
    let mut wrong = 0;
    for addition in kept.entries {
        match read(&addition) {
            Some(found) if found == (base, next) => next += 1,
            _ => wrong += 1,
        }
    }
    Ok((next, wrong))
}

fn bytes(base: u64, number: u64, len: usize) -> Vec<u8> {
    let mut noise = vec![0; len];
    fastrand::Rng::with_seed(number).fill(&mut noise);
    [&base.to_le_bytes()[..], &number.to_le_bytes(), &noise].concat()
}

/// The base and the number, where the noise is theirs.
fn read(value: &[u8]) -> Option<(u64, u64)> {
    let (base, rest) = value.split_first_chunk()?;
    let (number, noise) = rest.split_first_chunk()?;
    let (base, number) = (u64::from_le_bytes(*base), u64::from_le_bytes(*number));
    (bytes(base, number, noise.len()) == value).then_some((base, number))
}
