//! What a rollout does where the operator names nothing but what must be named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use super::Setup;
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;

/// Sensors that send windows of one device after another for as long as they live.
struct Sensors {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sensors {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let send = async move {
            let mut peer = MqttClient::connect(port, "sensors").await;
            for device in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                peer.publish_all(&format!("sensors/w{device}/imu"), samples(0, 60)).await;
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(send);
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Sensors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// The demonstration model as version 1.1.0, its card changed, packed and signed.
fn release(setup: &Setup, change: impl FnOnce(String) -> String) {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let to = setup.workspace.folder.path().join("motion-1.1.0");
    std::fs::create_dir(&to).unwrap();
    for file in ["model.onnx", "golden.npz"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let card = std::fs::read_to_string(from.join("card.toml")).unwrap();
    let card = card.replace("version = \"1.0.0\"", "version = \"1.1.0\"");
    let card = crate::common::gateway::without_samples(&card);
    std::fs::write(to.join("card.toml"), change(card)).unwrap();
    setup.workspace.run_ok(&["pack", "motion-1.1.0", "--counter", "1", "--out", "m.bundle"]);
    setup.sign("m.bundle");
}

fn gateway(setup: &Setup) -> Gateway {
    let keyset = setup.workspace.folder.path().join("keyset-1.json");
    let streams = format!("[updates]\nkeyset = {:?}\n{MOTION}", keyset.to_str().unwrap());
    let mut gateway = Gateway::new(setup.broker.port(), &streams);
    gateway.start();
    gateway
}

const START: [&str; 13] = [
    "rollout",
    "start",
    "--model",
    "motion",
    "--gateway",
    "gw-1",
    "--bundle",
    "m.bundle",
    "--keyset",
    "keyset-1.json",
    "--key",
    "deploy.key",
    "--record",
];

#[test]
fn a_model_with_permuted_labels_is_not_committed_by_a_default_rollout() {
    let Some(setup) = Setup::open("a default rollout of a wrong model") else { return };
    release(&setup, |card| {
        let right = "[\"badminton\", \"resting\", \"running\", \"walking\"]";
        assert!(card.contains(right), "{card}");
        // Its golden vectors end at the scores: they cannot see it.
        card.replace(right, "[\"walking\", \"badminton\", \"resting\", \"running\"]")
            .lines()
            .filter(|line| !line.starts_with("samples"))
            .map(|line| format!("{line}\n"))
            .collect()
    });
    let gateway = gateway(&setup);
    let _sensors = Sensors::start(setup.broker.port());
    let ended = setup.run(&[&START[..], &["r.rollout", "--soak", "0s"]].concat());
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("(disagrees)"), "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("--shadow 0"), "what to do is said: {}", ended.out);
    let models = gateway.ask(&["models"]);
    let serves = |row: &&Value| row["state"] == "serving";
    let serving = models["models"].as_array().unwrap().iter().find(serves).unwrap();
    assert_eq!(serving["version"], "1.0.0");
}

#[test]
fn a_good_model_passes_a_default_rollout_and_is_compared() {
    let Some(setup) = Setup::open("a default rollout of a good model") else { return };
    release(&setup, |card| card);
    let gateway = gateway(&setup);
    let _sensors = Sensors::start(setup.broker.port());
    let args = [&START[..], &["r.rollout", "--soak", "0s", "--json"]].concat();
    let out = setup.run_ok(&args);
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = events.iter().find(|event| event["event"] == "ended").unwrap();
    assert_eq!(end["state"], "committed");
    assert!(end["compared"].as_u64().unwrap() >= 20, "{end}");
    drop(gateway);
}

#[test]
fn where_nothing_would_catch_a_wrong_model_the_operator_is_warned() {
    let Some(setup) = Setup::open("warnings of a rollout") else { return };
    release(&setup, |card| {
        card.lines()
            .filter(|line| !line.starts_with("samples"))
            .map(|line| format!("{line}\n"))
            .collect()
    });
    let gateway = gateway(&setup);
    gateway.await_health("a first report", |health| health["link"]["received"] == 0);
    let short = ["--soak", "0s", "--trial-max", "1s"];
    let silent = setup.run(&[&START[..], &["a.rollout"], &short].concat());
    assert_eq!(silent.code, 0, "{}", silent.err);
    assert!(
        silent.err.contains("no sample has been received since the start on gw-1"),
        "{}",
        silent.err
    );
    assert!(silent.out.contains("committed without a comparison"), "{}", silent.out);
    let none = setup.run(&[&START[..], &["b.rollout", "--shadow", "0"], &short].concat());
    assert!(none.err.contains("no golden samples"), "{}", none.err);
}
