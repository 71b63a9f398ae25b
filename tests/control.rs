//! The local commands against the running daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::sync::Arc;

use inferd::bundle::Bundle;
use inferd::control::ControlRequest;
use inferd::control::client::send;
use inferd::ids::{Digest, ModelName, StreamName};
use inferd::message::{Outgoing, Qos};
use inferd::outbox::{Record, Seq};
use inferd::store::models::ModelStore;
use inferd::store::{Settings, Store};
use inferd::update::{VersionSlot, machine};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::broker::{Broker, free_port};
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a command says with `--json`; it must end well.
fn json_of(gateway: &Gateway, args: &[&str]) -> Value {
    let output = gateway.command(&[args, &["--json"]].concat());
    assert_eq!(code(&output), 0, "{args:?}: {}", complained(&output));
    serde_json::from_str(&said(&output)).unwrap()
}

fn settings(gateway: &Gateway) -> Settings {
    let dir = gateway.dir().join("state");
    Settings { dir, max_bytes: 64 << 20, max_records: 100_000, reserve_bytes: 0 }
}

/// Results that wait, as an earlier run without a broker leaves them.
fn leave_waiting(gateway: &Gateway, count: u64) {
    let record = |n: u64| Record {
        seq: Seq(n),
        stream: StreamName::parse("motion").unwrap(),
        priority: 5,
        message: Arc::new(Outgoing {
            topic: format!("predictions/motion/watch-{n}"),
            payload: format!("{{\"v\":1,\"n\":{n},\"replayed\":false}}").into(),
            content_type: "application/json".into(),
            properties: Vec::new(),
            correlation: None,
            retain: false,
            qos: Qos::AtLeastOnce,
        }),
    };
    let (mut store, _) = Store::open(&settings(gateway)).unwrap();
    let records: Vec<Record> = (1..=count).map(record).collect();
    records.chunks(64).for_each(|group| assert_eq!(store.append(group).unwrap(), []));
}

#[test]
fn a_secret_that_only_the_service_sees_hinders_no_question() {
    let broker = Broker::start();
    let login = "[broker.credentials]\nusername = \"gw\"\npassword_file = \"inferd.password\"\n";
    let mut gateway = Gateway::new(broker.port(), &format!("{MOTION}\n{login}"));
    let credentials = gateway.dir().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("inferd.password"), "sesame\n").unwrap();
    gateway.set("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    gateway.start();
    gateway.await_notice("subscribed");
    assert_eq!(json_of(&gateway, &["status"])["health"]["link"]["connected"], true);
    let check = gateway.command(&["check"]);
    assert_eq!(code(&check), 78, "the file is not to be seen from here");
    gateway.stop();
}

#[test]
fn status_says_how_the_daemon_is() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    let nobody = gateway.command(&["status"]);
    assert_eq!(code(&nobody), 69);
    let why = complained(&nobody);
    assert!(why.contains("no daemon is listening at") && why.contains("inferd run"), "{why}");

    gateway.start();
    let status = gateway.command(&["status"]);
    assert_eq!(code(&status), 0, "{}", complained(&status));
    for part in [
        ": degraded, up ",
        "degraded: no connection to the broker: ",
        "[broker-unreachable since ",
        "broker: disconnected since ",
        "0 results on disk",
        "motion",
        "shipped",
        "serving",
        "never",
    ] {
        assert!(said(&status).contains(part), "no {part:?} in:\n{}", said(&status));
    }
    assert_eq!(code(&gateway.command(&["status", "--fail-on", "degraded"])), 1);
    assert_eq!(code(&gateway.command(&["status", "--fail-on", "never"])), 0);
    let status = json_of(&gateway, &["status"]);
    assert_eq!((&status["healthy"], &status["state"]), (&true.into(), &"degraded".into()));
    assert_eq!(status["problems"], json!([]));
    assert_eq!(status["health"]["state"], "degraded");
    assert_eq!(status["health"]["reasons"], status["reasons"]);
    assert_eq!(status["health"]["v"], 1);
    assert_eq!(status["models"][0]["name"], "motion");
    gateway.stop();
    assert!(!gateway.dir().join("run/control.sock").exists(), "the socket goes with the daemon");
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused_and_a_killed_one_leaves_no_trouble() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.start();
    let second = gateway.command(&["run"]);
    assert_eq!(code(&second), 1);
    assert!(complained(&second).contains("is in use by another inferd"), "{}", complained(&second));
    assert_eq!(code(&gateway.command(&["status"])), 0, "the first goes on");
    gateway.kill();
    assert!(gateway.dir().join("run/control.sock").exists(), "as a kill leaves it");
    gateway.start();
    assert_eq!(code(&gateway.command(&["status"])), 0);
}

#[test]
fn strangers_at_the_socket_do_no_harm() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.start();
    let path = gateway.dir().join("run/control.sock");
    for bytes in [&b"\n"[..], b"{\"v\":1,\"ask\":\"sh\"}\n", &[0xff; 300_000], b"{\"v\":9}\n"] {
        let mut stream = UnixStream::connect(&path).unwrap();
        // It may have heard enough before all is said.
        stream.write_all(bytes).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["refused"]["code"].is_string(), "{answer}");
    }
    let silent: Vec<UnixStream> = (0..5).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(code(&gateway.command(&["status"])), 0);
    drop(silent);
    gateway.stop();
}

#[test]
fn the_queue_is_shown_and_purged() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    leave_waiting(&gateway, 200);
    gateway.start();
    assert_eq!(json_of(&gateway, &["queue", "stat"])["disk"]["records"], 200);
    let peeked = json_of(&gateway, &["queue", "peek", "--limit", "70"]);
    let records = peeked["records"].as_array().unwrap();
    assert_eq!(records.len(), 70);
    assert_eq!(records[69]["prediction"]["n"], 70, "decoded, oldest first");
    assert_eq!(peeked["end"], false);
    let table = said(&gateway.command(&["queue", "peek", "--limit", "1"]));
    assert!(table.contains("predictions/motion/watch-1"), "{table}");

    assert_eq!(code(&gateway.command(&["queue", "drain"])), 69, "there is no broker");
    let unsure = gateway.command(&["queue", "purge"]);
    assert_eq!(code(&unsure), 2, "{}", complained(&unsure));
    assert_eq!(json_of(&gateway, &["queue", "stat"])["disk"]["records"], 200);
    assert_eq!(json_of(&gateway, &["queue", "purge", "--yes"])["purged"]["motion"], 200);
    let left = json_of(&gateway, &["queue", "stat"]);
    assert_eq!(left["disk"]["records"], 0);
    assert_eq!(left["lost"]["motion"]["purged"], 200);
    gateway.stop();
}

#[tokio::test]
async fn a_drain_sends_all_that_waits_whatever_the_rate() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    // At this rate it would take five minutes.
    let config = format!("[outbox]\ndrain_rate = 1\n{MOTION}");
    let mut gateway = Gateway::new(broker.port(), &config);
    leave_waiting(&gateway, 300);
    gateway.start();
    gateway.await_notice("subscribed");
    let drained = tokio::task::spawn_blocking(move || {
        let output = gateway.command(&["queue", "drain"]);
        (code(&output), complained(&output), gateway)
    });
    for n in 1..=300 {
        let (topic, text) = peer.next_text().await;
        assert_eq!(topic, format!("predictions/motion/watch-{n}"));
        let prediction: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(prediction["replayed"], true);
    }
    let (code, why, mut gateway) = drained.await.unwrap();
    assert_eq!(code, 0, "{why}");
    gateway.stop();
}

/// The demonstration model under another version, packed.
fn packed(gateway: &Gateway, version: &str) -> (Digest, Vec<u8>) {
    let newer =
        |card: String| card.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
    gateway.ship("motion", newer);
    let mut bytes = Vec::new();
    Bundle::open(&gateway.dir().join("models/motion")).unwrap().write(&mut bytes).unwrap();
    gateway.ship("motion", |card| card);
    (Digest(Sha256::digest(&bytes).into()), bytes)
}

fn store_version(versions: &ModelStore, digest: Digest, bytes: &[u8]) {
    let mut writer = versions.begin(digest, bytes.len() as u64).unwrap();
    writer.put(0, bytes).unwrap();
    writer.finish().unwrap();
}

/// Activates these versions, one after the other.
fn make_active(gateway: &Gateway, versions: [(Digest, &str); 2]) {
    let mut record = machine::Record::default();
    for (digest, version) in versions {
        let (manifest, version) = (digest, version.to_owned());
        record.select(Some(VersionSlot { manifest, digest, version, counter: 0 }));
    }
    let (mut store, _) = Store::open(&settings(gateway)).unwrap();
    store.set_version_record(&ModelName::parse("motion").unwrap(), &record).unwrap();
}

#[test]
fn the_active_version_serves_and_a_damaged_one_does_not() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    let versions = ModelStore::open(&settings(&gateway)).unwrap();
    let [old, new, unneeded] = ["1.9.0", "2.0.0", "3.0.0"].map(|v| packed(&gateway, v));
    for (digest, bytes) in [&old, &new, &unneeded] {
        store_version(&versions, *digest, bytes);
    }
    let half = Digest([7; 32]);
    drop(versions.begin(half, 100_000).unwrap());
    make_active(&gateway, [(old.0, "1.9.0"), (new.0, "2.0.0")]);

    let serving = |gateway: &Gateway| {
        let models = gateway.command(&["models", "--json"]);
        let models: Value = serde_json::from_str(&said(&models)).unwrap();
        let rows = models["models"].as_array().unwrap().clone();
        let row = rows.iter().find(|row| row["state"] == "serving").unwrap();
        row["version"].as_str().unwrap().to_owned()
    };
    gateway.start();
    assert_eq!(serving(&gateway), "2.0.0");
    assert_eq!(code(&gateway.command(&["status"])), 0);
    let held: Vec<Digest> = versions.held().unwrap().iter().map(|held| held.digest).collect();
    assert_eq!(held.len(), 2, "what no slot needs, and what was never finished, is gone");
    assert!(held.contains(&old.0) && held.contains(&new.0));
    gateway.stop();

    let damage = |digest: Digest| {
        let db = gateway.dir().join(format!("state/models/{digest}/db"));
        let mut bytes = std::fs::read(&db).unwrap();
        bytes.iter_mut().skip(4096).step_by(64).for_each(|byte| *byte ^= 0x55);
        std::fs::write(&db, bytes).unwrap();
    };
    damage(new.0);
    gateway.start();
    assert_eq!(serving(&gateway), "1.9.0", "the one before it serves");
    let status = gateway.command(&["status"]);
    assert_eq!(code(&status), 1);
    assert!(said(&status).contains("failed: model motion: version 2.0.0 is not used"));
    gateway.stop();

    let db = gateway.dir().join(format!("state/models/{}/db", old.0));
    std::fs::write(&db, b"").unwrap();
    gateway.start();
    assert_eq!(serving(&gateway), "1.0.0", "the shipped one serves");
    gateway.stop();
}

fn resident_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How often the model is changed; `INFERD_SWAPS=1000` for the long run.
fn swaps() -> usize {
    std::env::var("INFERD_SWAPS").map_or(40, |count| count.parse().unwrap())
}

/// Changes the model as often as asked while samples come in; gives the memory after a tenth of
/// the changes and at the end.
fn change_back_and_forth(gateway: &Gateway, versions: [Digest; 2]) -> (u64, u64) {
    let socket = gateway.dir().join("run/control.sock");
    let mut early = 0;
    for swap in 0..swaps() {
        let digest = Some(versions[swap % 2]);
        let answer = send(&socket, ControlRequest::Use { model: "motion".into(), digest }).unwrap();
        assert_eq!(answer, serde_json::json!({"streams": 1, "windows_kept": 1}));
        if swap == swaps() / 10 {
            early = resident_kib(gateway);
        }
    }
    (early, resident_kib(gateway))
}

#[tokio::test]
async fn a_model_is_changed_under_load_and_every_window_is_answered() {
    const SAMPLES: usize = 400;
    let broker = Broker::start();
    let mut listener = MqttClient::connect(broker.port(), "listener").await;
    listener.subscribe("predictions/#").await;
    let mut sensor = MqttClient::connect(broker.port(), "sensor").await;
    let mut gateway = Gateway::new(broker.port(), MOTION);
    let versions = ModelStore::open(&settings(&gateway)).unwrap();
    let [old, new] = ["1.9.0", "2.0.0"].map(|version| packed(&gateway, version));
    store_version(&versions, old.0, &old.1);
    store_version(&versions, new.0, &new.1);
    make_active(&gateway, [(old.0, "1.9.0"), (new.0, "2.0.0")]);
    gateway.start();
    gateway.await_notice("subscribed");

    let both = [old.0, new.0];
    let mut changing = tokio::task::spawn_blocking(move || {
        let memory = change_back_and_forth(&gateway, both);
        (memory, gateway)
    });
    let mut devices = 0;
    let (memory, mut gateway) = loop {
        let topic = format!("sensors/w{devices}/imu");
        tokio::select! {
            changed = &mut changing => break changed.unwrap(),
            () = sensor.publish_all(&topic, samples(0, SAMPLES)) => {
                devices += 1;
            }
        }
    };
    assert!(devices > 0, "nothing was changed under load");
    let mut windows = BTreeMap::new();
    let mut served = BTreeSet::new();
    // Of the last device not all samples were sent.
    while windows.values().filter(|count| **count == (SAMPLES - 40) / 10 + 1).count() < devices {
        let (_, text) = listener.next_text().await;
        let prediction: Value = serde_json::from_str(&text).unwrap();
        *windows.entry(prediction["device"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        served.insert(prediction["version"].as_str().unwrap().to_owned());
    }
    assert_eq!(served.len(), 2, "both versions answered: {served:?}");
    let health = json_of(&gateway, &["status"])["health"].clone();
    let motion = &health["streams"]["motion"];
    assert_eq!((&motion["gaps"], &motion["dropped"]), (&json!(0), &json!(0)), "{motion}");
    assert_eq!(motion["rejects"], json!({}));
    let (early, late) = memory;
    println!(
        "{} swaps, {devices} devices answered, {early} KiB early, {late} KiB at the end",
        swaps()
    );
    assert!(late < early + 16_384, "memory grew from {early} to {late} KiB");

    the_shipped_model_is_chosen_for_good(&mut gateway);
    gateway.stop();
}

fn the_shipped_model_is_chosen_for_good(gateway: &mut Gateway) {
    let to_shipped = gateway.command(&["models", "use", "motion", "shipped"]);
    assert_eq!(code(&to_shipped), 0, "{}", complained(&to_shipped));
    let nowhere = gateway.command(&["models", "use", "motion", "0000"]);
    assert_eq!(code(&nowhere), 1, "{}", complained(&nowhere));
    gateway.kill();
    gateway.start();
    let serving = json_of(gateway, &["models"])["models"].clone();
    let shipped = serving.as_array().unwrap().iter().find(|row| row["slot"] == "shipped").unwrap();
    assert_eq!(shipped["state"], "serving", "the choice survives a kill: {serving}");
}
