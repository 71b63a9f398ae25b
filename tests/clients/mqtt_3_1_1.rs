//! A real broker that speaks MQTT 3.1.1 only (amqtt): its answer is recognised, and the messages say
//! what to do.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::common::broker::free_port;
use crate::common::gateway::{Gateway, MOTION};
use crate::common::skipped;

/// The broker; killed when dropped.
struct Amqtt {
    port: u16,
    child: Child,
}

impl Amqtt {
    /// `None` without amqtt, which is reported as skipped.
    fn start() -> Option<Self> {
        let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
        let has_amqtt = Command::new(&python).args(["-c", "import amqtt.broker"]).output();
        if !has_amqtt.is_ok_and(|output| output.status.success()) {
            skipped("a broker of MQTT 3.1.1", "pip install -r tests/requirements.txt makes it run");
            return None;
        }
        let port = free_port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/amqtt_broker.py");
        let mut child = Command::new(&python)
            .args([script, &port.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "amqtt does not start");
        Some(Self { port, child })
    }
}

impl Drop for Amqtt {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

fn names_the_version(reason: &str) {
    for part in ["MQTT 3.1.1", "MQTT 5", "mosquitto"] {
        assert!(reason.contains(part), "no {part:?} in: {reason}");
    }
}

#[test]
fn a_broker_of_mqtt_3_1_1_is_recognised() {
    let Some(broker) = Amqtt::start() else { return };
    let mut gateway = Gateway::new(broker.port, MOTION);
    let checked = gateway.command(&["check", "--connect", "--json"]);
    assert_eq!(checked.status.code(), Some(78), "{checked:?}");
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    names_the_version(report["problems"][0]["reason"].as_str().unwrap());
    // The daemon stays up without a broker it can use, and says why.
    gateway.start();
    let health = gateway.await_health("the version of the broker", |health| {
        health["reasons"].to_string().contains("broker-refused")
    });
    names_the_version(&health["reasons"].to_string());
    gateway.stop();
}
