//! Captured inputs fetched over MQTT by `inferctl capture pull`, with both ends killed in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::common::PATIENCE;
use crate::common::broker::{Broker, Mosquitto};
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// Every input, in files that are soon written, and fetched slowly.
fn config(rate: &str) -> String {
    format!(
        "{MOTION}[stream.capture]\nmargin = 2.0\nper_day = 1000000\nhash_device = true\n\
         [capture]\nwrite_interval = \"1s\"\nmqtt = true\nupload_max_bytes_per_s = \"{rate}\"\n"
    )
}

fn pull(port: u16, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inferctl"));
    let broker = format!("mqtt://127.0.0.1:{port}");
    command.args(["capture", "pull", "--json", "--broker", &broker, "--out"]).arg(out).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The files below a folder by their names, those that are complete and those that are not.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            found.insert(path.file_name().unwrap().to_string_lossy().into_owned(), bytes);
        }
    }
    found
}

/// Waits until a file is fetched in part.
fn await_part(folder: &Path) {
    let deadline = Instant::now() + PATIENCE;
    let is_cut = |(name, bytes): (&String, &Vec<u8>)| name.ends_with(".part") && !bytes.is_empty();
    while !files(folder).iter().any(is_cut) {
        assert!(Instant::now() < deadline, "nothing is fetched into {}", folder.display());
        std::thread::yield_now();
    }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_cut_transfer_goes_on_and_ends_with_the_same_bytes() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("captured inputs over MQTT", "mosquitto is not installed");
    };
    let port = mosquitto.port();
    let mut peer = MqttClient::connect(port, "peer").await;
    let mut gateway = Gateway::new(port, &config("8KiB"));
    gateway.start();
    gateway.await_notice("subscribed");
    peer.publish_all("sensors/watch-7/imu", samples(0, 1200)).await;
    gateway.await_health("the files", |health| {
        let capture = &health["capture"];
        capture["captured"]["margin"] == 117 && capture["unwritten"] == 0
    });
    let captures = gateway.dir().join("state/captures");
    let kept = files(&captures);
    assert!(kept.values().map(Vec::len).sum::<usize>() > 24 << 10, "several chunks");
    let out: PathBuf = gateway.dir().join("pulled");

    end(pull(port, &out, &["--gateway", "gw-1"]).spawn().unwrap());
    let client = pull(port, &out, &["--gateway", "gw-1"]).spawn().unwrap();
    await_part(&out);
    end(client);
    // What was fetched stays, and the gateway is killed as well.
    let before: usize = files(&out).values().map(Vec::len).sum();
    let running = pull(port, &out, &["--gateway", "gw-1"]).spawn().unwrap();
    gateway.kill();
    gateway.start();
    gateway.await_notice("subscribed");
    let pulled = told(&running.wait_with_output().unwrap());
    assert_eq!(files(&out), kept);
    let all: usize = kept.values().map(Vec::len).sum();
    let fetched = usize::try_from(pulled["bytes"].as_u64().unwrap()).unwrap();
    assert_eq!(fetched + before, all, "no byte twice: {pulled}");

    let again = told(&pull(port, &out, &["--all", "--delete"]).output().unwrap());
    let segments = kept.len() / 2;
    let expected = json!({
        "gateway": "gw-1", "segments": 0, "inputs": 0, "bytes": 0,
        "present": segments, "deleted": segments,
    });
    assert_eq!(again, expected);
    assert_eq!(gateway.ask(&["capture", "list"])["segments"], json!([]));
    assert_eq!(files(&captures), BTreeMap::new());
    assert_eq!(files(&out), kept);
    gateway.stop();
}

#[tokio::test]
async fn a_pull_is_bounded_and_a_gateway_that_does_not_answer_is_named() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let mut gateway = Gateway::new(broker.port(), &config("0B"));
    gateway.start();
    gateway.await_notice("subscribed");
    peer.publish_all("sensors/watch-7/imu", samples(0, 200)).await;
    gateway.await_health("the files", |health| health["capture"]["inputs"] == 17);
    let out = gateway.dir().join("pulled");
    let none =
        pull(broker.port(), &out, &["--gateway", "gw-1", "--max-mib", "0"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stdout).contains("more than --max-mib 0"), "{none:?}");
    let other = ["--gateway", "gw-1", "--stream", "elsewhere"];
    let other = told(&pull(broker.port(), &out, &other).output().unwrap());
    assert_eq!((&other["segments"], &other["present"]), (&json!(0), &json!(0)));
    assert_eq!(files(&out), BTreeMap::new());
    // What is no request is not answered, and does no harm.
    for bad in ["", "{", "{\"client\":\"a/b\",\"n\":1,\"ask\":{\"list\":{}}}"] {
        peer.publish("inferd/v1/gw-1/capture/get", bad).await;
    }
    let all = told(&pull(broker.port(), &out, &["--gateway", "gw-1"]).output().unwrap());
    assert_eq!(all["inputs"], 17, "{all}");
    let text: String = files(&out)
        .into_iter()
        .filter(|(name, _)| name.ends_with("jsonl"))
        .map(|(_, bytes)| String::from_utf8(bytes).unwrap())
        .collect();
    assert!(!text.contains("watch-7"), "the device is a digest");
    gateway.stop();
}
