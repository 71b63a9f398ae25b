//! The store under what happens to disks: wrong bytes, and no room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inferd::ids::StreamName;
use inferd::message::{Outgoing, Qos};
use inferd::outbox::{Record, Seq};
use inferd::store::{Settings, Store, StoreError};

use crate::common::disk::SmallDisk;

/// Random damages by default; `INFERD_DAMAGES` asks for more.
const DAMAGES: u32 = 1000;

#[test]
fn a_program_with_sled_in_it_has_our_barrier() {
    let programs = [option_env!("CARGO_BIN_EXE_inferd"), option_env!("CARGO_BIN_EXE_inferctl")];
    for program in programs.into_iter().flatten() {
        let Ok(output) = Command::new("nm").arg(program).output() else {
            println!("NOT TESTED: the symbols of {program}, nm is absent");
            return;
        };
        let symbols = String::from_utf8_lossy(&output.stdout);
        let has_sled = symbols.contains("4sled9pagecache");
        for barrier in ["sync_file_range", "rename"] {
            let ours = symbols.lines().any(|line| line.ends_with(&format!(" T {barrier}")));
            assert!(ours || !has_sled, "{program} would use the C library's {barrier}");
        }
        assert!(has_sled || !program.ends_with("inferd"), "{program} has no sled in it?");
    }
}

#[test]
fn wrong_bytes_anywhere_never_keep_the_store_from_opening() {
    let damages = std::env::var("INFERD_DAMAGES").ok().and_then(|n| n.parse().ok());
    let damages: u32 = damages.unwrap_or(DAMAGES);
    let dir = tempfile::tempdir().unwrap();
    let (good, hurt) = (dir.path().join("good"), dir.path().join("hurt"));
    make_queue(&good);
    let mut random = fastrand::Rng::with_seed(7);
    let (mut whole, mut quarantined) = (0, 0);
    for round in 0..damages {
        copy(&good, &hurt);
        let what = damage(&hurt, &mut random);
        let started = Instant::now();
        let opened = Store::open(&settings(&hurt));
        let (mut store, found) =
            opened.unwrap_or_else(|error| panic!("round {round}, {what}: {error}"));
        assert!(started.elapsed() < Duration::from_secs(5), "round {round}, {what}: too slow");
        let records = load_all(&mut store);
        assert!(records.iter().all(|r| *r == record(r.seq.0)), "round {round}, {what}: wrong");
        store.append(&[record(1000)]).unwrap();
        assert_eq!(load_all(&mut store).last().unwrap().seq, Seq(1000));
        whole += u32::from(records.len() == 300);
        quarantined += u32::from(found.quarantined.is_some());
    }
    println!("{damages} damages: {whole} lost nothing, {quarantined} set the database aside");
}

/// Three hundred results, some removed, state beside them, and an open or two in its past.
fn make_queue(dir: &Path) {
    for part in 0..3 {
        let (mut store, _) = Store::open(&settings(dir)).unwrap();
        for first in (part * 110 + 1..=part * 110 + 110).step_by(10) {
            store.append(&(first..first + 10).map(record).collect::<Vec<_>>()).unwrap();
        }
        store.put("windows.motion", &[7; 10_000]).unwrap();
    }
    let (mut store, _) = Store::open(&settings(dir)).unwrap();
    store.remove(&(1..=30).map(Seq).collect::<Vec<_>>()).unwrap();
    assert_eq!(load_all(&mut store).len(), 300);
}

/// Hurts one file and says how.
fn damage(dir: &Path, random: &mut fastrand::Rng) -> String {
    let files = files_below(dir);
    // The database's own file most of the time.
    let db = files.iter().find(|path| path.ends_with("db")).unwrap();
    let path = if random.u8(..) < 160 { db } else { random.choice(&files).unwrap() };
    let mut bytes = fs::read(path).unwrap();
    let at = random.usize(..bytes.len().max(1));
    let end = (at + random.usize(1..8192)).min(bytes.len());
    let how = match random.u8(..6) {
        0 | 1 if !bytes.is_empty() => {
            bytes[at] ^= 1 << random.u8(..8);
            "a bit flipped"
        }
        2 => {
            bytes[at.min(end)..end].fill(0);
            "a stretch zeroed"
        }
        3 => {
            bytes[at.min(end)..end].fill_with(|| random.u8(..));
            "a stretch of noise"
        }
        4 => {
            bytes.truncate(at);
            "cut short"
        }
        _ => {
            bytes.fill(0);
            "all zeros"
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{} {how} at {at}", path.display())
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files.extend(files_below(&entry)) } else { files.push(entry) }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_disk_that_is_too_small_keeps_the_newest_and_goes_on() {
    let Some(disk) = SmallDisk::mount(12) else { return };
    let root = disk.path().join("store");
    let (mut store, _) = Store::open(&settings(&root)).unwrap();
    let mut waiting = Vec::new();
    let (mut failed, mut evicted) = (0, 0);
    for first in (1..=30_000).step_by(50) {
        let group: Vec<Record> = (first..first + 50).map(record).collect();
        match store.append(&group) {
            Ok(gone) => {
                waiting.extend(group);
                let gone: u64 = gone.iter().map(|(_, count)| count).sum();
                waiting.drain(..usize::try_from(gone).unwrap());
                evicted += gone;
            }
            Err(StoreError::Full { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    println!("{} wait, {evicted} evicted, {failed} groups refused", waiting.len());
    assert_eq!(waiting.len() as u64 + evicted + failed * 50, 30_000, "each is accounted for");
    assert!(waiting.len() > 4_000, "only {} results on a disk of 12 MB", waiting.len());
    assert!(evicted > 0, "the newest took no older one's place");
    assert_eq!(seqs(&load_all(&mut store)), seqs(&waiting));
    // A start in a folder without any room.
    let filler = disk.fill();
    drop(store);
    let opened = Store::open(&settings(&root));
    fs::remove_file(filler).unwrap();
    match opened {
        Ok((store, found)) => {
            assert_eq!(found.quarantined, None, "a full disk is not a broken one");
            drop(store);
        }
        Err(StoreError::Full { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    let (mut store, found) = Store::open(&settings(&root)).unwrap();
    assert_eq!(found.quarantined, None);
    assert_eq!(load_all(&mut store), waiting);
    store.remove(&seqs(&waiting).into_iter().map(Seq).collect::<Vec<_>>()).unwrap();
    store.append(&[record(40_000)]).unwrap();
    assert_eq!(seqs(&load_all(&mut store)), [40_000]);
}

#[test]
fn a_disk_that_fills_up_at_any_step_costs_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::mount(12) else { return };
    for step in 0..4 {
        let root = disk.path().join(format!("store-{step}"));
        let (mut store, _) = Store::open(&settings(&root)).unwrap();
        let group: Vec<Record> = (1..=50).map(record).collect();
        store.append(&group).unwrap();
        store.put("windows.motion", b"before").unwrap();
        let filler = disk.fill();
        let more: Vec<Record> = (51..=250).map(record).collect();
        // What has room left in the file may succeed; what has not must fail, and neither may hurt.
        match step {
            0 => assert!(store.append(&more).is_err(), "found room on a full disk"),
            1 => assert!(store.put("windows.motion", &noise(400_000, 1)).is_err()),
            2 => drop(store.remove(&[Seq(1)])),
            _ => drop(store.load(None, 10)),
        }
        fs::remove_file(filler).unwrap();
        assert!(load_all(&mut store).len() >= 49, "step {step}");
        store.append(&more).unwrap_or_else(|error| panic!("step {step}: {error}"));
        drop(store);
        let (mut store, found) = Store::open(&settings(&root)).unwrap();
        assert_eq!(found.quarantined, None, "step {step}");
        let expected: Vec<u64> = (1..=250).collect();
        assert_eq!(seqs(&load_all(&mut store)), expected, "step {step}");
        assert!(store.get("windows.motion").unwrap().is_some(), "step {step}");
        drop(store);
        fs::remove_dir_all(&root).unwrap();
    }
}

fn settings(dir: &Path) -> Settings {
    Settings { dir: dir.to_owned(), max_bytes: 1 << 30, max_records: 1 << 20, reserve_bytes: 0 }
}

pub(crate) fn record(seq: u64) -> Record {
    let payload = noise(400, seq);
    let message = Outgoing {
        topic: format!("predictions/motion/watch-{}", seq % 7),
        payload: payload.into(),
        content_type: "application/octet-stream".into(),
        properties: Vec::new(),
        correlation: None,
        retain: false,
        qos: Qos::AtLeastOnce,
    };
    let stream = StreamName::parse("motion").unwrap();
    Record { seq: Seq(seq), stream, priority: 0, message: Arc::new(message) }
}

pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq.0).collect()
}

fn load_all(store: &mut Store) -> Vec<Record> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let loaded = store.load(after, 1000).unwrap();
        all.extend(loaded.records);
        after = loaded.through;
        if loaded.end {
            return all;
        }
    }
}
