//! Every example of `inferd --help` and of each of its verbs, run as it is printed. Only the address
//! of the broker, folders of the system, the digest of a version and the speed of a replay differ.

use std::fs;
use std::path::Path;

use super::operator::windows;
use super::printed::{Examples, examples};
use super::shell::{Shell, Staying};
use crate::common::await_true;
use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;

/// What needs no daemon.
const ALONE: [&str; 7] = ["check", "infer", "try", "listen", "bench", "card", "demo"];
/// What a daemon answers.
const RUNNING: [&str; 17] = [
    "run",
    "status",
    "models",
    "models use",
    "install",
    "rollback",
    "queue",
    "queue stat",
    "queue peek",
    "queue drain",
    "queue purge",
    "capture",
    "capture list",
    "capture export",
    "capture purge",
    "capture now",
    "",
];

/// A stream of captured inputs.
const CAPTURE: &str = "[stream.capture]\nmargin = 0.5\n";

/// The verbs' examples for this gateway.
fn sandbox(gateway: &Gateway, port: u16, verbs: &[&str]) -> Examples {
    let mut shell = Shell::new().with_broker(port);
    let config = gateway.config().display().to_string();
    shell.set("INFERD_CONFIG", config.clone());
    let mut all = Examples::new(shell, "inferd", verbs);
    all.place("/etc/inferd/inferd.toml", &config);
    all.place("mqtt://localhost:1883", &format!("mqtt://127.0.0.1:{port}"));
    let usb = all.shell.path().display().to_string();
    all.place("/media/usb", &usb);
    all
}

#[test]
fn the_verbs_of_inferd_are_all_here() {
    let mut verbs: Vec<_> = examples("inferd").into_keys().collect();
    verbs.retain(|verb| ![&ALONE[..], &RUNNING].concat().contains(&verb.as_str()));
    assert!(verbs.is_empty(), "verbs whose examples no test runs: {verbs:?}");
}

#[test]
fn the_examples_of_inferd_without_a_daemon_work_as_printed() {
    let Some(broker) = Mosquitto::for_test("the examples of inferd without a daemon") else {
        return;
    };
    let gateway = Gateway::new(broker.port(), MOTION);
    let mut all = sandbox(&gateway, broker.port(), &ALONE);
    // At the speed of the recording it takes a minute and more.
    all.place("--speed 1 ", "--speed 100 ");
    recordings(all.shell.path());
    fs::write(all.shell.path().join("payload.json"), samples(0, 1).concat()).unwrap();
    retain(broker.port(), &samples(0, 1).concat());
    fs::copy(gateway.config(), all.shell.path().join("inferd.toml")).unwrap();

    // They take a few seconds each, most of it waiting.
    let demos = ["--speed 1 ", "--speed 0", "--broker", "vibration", "inferd demo"];
    let demos = demos.map(|part| all.take("demo", part));
    let demos = demos.map(|line| all.shell.spawn(&line));

    all.prints("infer", "--samples models", "accuracy");
    all.prints("infer", "--stream motion", "\"label\"");
    all.prints("infer", "--golden", "golden_samples.json");
    all.prints("infer", "models/motion --inputs", "runs written");
    all.prints("infer", "model.onnx --inputs", "runs written");
    all.run("infer", "--explain --json");
    all.prints("infer", "--explain", "integer");
    all.prints("try", "--repeat", "\"predictions\"");
    all.prints("try", "- <", "1 of 40 samples");
    all.prints("try", "inferd try motion payload.json", "1 of 40 samples");
    all.prints("listen", "--json", "sensors/watch-7/imu");
    all.prints("listen", "--for 5s", "time = \"ts\"");
    all.prints("bench", "models/motion", "median");
    all.prints("bench", "--json", "\"median_us\"");
    all.prints("bench", "--threads 4", "median");
    all.prints("card", "card models/motion/model.onnx", "layout = \"channel-time\"");
    all.prints("card", "--out card.toml", "written to card.toml");
    all.prints("check", "--config", "motion");
    all.prints("check", "--connect", "motion");
    assert_eq!(all.run("check", "jq").trim(), "");
    all.prints("check", "--rate", "motion");
    all.run("check", "--reference");
    let reference = fs::read_to_string(all.shell.path().join("inferd.toml")).unwrap();
    assert!(reference.contains("[broker]"));
    for demo in demos {
        assert_eq!(demo.ended(), Some(0));
    }
    all.done();
}

/// Has the broker retain a sample.
fn retain(port: u16, sample: &[u8]) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let mut peer = MqttClient::connect(port, "retainer").await;
        peer.publish_retained("sensors/watch-7/imu", sample).await;
    });
}

/// The recordings under the names of the examples, and inputs of the model.
fn recordings(folder: &Path) {
    fs::copy(folder.join("models/recordings/basic-motions-test.csv"), folder.join("day.csv"))
        .unwrap();
    fs::write(folder.join("day.jsonl"), samples(0, 100).join(&b'\n')).unwrap();
    fs::copy(folder.join("models/motion/model.onnx"), folder.join("model.onnx")).unwrap();
    windows(folder);
    fs::rename(folder.join("windows.npz"), folder.join("in.npz")).unwrap();
}

#[test]
fn the_examples_of_a_running_daemon_work_as_printed() {
    let Some(broker) = Mosquitto::for_test("the examples of a running daemon") else { return };
    let gateway = Gateway::new(broker.port(), "");
    let mut all = sandbox(&gateway, broker.port(), &RUNNING);
    releases(&all);
    let keyset = all.shell.path().join("keyset-1.json").display().to_string();
    gateway
        .configure(broker.port(), &format!("[updates]\nkeyset = \"{keyset}\"\n{MOTION}{CAPTURE}"));

    // The examples of the program itself end with a look at the daemon that they start.
    all.prints("", "demo", "accuracy");
    all.prints("", "check", "motion");
    all.prints("", "bench", "median");
    let daemon = start(&mut all);
    all.run("status", "--fail-on degraded");
    all.run("status", "--fail-on never");
    all.run("status", "jq");
    all.prints("", "status", "STREAM");

    all.prints("install", "/media/usb", "1.5.0");
    let listed = all.prepare("inferd models --json");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let digest = listed["models"][0]["digest"].as_str().unwrap();
    all.place("3f2a91c0", &digest[..8]);
    all.prints("models", "jq", "1.5.0");
    all.run("models", "use motion shipped");
    all.run("models", "use motion 3f2a91c0");
    all.prints("models", "inferd models", "1.5.0");
    all.run("rollback", "rollback motion");
    all.prepare("mv motion-1.5.0-again.bundle motion-1.5.0.bundle");
    assert_eq!(all.run("install", "jq").trim(), "trial");
    assert_eq!(all.run("rollback", "jq").trim(), "null");

    all.run("queue", "stat");
    all.run("queue", "peek");
    all.run("queue", "drain");
    all.run("queue", "purge");
    assert_eq!(all.run("queue stat", "jq").trim(), "0");
    all.run("queue peek", "");
    all.run("capture", "list");
    all.prints("capture", "now", "the next 20 inputs");
    all.prints("capture", "export", "copied");
    all.prints("capture", "purge", "inputs deleted");
    all.run("capture list", "jq");
    all.prints("capture export", "", "copied");
    all.prints("capture purge", "", "inputs deleted");
    all.done();
    assert_eq!(daemon.stop(), Some(0));
}

/// Two releases of one version, the second with a higher counter.
fn releases(all: &Examples) {
    all.prepare(
        "inferctl keygen --out release.key --unencrypted
         inferctl keygen --out deploy.key --unencrypted
         inferctl keys --release release.key --deploy deploy.key --out keyset-1.json
         cp -rL models/motion m && sed -i 's/^version = .*/version = \"1.5.0\"/' m/card.toml
         inferctl pack m --counter 2 --out motion-1.5.0.bundle
         inferctl pack m --counter 3 --out motion-1.5.0-again.bundle
         for bundle in *.bundle; do inferctl sign $bundle --key release.key; done",
    );
}

/// `inferd run`, once it answers and is connected.
fn start(all: &mut Examples) -> Staying {
    let line = all.take("run", "");
    let daemon = all.shell.spawn(&line);
    await_true("the daemon is connected", || all.shell.run("inferd status --fail-on degraded").0);
    daemon
}
