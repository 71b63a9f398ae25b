//! The whole circle: a drift is named, windows are captured and uploaded, a new version is trained on
//! them, goes out through shadow run and trial, and the drift is gone. docs/monitoring.md has the
//! same commands.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{
    RECORDINGS, ROWS, TO_G, TOPIC, WATCHES, drift_of_the_accelerometer, event, send_all,
    with_baseline,
};
use crate::common::gateway::{Gateway, MOTION};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;
use crate::inferctl::Setup;

const BEFORE: &str = "[updates]\nkeyset = \"keyset-1.json\"\n";
const AFTER: &str = r#"
[stream.drift]
on_drift = ["capture"]
capture_inputs = 1000
[stream.labels]
topic = "labels/{stream}/{device}"
[stream.capture]
per_day = 1000
[capture]
write_interval = "1s"
upload_max_bytes_per_s = "0B"
"#;
/// Windows of 40 samples, one every 10.
const WINDOWS: usize = WATCHES * ((ROWS - 40) / 10 + 1);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/training").join(name)
}

fn python() -> Command {
    Command::new(std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into()))
}

struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

/// The server that stores uploads in a folder, and its port; `None` without what the scripts need.
fn receiver(folder: &Path) -> Option<(Receiver, u16)> {
    let has_modules = python().args(["-c", "import numpy, onnx, tomllib"]).output().ok()?;
    if !has_modules.status.success() {
        return None;
    }
    let mut child = python()
        .arg(script("receive.py"))
        .arg(folder)
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    let port = line.trim().rsplit(':').next()?.parse().ok()?;
    Some((Receiver(child), port))
}

/// What the wearers of the watches really did.
struct Wearers {
    labels: Vec<String>,
    sensor: MqttClient,
    listener: MqttClient,
    round: usize,
}

/// A prediction with what was true.
struct Known {
    id: Value,
    device: String,
    version: String,
    is_right: bool,
    truth: String,
}

impl Wearers {
    async fn connect(port: u16) -> Self {
        let rows = RECORDINGS.lines().skip(1).step_by(ROWS);
        let labels = rows.map(|row| row.split(',').nth(1).unwrap().to_owned()).collect();
        let sensor = MqttClient::connect(port, "sensor").await;
        let mut listener = MqttClient::connect(port, "predictions").await;
        listener.subscribe("predictions/#").await;
        Self { labels, sensor, listener, round: 0 }
    }

    /// All watches send their recordings once; the predictions.
    async fn send(&mut self, unit: f64) -> Vec<Known> {
        send_all(&mut self.sensor, unit, self.round).await;
        self.round += 1;
        let mut all = Vec::new();
        while all.len() < WINDOWS {
            let (topic, prediction) = self.listener.next_json().await;
            let device = topic.rsplit('/').next().unwrap().to_owned();
            let watch: usize = device.split('-').nth(1).unwrap().parse().unwrap();
            let truth = self.labels[watch].clone();
            all.push(Known {
                id: prediction["id"].clone(),
                version: prediction["version"].as_str().unwrap().to_owned(),
                is_right: prediction["label"] == truth,
                device,
                truth,
            });
        }
        all
    }

    /// Somebody says what was true, a message for each watch.
    async fn label(&mut self, known: &[Known]) {
        let mut by_device: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for one in known {
            let label = json!({"id": one.id, "label": one.truth});
            by_device.entry(&one.device).or_default().push(label);
        }
        for (device, labels) in by_device {
            let payload = serde_json::to_vec(&labels).unwrap();
            self.sensor.publish(&format!("labels/motion/{device}"), payload).await;
        }
    }
}

fn accuracy(known: &[Known]) -> f64 {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    count(known.iter().filter(|one| one.is_right).count()) / count(known.len())
}

/// The recordings as the watches send them now, for the baseline.
fn recordings(unit: f64) -> String {
    let mut text = RECORDINGS.lines().next().unwrap().to_owned();
    for row in RECORDINGS.lines().skip(1) {
        let cells = row.split(',').enumerate().map(|(place, cell)| match place {
            3..=5 => (cell.parse::<f64>().unwrap() * unit).to_string(),
            _ => cell.to_owned(),
        });
        text.push('\n');
        text.push_str(&cells.collect::<Vec<_>>().join(","));
    }
    text + "\n"
}

/// Trains on what was captured; what the script says.
fn retrain(folder: &Path, known: &[Known]) -> Value {
    let mut labels = fs::File::create(folder.join("labels.jsonl")).unwrap();
    for one in known {
        writeln!(labels, "{}", json!({"id": one.id, "label": one.truth})).unwrap();
    }
    let trained = python()
        .arg(script("retrain.py"))
        .arg("--bundle")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion"))
        .args(["--captures", "captures", "--labels", "labels.jsonl"])
        .args(["--version", "1.1.0", "--out", "motion-1.1.0"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(trained.status.success(), "{trained:?}");
    serde_json::from_slice(&trained.stdout).unwrap()
}

/// Baseline, golden vectors, signature.
fn release(setup: &Setup) -> String {
    let folder = setup.workspace.folder.path();
    fs::write(folder.join("now.csv"), recordings(TO_G)).unwrap();
    let run = |args: &[&str]| setup.workspace.run_ok(args);
    run(&["baseline", "now.csv", "--bundle", "motion-1.1.0", "--concurrent"]);
    let uploaded = fs::read_dir(folder.join("captures/gw-1/motion")).unwrap();
    let uploaded = uploaded.map(|entry| entry.unwrap().path());
    let segment = uploaded.filter(|path| path.extension().is_some_and(|it| it == "npz")).max();
    let (segment, bundle) = (segment.unwrap(), "motion-1.1.0.bundle");
    let golden = ["--golden-inputs", segment.to_str().unwrap(), "--out", bundle];
    run(&[&["pack", "motion-1.1.0", "--counter", "1"], &golden[..]].concat());
    setup.sign(bundle);
    bundle.to_owned()
}

/// With the active model often wrong, a shadow run in which it agrees less is asked for.
fn rollout(bundle: &str) -> Vec<&str> {
    [
        &["rollout", "start", "--model", "motion", "--gateway", "gw-1", "--bundle", bundle][..],
        &["--keyset", "keyset-1.json", "--key", "deploy.key", "--record", "r.rollout"],
        &["--waves", "100%", "--soak", "0s", "--shadow", "100", "--shadow-min-agreement", "0.3"],
        &["--trial-min-runs", "100", "--trial-min-accuracy", "0.9"],
        &["--trial-max-slowdown", "1000"],
    ]
    .concat()
}

/// Waits until all captured inputs are uploaded. Returns their number.
fn uploaded(gateway: &Gateway) -> u64 {
    let health = gateway.await_health("the upload", |it| {
        let capture = &it["capture"];
        capture["unwritten"] == 0 && capture["segments"] == 0
    });
    let uploaded = health["capture"]["uploaded"].as_u64().unwrap();
    assert!(uploaded >= u64::try_from(WINDOWS).unwrap(), "{health}");
    assert_eq!(health["capture"]["captured"]["drift"], uploaded);
    uploaded
}

#[tokio::test]
async fn a_drift_is_named_captured_trained_on_and_gone_with_the_next_version() {
    let Some(setup) = Setup::open("the circle of drift and training").map(Arc::new) else {
        return;
    };
    let folder = setup.workspace.folder.path();
    let Some((_receiver, server)) = receiver(&folder.join("captures")) else {
        return skipped("the circle of drift and training", "INFERD_TEST_PYTHON has no onnx");
    };
    let port = setup.broker.port();
    let url = format!("http://127.0.0.1:{server}/{{gateway}}/{{stream}}/{{file}}");
    let config = format!("{BEFORE}{MOTION}{AFTER}upload_url = \"{url}\"\n");
    let mut gateway = Gateway::new(port, &config);
    fs::copy(folder.join("keyset-1.json"), gateway.dir().join("keyset-1.json")).unwrap();
    with_baseline(&gateway);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut listener = MqttClient::connect(port, "listener").await;
    listener.subscribe(TOPIC).await;
    let mut wearers = Wearers::connect(port).await;
    assert!(accuracy(&wearers.send(1.0).await) > 0.99);
    event(&mut listener, "steady").await;

    let mut known = wearers.send(TO_G).await;
    drift_of_the_accelerometer(&mut listener).await;
    known.extend(wearers.send(TO_G).await);
    let before = accuracy(&known);
    assert!(before < 0.8, "{before}");
    let uploaded = uploaded(&gateway);

    // The clients of the broker go on meanwhile.
    let (to, labelled) = (folder.to_owned(), known);
    let trained = spawn_blocking(move || retrain(&to, &labelled)).await.unwrap();
    assert_eq!(trained["windows"], uploaded, "{trained}");
    assert!(trained["accuracy"].as_f64() >= Some(0.9), "{trained}");
    let of_release = setup.clone();
    let bundle = spawn_blocking(move || release(&of_release)).await.unwrap();
    let mut rollout = setup.spawn(&rollout(&bundle), "rollout");
    let mut rounds = 0;
    while !rollout.is_over() {
        let known = wearers.send(TO_G).await;
        wearers.label(&known).await;
        rounds += 1;
        assert!(rounds < 200, "{}", gateway.log_end());
    }
    let said = fs::read_to_string(folder.join("rollout")).unwrap();
    assert_eq!(rollout.ended(), 0, "{said}{}", gateway.log_end());

    let after = wearers.send(TO_G).await;
    assert!(after.iter().all(|one| one.version == "1.1.0"));
    let now = accuracy(&after);
    assert!(now > 0.95, "{now}");
    let steady = event(&mut listener, "steady").await;
    assert_eq!((&steady["version"], &steady["baseline"]), (&json!("1.1.0"), &json!("bundle")));
    let health = gateway.await_health("no drift", |it| {
        let drift = &it["streams"]["motion"]["drift"];
        drift["windows"].as_u64() >= Some(256) && drift["state"] != "drift"
    });
    let versions = health["streams"]["motion"]["labels"]["versions"].as_array().unwrap();
    let of_new = versions.iter().find(|version| version["version"] == "1.1.0").unwrap();
    assert!(of_new["accuracy"].as_f64() >= Some(0.9), "{of_new}");
    println!("accuracy {before:.3} before and {now:.3} after; {trained}; {rounds} rounds");
    gateway.stop();
}
