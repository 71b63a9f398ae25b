use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::database::Database;
use super::*;
use crate::ids::StreamName;
use crate::message::{Outgoing, Qos};

fn settings(dir: &Path) -> Settings {
    Settings { dir: dir.to_owned(), max_bytes: 64 << 20, max_records: 1_000_000, reserve_bytes: 0 }
}

fn open(dir: &Path) -> (Store, OpenReport) {
    Store::open(&settings(dir)).unwrap()
}

fn record(seq: u64, priority: u8, payload: &[u8]) -> Record {
    let message = Outgoing {
        topic: format!("predictions/motion/watch-{}", seq % 7),
        payload: payload.to_vec().into(),
        content_type: "application/json".into(),
        properties: vec![("model".into(), "motion".into()), ("version".into(), "1.4.0".into())],
        correlation: seq.is_multiple_of(2).then(|| vec![1, 2, 3].into()),
        retain: seq.is_multiple_of(3),
        qos: if seq.is_multiple_of(5) { Qos::AtMostOnce } else { Qos::AtLeastOnce },
    };
    let stream = StreamName::parse(if priority == 0 { "motion" } else { "alarm" }).unwrap();
    Record { seq: Seq(seq), stream, priority, message: Arc::new(message) }
}

/// sled reads and writes at places in one file, by these calls.
#[test]
fn a_file_of_more_than_four_gibibytes_has_its_bytes_at_their_places() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let file = tempfile::tempfile().unwrap();
    let (low, high) = (0x1000, 0x1_4000_1000);
    file.write_all_at(b"low", low).unwrap();
    file.write_all_at(b"high", high).unwrap();
    let mut read = [0; 4];
    file.read_exact_at(&mut read, high).unwrap();
    assert_eq!(&read, b"high");
    file.read_exact_at(&mut read[..3], low).unwrap();
    assert_eq!(&read[..3], b"low");
    assert_eq!(file.metadata().unwrap().size(), high + 4);
    assert!(file.metadata().unwrap().blocks() < 1 << 20, "a file with a hole");
}

/// Bytes that no compression makes smaller.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn records(seqs: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    seqs.map(|seq| record(seq, 0, &noise(300, seq))).collect()
}

fn load_all(store: &mut Store) -> Vec<Record> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let loaded = store.load(after, 10).unwrap();
        all.extend(loaded.records);
        after = loaded.through;
        if loaded.end {
            return all;
        }
    }
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq.0).collect()
}

/// The values of a batch in slots of its own.
fn values(packed: &batch::PackedBatch) -> Vec<(u32, Vec<u8>)> {
    let slots: Vec<u32> = (10..10 + u32::from(packed.header().pieces)).collect();
    packed.values(&slots).collect()
}

fn unpack(values: &[(u32, Vec<u8>)]) -> Option<Vec<Record>> {
    batch::unpack(values.iter().map(|(slot, value)| (*slot, value.as_slice())))
}

#[test]
fn a_batch_reads_back_as_it_was_whatever_its_size() {
    for len in [0, 1, 300, 4095, 4096, 5000, 100_000] {
        for payload in [noise(len, 1), vec![b'x'; len]] {
            let group = [record(7, 3, &payload), record(9, 3, &payload)];
            let [packed] = &batch::pack(&group)[..] else { panic!("one priority, one batch") };
            let values = values(packed);
            assert!(values.iter().all(|(_, value)| value.len() <= batch::MAX_VALUE_SIZE));
            let bytes: usize = values.iter().map(|(_, value)| value.len()).sum();
            assert_eq!(packed.bytes(), bytes as u64);
            assert_eq!(unpack(&values).unwrap(), group);
        }
    }
}

#[test]
fn a_batch_with_any_bit_wrong_or_any_byte_missing_is_none() {
    let group = [record(7, 3, &noise(5000, 1)), record(8, 3, b"{\"score\":0.94}")];
    let good = values(&batch::pack(&group)[0]);
    assert_eq!(unpack(&good).unwrap(), group);
    let last = good.len() - 1;
    for at in 0..good[last].1.len() {
        for bit in 0..8 {
            let mut wrong = good.clone();
            wrong[last].1[at] ^= 1 << bit;
            assert_eq!(unpack(&wrong), None, "bit {bit} of byte {at}");
        }
        let mut cut = good.clone();
        cut[last].1.truncate(at);
        assert_eq!(unpack(&cut), None, "cut at {at}");
    }
    assert_eq!(unpack(&good[1..]), None, "without its first piece");
    assert_eq!(unpack(&good[..last]), None, "without its last piece");
    let moved: Vec<_> = good.iter().map(|(slot, value)| (slot + 1, value.clone())).collect();
    assert_eq!(unpack(&moved), None, "in another slot");
}

#[test]
fn results_wait_across_a_restart_in_order_and_go_when_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, found) = open(dir.path());
    assert_eq!(found.opened, Opened { next: Seq(1), records: 0 });
    assert_eq!(store.append(&records(1..=20)).unwrap(), []);
    assert_eq!(store.append(&records(21..=30)).unwrap(), []);
    drop(store);
    let (mut store, found) = open(dir.path());
    assert_eq!(found.opened, Opened { next: Seq(31), records: 30 });
    assert_eq!(load_all(&mut store), records(1..=30));
    store.remove(&(1..=20).map(Seq).collect::<Vec<_>>()).unwrap();
    assert_eq!(seqs(&load_all(&mut store)), (21..=30).collect::<Vec<_>>());
    drop(store);
    let (mut store, found) = open(dir.path());
    assert_eq!(found.opened.records, 10);
    assert_eq!(load_all(&mut store), records(21..=30));
}

#[test]
fn a_batch_goes_when_the_last_of_it_is_removed_and_its_sent_part_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    store.append(&records(1..=4)).unwrap();
    load_all(&mut store);
    store.remove(&[Seq(1), Seq(3)]).unwrap();
    assert_eq!(seqs(&load_all(&mut store)), [2, 4]);
    assert_eq!(store.usage().records, 4);
    store.remove(&[Seq(4), Seq(2), Seq(2), Seq(99)]).unwrap();
    assert_eq!(store.usage().records, 0);
    assert_eq!(store.usage().bytes, 0);
}

#[test]
fn what_was_never_loaded_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let group = [record(1, 0, b"a"), record(2, 9, b"b"), record(3, 0, b"c")];
    store.append(&group).unwrap();
    store.remove(&[Seq(2)]).unwrap();
    assert_eq!(seqs(&load_all(&mut store)), [1, 3]);
    store.remove(&[Seq(3)]).unwrap();
    assert_eq!(seqs(&load_all(&mut store)), [1]);
}

#[test]
fn groups_of_several_priorities_come_back_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    for first in [1, 5, 9] {
        let group: Vec<Record> =
            (first..first + 4).map(|seq| record(seq, u8::from(seq % 2 == 0), b"x")).collect();
        store.append(&group).unwrap();
    }
    let all = seqs(&load_all(&mut store));
    let of = |odd| all.iter().copied().filter(|seq| seq % 2 == odd).collect::<Vec<_>>();
    assert_eq!((of(1), of(0)), (vec![1, 3, 5, 7, 9, 11], vec![2, 4, 6, 8, 10, 12]));
    assert_eq!(all[0], 1);
}

/// Of a size that makes a batch of its own.
fn large(seqs: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    seqs.map(|seq| record(seq, 0, &noise(2500, seq))).collect()
}

#[test]
fn the_record_bound_evicts_the_oldest_of_the_least_priority() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Settings { max_records: 10, ..settings(dir.path()) };
    let (mut store, _) = Store::open(&limits).unwrap();
    store.append(&[record(1, 9, b"alarm")]).unwrap();
    for first in [2, 5, 8] {
        assert_eq!(store.append(&large(first..=first + 2)).unwrap(), []);
    }
    let motion = StreamName::parse("motion").unwrap();
    assert_eq!(store.append(&large(11..=11)).unwrap(), [(motion.clone(), 3)]);
    assert_eq!(seqs(&load_all(&mut store)), [1, 5, 6, 7, 8, 9, 10, 11]);
    let alarms: Vec<Record> = (12..=20).map(|seq| record(seq, 9, b"alarm")).collect();
    assert_eq!(store.append(&alarms).unwrap(), [(motion.clone(), 7)]);
    assert_eq!(store.append(&large(21..=21)).unwrap(), [(motion, 1)], "alarms stay");
    assert_eq!(store.usage().records, 10);
    assert_eq!(store.usage().evicted, 11);
}

#[test]
fn results_that_come_one_by_one_share_a_batch_until_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    for seq in 1..=40 {
        store.append(&records(seq..=seq)).unwrap();
    }
    let first = store.load(None, 1).unwrap();
    assert!((5..=8).contains(&first.records.len()), "{} in the first", first.records.len());
    assert_eq!(load_all(&mut store), records(1..=40));
    store.append(&records(41..=41)).unwrap();
    let last = store.load(Some(Seq(40)), 1).unwrap();
    assert_eq!(last.records, records(41..=41), "not hidden in a batch that was read");
    drop(store);
    assert_eq!(load_all(&mut open(dir.path()).0), records(1..=41));
}

#[test]
fn state_is_replaced_whole_and_survives_a_restart_and_a_fresh_generation() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    assert_eq!(store.get("windows.motion").unwrap(), None);
    for len in [100_000, 3, 0, 9000] {
        store.put("windows.motion", &noise(len, 5)).unwrap();
        store.put("windows", b"another").unwrap();
        assert_eq!(store.get("windows.motion").unwrap(), Some(noise(len, 5)));
    }
    fill_and_drain(&mut store, 8 << 20);
    drop(store);
    let (mut store, _) = open(dir.path());
    assert_eq!(store.get("windows.motion").unwrap(), Some(noise(9000, 5)));
    assert_eq!(store.get("windows").unwrap(), Some(b"another".to_vec()));
}

fn fill_and_drain(store: &mut Store, bytes: u64) {
    let mut seq = 0;
    while store.usage().bytes < bytes {
        store.append(&records(seq + 1..=seq + 256)).unwrap();
        seq += 256;
    }
    let all: Vec<Seq> = load_all(store).iter().map(|record| record.seq).collect();
    all.chunks(256).for_each(|seqs| store.remove(seqs).unwrap());
    assert_eq!(store.usage().records, 0);
}

#[test]
fn an_empty_database_that_has_grown_gives_its_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    let floor = store.usage().disk_bytes;
    fill_and_drain(&mut store, 8 << 20);
    let after = store.usage().disk_bytes;
    assert!(after <= floor + (1 << 20), "{after} bytes on disk, {floor} when it was new");
    assert!(dir.path().join("results-2").is_dir());
    assert!(!dir.path().join("results-1").exists());
    store.append(&records(1..=4)).unwrap();
    drop(store);
    assert_eq!(open(dir.path()).1.opened.records, 4);
}

#[test]
fn every_flush_goes_through_our_barrier() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    for seq in 1..=10 {
        let before = barrier::calls();
        store.append(&records(seq..=seq)).unwrap();
        assert!(barrier::calls() > before, "group {seq} was acknowledged without a sync");
    }
}

#[test]
fn a_generation_that_was_not_finished_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    store.append(&records(1..=4)).unwrap();
    drop(store);
    drop(Database::open(&dir.path().join("results-2")).unwrap());
    let (mut store, found) = open(dir.path());
    assert_eq!(found.quarantined, None);
    assert_eq!(load_all(&mut store), records(1..=4));
    assert!(!dir.path().join("results-2").exists());
}

#[test]
fn another_format_is_refused_and_left_alone() {
    for found in [0u32, 1, 9] {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = open(dir.path());
        store.append(&records(1..=4)).unwrap();
        drop(store);
        let write = |format: u32| {
            let database = Database::open(&dir.path().join("results-1")).unwrap();
            let format = format.to_le_bytes();
            database.act(|tree| Ok(tree.insert(b"format", &format).map(|_| ())?)).unwrap();
        };
        write(found);
        let error = Store::open(&settings(dir.path())).unwrap_err();
        let newer = matches!(&error, StoreError::Newer { found, .. } if *found == 9);
        let older = matches!(&error, StoreError::Older { found, .. } if *found < 2);
        assert!(newer != older, "{error}");
        assert!(error.to_string().contains("move the folder"), "{error}");
        write(generation::FORMAT);
        assert_eq!(load_all(&mut open(dir.path()).0), records(1..=4), "nothing was changed");
    }
}

#[test]
fn a_torn_snapshot_does_not_keep_the_database_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path());
    store.append(&records(1..=4)).unwrap();
    drop(store);
    let torn = dir.path().join("results-1/snap.00000000000000FF.generating");
    fs::write(&torn, b"torn").unwrap();
    let (mut store, found) = open(dir.path());
    assert_eq!(found.quarantined, None);
    assert_eq!(load_all(&mut store), records(1..=4));
    assert!(!torn.exists());
}

#[test]
fn a_foreign_database_is_set_aside_and_only_the_last_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..2u8 {
        let (store, _) = open(dir.path());
        let current = store_dir(dir.path());
        drop(store);
        fs::write(current.join("round"), [round]).unwrap();
        fs::write(current.join("db"), vec![round + 1; 100_000]).unwrap();
        fs::remove_dir_all(current.join("blobs")).unwrap();
        for snapshot in fs::read_dir(&current).unwrap().map(Result::unwrap) {
            if snapshot.file_name().to_string_lossy().starts_with("snap.") {
                fs::write(snapshot.path(), b"foreign").unwrap();
            }
        }
        let (mut store, found) = open(dir.path());
        assert!(found.quarantined.is_some(), "round {round}");
        assert_eq!(store.usage().quarantined, 1);
        store.append(&records(1..=4)).unwrap();
        assert_eq!(fs::read(dir.path().join("quarantine/round")).unwrap(), [round]);
    }
}

fn store_dir(root: &Path) -> PathBuf {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let is_results =
        |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("results-");
    entries.filter(is_results).max().unwrap()
}

#[test]
fn a_file_where_the_folder_should_be_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    fs::write(&root, b"a file").unwrap();
    let error = Store::open(&settings(&root)).unwrap_err();
    assert!(error.to_string().contains("store"), "{error}");
}

#[test]
fn the_reserve_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let reserve = Settings { reserve_bytes: u64::MAX, ..settings(dir.path()) };
    let (mut store, _) = Store::open(&reserve).unwrap();
    let error = store.append(&records(1..=4)).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(store.usage().records, 0);
    store.put("windows", b"small state is kept all the same").unwrap();
}
