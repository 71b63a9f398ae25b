use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::ids::ModelName;
use crate::store::Store;
use crate::update::machine::Record;
use crate::update::{StagedVersion, VersionSlot, VersionSlots};

fn settings(dir: &Path) -> Settings {
    Settings { dir: dir.to_owned(), max_bytes: 64 << 20, max_records: 1000, reserve_bytes: 0 }
}

fn fresh() -> (TempDir, ModelStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ModelStore::open(&settings(dir.path())).unwrap();
    (dir, store)
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Bytes as weights are: nothing to compress, nothing alike.
fn model(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| random.u8(..)).collect()
}

fn store_all(store: &ModelStore, bytes: &[u8]) -> VerifiedBytes {
    let mut writer = store.begin(digest(bytes), bytes.len() as u64).unwrap();
    for (place, piece) in bytes.chunks(65_536).enumerate() {
        writer.put(place as u64 * 65_536, piece).unwrap();
    }
    writer.finish().unwrap()
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_version_reads_back_verified_by_this_process_and_the_next() {
    let (dir, store) = fresh();
    for len in [1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 700_001] {
        let bytes = model(len, 1);
        let verified = store_all(&store, &bytes);
        assert_eq!((verified.digest(), verified.bytes()), (digest(&bytes), bytes.as_slice()));
        let again = ModelStore::open(&settings(dir.path())).unwrap();
        assert_eq!(again.read(digest(&bytes)).unwrap(), verified);
    }
    let held = store.held().unwrap();
    assert_eq!(held.len(), 5);
    assert!(held.iter().any(|held| held.size == Some(700_001) && held.disk_bytes > 700_001));
}

#[test]
fn what_is_not_whole_is_not_read_and_is_gone_on_with() {
    let (_dir, store) = fresh();
    let bytes = model(3 << 20, 2);
    let name = digest(&bytes);
    let mut writer = store.begin(name, bytes.len() as u64).unwrap();
    writer.put(0, &bytes[..2_500_000]).unwrap();
    drop(writer);
    assert!(matches!(store.read(name), Err(ModelStoreError::NotHeld(_))));
    assert_eq!(store.held().unwrap()[0].size, None);
    let mut writer = store.begin(name, bytes.len() as u64).unwrap();
    let position = writer.position();
    assert!((2 << 20..=2_500_000).contains(&position), "{position}");
    // Pieces of another size, from a border before what is there.
    let from = usize::try_from(position).unwrap() / 65_536 * 65_536;
    writer.put(from as u64, &bytes[from..]).unwrap();
    assert_eq!(writer.finish().unwrap().bytes(), bytes);
}

#[test]
fn wrong_bytes_gaps_and_surplus_are_refused() {
    let (_dir, store) = fresh();
    let bytes = model(10_000, 3);
    let mut writer = store.begin(digest(b"another"), 10_000).unwrap();
    writer.put(0, &bytes).unwrap();
    assert!(matches!(writer.finish(), Err(ModelStoreError::Damaged { .. })));
    assert_eq!(store.held().unwrap(), [], "nothing of it is kept");

    let mut writer = store.begin(digest(&bytes), 10_000).unwrap();
    writer.put(0, &bytes[..100]).unwrap();
    for (offset, bytes) in [(101, &bytes[..1]), (100, &bytes[..9_901]), (u64::MAX, &bytes[..1])] {
        let refused = writer.put(offset, bytes);
        assert!(
            matches!(refused, Err(ModelStoreError::SizeMismatch { .. })),
            "{offset}: {refused:?}"
        );
    }
    assert!(
        matches!(writer.finish(), Err(ModelStoreError::SizeMismatch { .. })),
        "bytes are missing"
    );
}

/// The folder as a kill leaves it after any piece: never read, and either gone on with or swept.
#[test]
fn a_kill_between_any_two_pieces_leaves_nothing_half_read() {
    let (dir, store) = fresh();
    let bytes = model(2_200_000, 4);
    let name = digest(&bytes);
    let mut writer = store.begin(name, bytes.len() as u64).unwrap();
    let images = tempfile::tempdir().unwrap();
    let mut taken = Vec::new();
    for (place, piece) in bytes.chunks(220_000).enumerate() {
        let image = images.path().join(place.to_string());
        copy_tree(dir.path(), &image);
        taken.push(image);
        writer.put(place as u64 * 220_000, piece).unwrap();
    }
    writer.finish().unwrap();
    for (place, image) in taken.iter().enumerate() {
        let store = ModelStore::open(&settings(image)).unwrap();
        assert!(matches!(store.read(name), Err(ModelStoreError::NotHeld(_))), "piece {place}");
        let mut writer = store.begin(name, bytes.len() as u64).unwrap();
        let position = writer.position();
        assert!(position <= place as u64 * 220_000, "piece {place}: {position}");
        if place % 2 == 0 {
            writer.put(position, &bytes[usize::try_from(position).unwrap()..]).unwrap();
            assert_eq!(writer.finish().unwrap().bytes(), bytes);
        } else {
            drop(writer);
            assert_eq!(store.sweep(&BTreeSet::new()).unwrap(), 1);
            assert_eq!(store.held().unwrap(), []);
        }
    }
}

#[test]
fn a_torn_mark_is_none() {
    let (dir, store) = fresh();
    let bytes = model(5_000, 5);
    store_all(&store, &bytes);
    let mark = dir.path().join(FOLDER).join(digest(&bytes).to_string()).join(COMPLETE_MARKER);
    for torn in ["", "50", "\0\0\0\0\0", "-1\n", "99999999999999999999\n"] {
        fs::write(&mark, torn).unwrap();
        assert!(matches!(store.read(digest(&bytes)), Err(ModelStoreError::NotHeld(_))), "{torn:?}");
    }
    fs::write(&mark, "4999\n").unwrap();
    assert!(matches!(store.read(digest(&bytes)), Err(ModelStoreError::Damaged { .. })));
}

#[test]
fn a_removed_version_gives_its_space_back() {
    let (dir, store) = fresh();
    let mut most = 0;
    for seed in 0..10 {
        let bytes = model(300_000, seed);
        let name = store_all(&store, &bytes).digest();
        store.sweep(&BTreeSet::from([name])).unwrap();
        let held = store.held().unwrap();
        assert_eq!(held.len(), 1, "the one before it is gone");
        most = most.max(held[0].disk_bytes);
    }
    assert!(bytes_below(&dir.path().join(FOLDER)).unwrap() <= most + (1 << 20));
}

#[test]
fn a_disk_without_room_beside_the_reserve_takes_no_model() {
    let dir = tempfile::tempdir().unwrap();
    let no_room = Settings { reserve_bytes: 1 << 60, ..settings(dir.path()) };
    let store = ModelStore::open(&no_room).unwrap();
    assert!(matches!(store.begin(digest(b""), 1), Err(ModelStoreError::Full { .. })));
}

#[test]
fn slots_change_as_one_and_survive_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let name = ModelName::parse("motion").unwrap();
    let slot = |text: &str| {
        let (manifest, digest) = (digest(b"a manifest"), digest(text.as_bytes()));
        VersionSlot { manifest, digest, version: text.into(), counter: 2 }
    };
    let staged = digest(b"1.6.0");
    let slots = VersionSlots {
        active: Some(slot("1.5.0")),
        previous: Some(VersionSlot { manifest: slot("1.4.0").digest, ..slot("1.4.0") }),
        candidate: Some(StagedVersion { manifest: staged, digest: staged }),
    };
    let record = Record { slots, min_counter: 1, ..Record::default() };
    let (mut store, _) = Store::open(&settings(dir.path())).unwrap();
    assert_eq!(store.version_record(&name).unwrap(), Record::default());
    store.set_version_record(&name, &record).unwrap();
    drop(store);
    let (mut store, _) = Store::open(&settings(dir.path())).unwrap();
    assert_eq!(store.version_record(&name).unwrap(), record);
    assert_eq!(store.versions_needed([&name]).unwrap().len(), 3);
    store.put("slots/motion", b"{\"active\": 7}").unwrap();
    let corrupt = store.version_record(&name).unwrap();
    assert_eq!(corrupt, Record::default(), "the built-in model is active");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Wherever bytes of a whole version go wrong, what is read is right or refused.
    #[test]
    fn damage_is_never_read_as_a_model(at in 0usize..1000, flip in 1u8.., run in 1usize..5000) {
        let (dir, store) = fresh();
        let bytes = model(60_000, 6);
        let name = store_all(&store, &bytes).digest();
        let path = dir.path().join(FOLDER).join(name.to_string()).join("db");
        let mut db = fs::read(&path).unwrap();
        let used = db.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        let at = used * at / 1000;
        db.iter_mut().skip(at).take(run).for_each(|byte| *byte ^= flip);
        fs::write(&path, &db).unwrap();
        match store.read(name) {
            Ok(verified) => prop_assert_eq!(verified.bytes(), &bytes),
            Err(error) => prop_assert!(
                matches!(error, ModelStoreError::Damaged { .. } | ModelStoreError::Failed { .. }),
                "{error}"
            ),
        }
        // Whatever is left, the version can be written again.
        let again = store_all(&store, &bytes);
        prop_assert_eq!(again.bytes(), &bytes);
    }
}
