//! Clients written by others: what they send is understood, what they get is what they expect.

mod mqtt_3_1_1;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, WHOLE, without_window};
use crate::common::skipped;

/// 240 values: one whole input of the demonstration model.
fn input() -> Vec<u8> {
    let values: Vec<f32> = (0..240u8).map(|i| f32::from(i) / 100.0).collect();
    serde_json::to_vec(&values).unwrap()
}

fn gateway(broker: &Mosquitto) -> Gateway {
    let mut gateway = Gateway::new(broker.port(), &WHOLE.replace("f32le", "json"));
    gateway.ship("whole", without_window);
    gateway.start();
    gateway.await_notice("subscribed");
    gateway
}

fn feed(command: &mut Command, bytes: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn mosquitto_rr_asks_and_mosquitto_sub_reads() {
    let has_clients = Command::new("mosquitto_sub").arg("--help").output().is_ok();
    let (Some(broker), true) = (Mosquitto::start(""), has_clients) else {
        return skipped("mosquitto's clients", "mosquitto and its clients are not installed");
    };
    let _gateway = gateway(&broker);
    let port = broker.port().to_string();
    // mosquitto_rr publishes, and waits for the answer on its response topic. (From a file or from
    // its input, 2.0.11 sends nothing.)
    let asked = Command::new("mosquitto_rr")
        .args(["-p", &port, "-V", "5", "-q", "1", "-W", "60"])
        .args(["-t", "inputs/press-1", "-e", "answers/rr", "-m"])
        .arg(String::from_utf8(input()).unwrap())
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    let answer: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!(answer["device"], "press-1", "{answer}");
    assert_eq!(answer["stream"], "whole");
    let status = Command::new("mosquitto_sub")
        .args(["-p", &port, "-V", "5", "-C", "1", "-W", "60", "-t", "inferd/v1/gw-1/status"])
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["state"], "online");
}

#[test]
fn paho_asks_and_is_answered() {
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
    let has_paho = Command::new(&python).args(["-c", "import paho.mqtt.client"]).output();
    if !has_paho.is_ok_and(|output| output.status.success()) {
        return skipped("paho-mqtt", "pip install -r tests/requirements.txt makes it run");
    }
    let Some(broker) = Mosquitto::start("") else {
        return skipped("paho-mqtt", "mosquitto is not installed");
    };
    let _gateway = gateway(&broker);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/request.py");
    let port = broker.port().to_string();
    let answered = feed(Command::new(&python).args([script, &port, "inputs/press-2"]), &input());
    assert!(answered.status.success(), "{answered:?}");
    let text = String::from_utf8(answered.stdout).unwrap();
    let [content_type, model, payload] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    assert_eq!((content_type, model), ("application/json", "whole"));
    let answer: Value = serde_json::from_str(payload).unwrap();
    assert_eq!(answer["device"], "press-2");
}
