//! Labels that arrive after predictions: the real daemon, a real broker, and numpy.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::broker::{Broker, Mosquitto};
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

const LABELS: &str =
    "[stream.labels]\ntopic = \"labels/{stream}/{device}\"\ntolerance = \"40ms\"\n";

fn labels_of(health: &Value) -> &Value {
    &health["streams"]["motion"]["labels"]
}

/// The predictions of these samples.
async fn predictions(peer: &mut MqttClient, start: usize, count: usize) -> Vec<Value> {
    peer.publish_all("sensors/watch-7/imu", samples(start, count)).await;
    // Windows of 40 samples, every tenth.
    let mut all = Vec::new();
    while all.len() < count / 40 {
        all.push(peer.await_json("predictions/motion/watch-7", |_| true).await);
    }
    all
}

#[tokio::test]
async fn labels_are_joined_by_id_and_time_and_survive_a_restart() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("labels across a restart", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(mosquitto.port(), &format!("{MOTION}{LABELS}"));
    gateway.set("INFERD_LOG_FORMAT", "json");
    gateway.start();
    gateway.await_notice("subscribed");
    let made = predictions(&mut peer, 0, 200).await;
    let [first, second, third, ..] = &made[..] else { panic!("{made:?}") };
    let topic = "labels/motion/watch-7";
    let by_id = json!({"id": first["id"], "label": first["label"]}).to_string();
    peer.publish(topic, by_id.clone()).await;
    peer.publish(topic, by_id).await;
    let by_time = json!({"time": second["time"], "label": "running", "by": "me"}).to_string();
    peer.publish(topic, by_time).await;
    peer.publish(topic, r#"{"id": "gw-1-none-7", "label": "running"}"#).await;
    peer.publish(topic, "what is this").await;
    // A message is acknowledged after its labels are counted.
    let counted = |health: &Value| {
        labels_of(health)["refused"]["malformed"] == 1 && health["link"]["unacknowledged"] == 0
    };
    let health = gateway.await_health("the labels", counted);
    let expected = json!({"malformed": 1, "repeated": 1, "unmatched": 1});
    assert_eq!(labels_of(&health)["refused"], expected);
    let log = gateway.log();
    let unmatched = log.lines().find(|line| line.contains("unmatched")).unwrap();
    let line: Value = serde_json::from_str(unmatched).unwrap();
    assert_eq!((&line["id"], &line["reason"]), (&json!("gw-1-none-7"), &json!("unmatched")));
    assert_eq!(health["streams"]["motion"]["rejects"], json!({}), "a label is not a sample");
    let version = &labels_of(&health)["versions"][0];
    assert_eq!((&version["version"], &version["labels"]), (&json!("1.0.0"), &json!(2)));
    assert_eq!((&version["correct"], &version["accuracy"]), (&json!(1), &json!(0.5)));
    let predicted = second["label"].as_str().unwrap();
    assert_eq!(version["confusion"]["running"][predicted], 1);
    let status = String::from_utf8(gateway.command(&["status"]).stdout).unwrap();
    assert!(status.contains("accuracy of motion 1.0.0: 50.0 % of 2 labels"), "{status}");

    gateway.stop();
    // Labels that arrive while the gateway is down wait at the broker.
    let list = json!([{"id": third["id"], "label": third["label"]}]).to_string();
    peer.publish(topic, list).await;
    gateway.start();
    let health = gateway.await_health("the label", |it| labels_of(it)["joined"] == 3);
    assert_eq!(labels_of(&health)["versions"][0]["correct"], 2);
    assert_eq!(labels_of(&health)["refused"], expected);
    gateway.stop();
}

/// numpy, given true and predicted labels: the accuracy and the confusion matrix.
const NUMPY: &str = r#"
import json, sys
import numpy as np
truth, said = (np.array(column) for column in json.load(sys.stdin))
pairs, counts = np.unique(np.stack([truth, said], 1), axis=0, return_counts=True)
confusion = {}
for (t, s), n in zip(pairs.tolist(), counts.tolist()):
    confusion.setdefault(t, {})[s] = n
print(json.dumps([float(np.mean(truth == said)), confusion]))
"#;

fn numpy(input: &Value) -> Option<Value> {
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
    let mut child = Command::new(python)
        .args(["-c", NUMPY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(input.to_string().as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

#[tokio::test]
async fn the_accuracy_is_that_of_numpy() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), &format!("{MOTION}{LABELS}"));
    gateway.start();
    gateway.await_notice("subscribed");
    let names = ["resting", "walking", "running", "badminton"];
    let mut random = fastrand::Rng::with_seed(3);
    let (mut truth, mut said, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for prediction in predictions(&mut peer, 0, 1600).await {
        let label = names[random.usize(..names.len())];
        labels.push(json!({"id": prediction["id"], "label": label}));
        truth.push(label);
        said.push(prediction["label"].as_str().unwrap().to_owned());
    }
    let count = labels.len();
    peer.publish("labels/motion/watch-7", Value::from(labels).to_string()).await;
    let health = gateway.await_health("the labels", |it| labels_of(it)["joined"] == count);
    let version = &labels_of(&health)["versions"][0];
    let Some(expected) = numpy(&json!([truth, said])) else {
        return skipped("accuracy beside numpy", "INFERD_TEST_PYTHON has no numpy");
    };
    assert_eq!(json!([version["accuracy"], version["confusion"]]), expected);
}

#[test]
fn labels_must_have_topics_of_their_own() {
    for (topic, problem) in [
        ("sensors/{device}/{kind}", "also matches the inputs of stream motion"),
        ("predictions/{stream}/{device}", "also matches the predictions of stream motion"),
        ("{a}/{b}/{c}/health", "matches the daemon's own topics"),
    ] {
        let labels = format!("{MOTION}[stream.labels]\ntopic = \"{topic}\"\n");
        let output = Gateway::new(1, &labels).command(&["check"]);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains(problem), "{topic}: {text}");
    }
}
