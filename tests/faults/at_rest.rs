//! The daemon's folder: nothing is written while nothing has to be, and a broken database is set
//! aside and told.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use inferd::store::{Settings, Store};

use super::{aside, ready};
use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, MOTION, WHOLE, samples, without_window};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;
use crate::store::record;

/// Longer than the store waits with anything that it would write.
const WHILE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn nothing_is_written_while_the_broker_takes_every_result() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("a disk at rest", "mosquitto is not installed");
    };
    let gateway = Gateway::new(broker.port(), &format!("{MOTION}{WHOLE}"));
    gateway.ship("whole", without_window);
    let gateway = ready(gateway).await;
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    // The first inputs of a session are counted on disk.
    peer.publish("inputs/d", "\0".repeat(960)).await;
    peer.next().await;
    let syncs = |gateway: &Gateway| {
        gateway.ask(&["status"])["health"]["queue"]["disk"]["syncs"].as_u64().unwrap()
    };
    let state = gateway.dir().join("state");
    let (gateway, before) = aside(move || {
        let syncs = syncs(&gateway);
        (gateway, syncs)
    })
    .await;
    let written = last_write(&state);
    let mut results = 0;
    let started = Instant::now();
    while started.elapsed() < WHILE {
        peer.publish_all(&format!("sensors/watch-{results}/imu"), samples(0, 40)).await;
        peer.publish("inputs/d", "\0".repeat(960)).await;
        peer.next().await;
        peer.next().await;
        results += 1;
    }
    assert!(results > 3, "only {results} rounds");
    assert_eq!(last_write(&state), written, "a file was written to");
    let after = aside(move || syncs(&gateway)).await;
    assert_eq!(after, before, "syncs while {results} inputs of each stream came");
}

/// When the newest of the store's files was written to.
fn last_write(dir: &Path) -> SystemTime {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let newest = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { last_write(&entry.path()) } else { metadata.modified().unwrap() }
    });
    newest.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

#[test]
fn a_broken_database_is_set_aside_and_told_while_the_shipped_model_serves() {
    let mut gateway = Gateway::new(1, MOTION);
    let dir = gateway.dir().join("state");
    let settings =
        Settings { dir: dir.clone(), max_bytes: 64 << 20, max_records: 1000, reserve_bytes: 0 };
    let (mut store, _) = Store::open(&settings).unwrap();
    store.append(&(1..=50).map(record).collect::<Vec<_>>()).unwrap();
    drop(store);
    let db = dir.join("results-1/db");
    let zeros = vec![0; fs::read(&db).unwrap().len()];
    fs::write(&db, zeros).unwrap();
    gateway.start();
    let status = gateway.ask(&["status"]);
    assert_eq!(status["health"]["queue"]["disk"]["quarantined"], 1, "{status}");
    assert_eq!(status["healthy"], false, "{status}");
    let problems = status["problems"].to_string();
    assert!(problems.contains("quarantine"), "{problems}");
    assert!(!problems.contains("model"), "{problems}");
    assert!(dir.join("quarantine/db").exists());
    gateway.stop();
    gateway.start();
    assert_eq!(gateway.ask(&["status"])["healthy"], true, "a fresh one is well");
}
