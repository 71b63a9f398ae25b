//! State that a model carries from run to run, by the real binary and a real broker: nothing of it is lost
//! or applied twice, whatever a kill interrupts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::broker::Mosquitto;
use crate::common::gateway::Gateway;
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// Its output is the sum of all its inputs so far and the number of its runs, which are its states.
const RUNNING_SUM: &[u8] = include_bytes!("models/running-sum.onnx");
const CARD: &str = r#"
format = 1
[model]
name = "sum"
version = "1"
WINDOW
[[input]]
name = "x"
[[state]]
input = "total"
output = "total_out"
[[state]]
input = "runs"
output = "runs_out"
value = 0
[output]
name = "y"
kind = "regression"
names = ["total", "runs"]
"#;
const WINDOW: &str = "[window]\nlength = 4";

fn stream(windows: &str) -> String {
    format!(
        r#"
[[stream]]
name = "sum"
model = "sum"
topic = "meters/{{device}}"
guarantee = "at-least-once"
windows = "{windows}"
payload = {{ format = "json", samples = "/x", fields = ["x"] }}
[stream.publish]
topic = "predictions/{{device}}"
"#
    )
}

fn gateway(broker: &Mosquitto, windows: &str, window: &str) -> Gateway {
    let stream = stream(windows);
    // A whole input has its four numbers in an array.
    let of_windows = ", samples = \"/x\", fields = [\"x\"]";
    let stream = if window.is_empty() { stream.replace(of_windows, "") } else { stream };
    let gateway = Gateway::new(broker.port(), &stream);
    gateway.ship_model("sum", RUNNING_SUM, &CARD.replace("WINDOW", window));
    gateway
}

/// The prediction of each run of the device, by how many there were before: `(total, runs)`.
async fn totals(peer: &mut MqttClient, wanted: usize) -> Vec<(f64, f64)> {
    let mut by_id: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut found: Vec<(f64, f64)> = Vec::new();
    while found.len() < wanted {
        let (_, told): (String, Value) = peer.next_json().await;
        let value = |name: &str| told["values"][name].as_f64().unwrap();
        let numbers = (value("total"), value("runs"));
        // The same input has the same id and the same prediction, however often it was run.
        let before = by_id.insert(told["id"].as_str().unwrap().to_owned(), numbers);
        assert!(before.is_none_or(|before| before == numbers), "{before:?} and {told}");
        if before.is_none() {
            found.push(numbers);
        }
    }
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found
}

/// Message `n` has the samples `4 n` to `4 n + 3`: the total of the first `runs` messages.
fn expected(runs: u32) -> Vec<(f64, f64)> {
    let samples = |runs: u32| 4 * runs * (4 * runs - 1) / 2;
    (1..=runs).map(|runs| (samples(runs).into(), runs.into())).collect()
}

async fn survives_kills(window: &str) {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("carried state across a kill", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = gateway(&broker, "journal", window);
    gateway.start();
    gateway.await_notice("subscribed");
    for n in 0..120_u64 {
        let [a, b, c, d] = [4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3];
        let payload = if window.is_empty() {
            format!("[{a},{b},{c},{d}]")
        } else {
            format!(r#"{{"x":[{{"x":{a}}},{{"x":{b}}},{{"x":{c}}},{{"x":{d}}}]}}"#)
        };
        peer.publish("meters/m1", payload).await;
        if n % 24 == 23 {
            gateway.kill();
            gateway.start();
        }
    }
    assert_eq!(totals(&mut peer, 120).await, expected(120));
}

#[tokio::test]
async fn the_state_of_windows_survives_kills_without_loss_or_repetition() {
    survives_kills(WINDOW).await;
}

#[tokio::test]
async fn the_state_of_whole_inputs_survives_kills_without_loss_or_repetition() {
    survives_kills("").await;
}

/// A clean stop loses nothing, whatever `windows` says.
#[tokio::test]
async fn a_stop_keeps_the_state() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("carried state across a stop", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = gateway(&broker, "memory", "");
    gateway.start();
    gateway.await_notice("subscribed");
    for payload in ["[0,1,2,3]", "[4,5,6,7]"] {
        peer.publish("meters/m1", payload).await;
        assert!(peer.next_json().await.1["values"].is_object());
        gateway.stop();
        gateway.start();
        gateway.await_notice("subscribed");
    }
    peer.publish("meters/m1", "[8,9,10,11]").await;
    let (_, told) = peer.next_json().await;
    assert_eq!((&told["values"]["total"], &told["values"]["runs"]), (&66.0.into(), &3.0.into()));
}
