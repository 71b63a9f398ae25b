//! A model on its way to the disk and back, and windows kept again and again.

use std::path::Path;
use std::time::Instant;

use inferd::ids::Digest;
use inferd::store::models::ModelStore;
use inferd::store::{Settings, Store};
use sha2::{Digest as _, Sha256};

use crate::figures::{device_bytes, rss, written_bytes};

const MODEL: usize = 4_000_000;
/// As an update brings it.
const CHUNK: usize = 64 * 1024;
/// A device of forty samples with six channels.
const DEVICE: usize = 1_020;

pub(crate) fn settings(dir: &Path) -> Settings {
    Settings { dir: dir.to_owned(), max_bytes: 1 << 30, max_records: 1 << 30, reserve_bytes: 0 }
}

pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

pub(crate) fn model(dir: &Path) {
    let bytes = noise(MODEL, 1);
    let digest = Digest(Sha256::digest(&bytes).into());
    let versions = ModelStore::open(&settings(dir)).unwrap();
    let before = rss();
    let started = Instant::now();
    let mut writer = versions.begin(digest, bytes.len() as u64).unwrap();
    for (place, chunk) in bytes.chunks(CHUNK).enumerate() {
        writer.put((place * CHUNK) as u64, chunk).unwrap();
    }
    let stored = writer.finish().unwrap();
    let stored_in = started.elapsed();
    assert_eq!(stored.bytes(), bytes);
    drop(stored);
    let grown = rss().saturating_sub(before);
    let started = Instant::now();
    let loaded = versions.read(digest).unwrap();
    let loaded_in = started.elapsed();
    assert_eq!(loaded.bytes(), bytes);
    let disk: u64 = versions.held().unwrap().iter().map(|held| held.disk_bytes).sum();
    println!(
        "\nA model of 4 MB: stored and verified in {:.0} ms, loaded and verified in {:.0} ms, \
         {:.1} MB on disk, {:.1} MB of memory added",
        stored_in.as_secs_f64() * 1e3,
        loaded_in.as_secs_f64() * 1e3,
        disk as f64 / 1e6,
        grown as f64 / 1e6
    );
}

/// What a save of windows writes, by the number of devices.
pub(crate) fn windows(dir: &Path) {
    const SAVES: u64 = 200;
    println!("\nWindows saved again and again (1 KB a device), for each byte of them:\n");
    println!("| devices | device bytes | written bytes | syncs a save |");
    println!("|---|---|---|---|");
    let (mut store, _) = Store::open(&settings(dir)).unwrap();
    for devices in [1, 10, 100, 1_000] {
        let (written, device, syncs) = (written_bytes(), device_bytes(dir), store.usage().syncs);
        for save in 0..SAVES {
            store.put("windows/bench", &noise(devices * DEVICE, save)).unwrap();
        }
        let bytes = (SAVES * (devices * DEVICE) as u64) as f64;
        println!(
            "| {devices} | {:.2} | {:.2} | {:.2} |",
            (device_bytes(dir) - device) as f64 / bytes,
            (written_bytes() - written) as f64 / bytes,
            (store.usage().syncs - syncs) as f64 / SAVES as f64
        );
    }
}
