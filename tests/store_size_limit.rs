//! What the store takes on the disk, whatever is done to it: never more than it was told.
//! `INFERD_BOUNDS="8 64 256"` asks for other bounds, in mebibytes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use inferd::outbox::{Record, Seq};
use inferd::store::{Settings, Store};

use crate::store::{noise, record};

/// A twentieth over the bound is allowed at any instant, by what the files take on the disk.
const ALLOWED: f64 = 1.05;

#[test]
fn disk_use_stays_within_the_bound_at_every_instant() {
    let megabytes = std::env::var("INFERD_BOUNDS").unwrap_or_else(|_| "12".into());
    for (seed, megabytes) in (1..).zip(megabytes.split(' ').map(|m| m.parse::<u64>().unwrap())) {
        let dir = tempfile::tempdir().unwrap();
        let bound = megabytes << 20;
        let (most, held) = watched(dir.path(), || churn(dir.path(), bound, seed));
        let ratio = most as f64 / bound as f64;
        println!("bound {bound}: at most {most} on disk ({ratio:.3}), {held} bytes of results");
        assert!(ratio <= ALLOWED, "{most} bytes on disk, {bound} were allowed");
        assert!(held as f64 > 0.3 * (bound - (6 << 20)) as f64, "only {held} bytes of results");
    }
}

/// Fills and drains in groups of every size, with restarts between. The most bytes of results that
/// waited.
fn churn(dir: &Path, bound: u64, seed: u64) -> u64 {
    let settings =
        Settings { dir: dir.to_owned(), max_bytes: bound, max_records: 1 << 30, reserve_bytes: 0 };
    let mut random = fastrand::Rng::with_seed(seed);
    let bytes = Bytes::from(noise(1 << 20, seed));
    let mut held = 0;
    let mut next = 1;
    for _ in 0..3 {
        let (mut store, _) = Store::open(&settings).unwrap();
        let (size, group) = (random.usize(50..6000), random.u64(16..200));
        for _ in 0..3 {
            // More than can wait, so that the oldest makes room.
            let mut pushed = 0;
            while pushed < bound {
                let records: Vec<Record> = (next..next + group)
                    .map(|seq| sized(seq, &bytes, random.usize(size / 2..size * 2)))
                    .collect();
                pushed += records.iter().map(|r| r.message.payload.len() as u64).sum::<u64>();
                next += group;
                store.append(&records).unwrap();
                held = held.max(store.usage().bytes);
            }
            drain(&mut store, random.f64(), random.bool(), &mut random);
        }
        drain(&mut store, f64::from(random.bool()), false, &mut random);
    }
    held
}

fn drain(store: &mut Store, part: f64, scattered: bool, random: &mut fastrand::Rng) {
    let mut after = None;
    let left = store.usage().records as f64 * (1.0 - part);
    while store.usage().records as f64 > left {
        let loaded = store.load(after, 64).unwrap();
        after = loaded.through;
        let keep = |_: &&Record| !scattered || random.u8(..) > 3;
        let seqs: Vec<Seq> = loaded.records.iter().filter(keep).map(|r| r.seq).collect();
        store.remove(&seqs).unwrap();
        if loaded.end {
            return;
        }
    }
}

/// A part of the noise, another for every number.
fn sized(seq: u64, noise: &Bytes, len: usize) -> Record {
    let mut record = record(seq);
    let at = usize::try_from(seq * 7919).unwrap() % (noise.len() - len);
    Arc::make_mut(&mut record.message).payload = noise.slice(at..at + len);
    record
}

/// Looks at the folder again and again while `act` runs: the most it took.
fn watched(dir: &Path, act: impl FnOnce() -> u64) -> (u64, u64) {
    let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let held = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                most.fetch_max(bytes_below(dir), Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let held = act();
        done.store(true, Ordering::Release);
        held
    });
    (most.into_inner(), held)
}

/// Files come and go while we look.
fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(bytes).sum()
}
