//! Topics that capture a part of a level, several levels or empty ones, and subscriptions that
//! gateways share: the real binary and a real broker.

use serde_json::Value;

use crate::common::broker::{Aedes, Broker, Mosquitto};
use crate::common::gateway::{Gateway, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// Filters that overlap in several ways.
const FORMS: &str = r#"
[[stream]]
name = "part"
model = "motion"
topic = "shelly-{name}/status"
payload = { time = "ts" }
[[stream]]
name = "level"
model = "motion"
topic = "{device}/status"
payload = { time = "ts" }
[[stream]]
name = "rest"
model = "motion"
topic = "z2m/{device#}"
payload = { time = "ts" }
[[stream]]
name = "empty"
model = "motion"
topic = "//site/{device}/"
payload = { time = "ts" }
"#;

const SHADOW: &str = r#"
[[stream]]
name = "shadow"
model = "motion"
topic = "$aws/things/{thing}/shadow"
payload = { time = "ts" }
"#;

async fn publish(peer: &mut MqttClient, topic: &str, count: usize) {
    peer.publish_all(topic, samples(0, count)).await;
}

fn counted(health: &Value, stream: &str) -> u64 {
    health["streams"][stream]["samples"].as_u64().unwrap_or(0)
}

async fn every_form_reaches_its_stream_once(name: &str, broker: &Broker) {
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), FORMS);
    gateway.start();
    gateway.await_notice("subscribed");
    publish(&mut peer, "shelly-kitchen/status", 40).await;
    publish(&mut peer, "tasmota-1/status", 3).await;
    publish(&mut peer, "shelly-/status", 1).await;
    publish(&mut peer, "z2m/room/shelf", 40).await;
    publish(&mut peer, "z2m", 1).await;
    publish(&mut peer, "//site/press/", 40).await;
    let health = gateway.await_health("all samples", |health| {
        counted(health, "part") == 40
            && counted(health, "level") == 44
            && counted(health, "rest") == 40
            && counted(health, "empty") == 40
    });
    // Brokers deliver z2m to z2m/#; the embedded one does not.
    assert!(health["link"]["unrouted"].as_u64().unwrap() <= 1, "at {name}: {health}");
    let mut topics = Vec::new();
    for _ in 0..4 {
        topics.push(peer.next_text().await.0);
    }
    topics.sort();
    let expected = [
        "predictions/empty/press",
        "predictions/level/shelly-kitchen",
        "predictions/part/kitchen",
        "predictions/rest/room/shelf",
    ];
    assert_eq!(topics, expected, "at {name}");
    gateway.stop();
}

#[tokio::test]
async fn parts_of_levels_several_levels_and_empty_ones_are_captured() {
    every_form_reaches_its_stream_once("the embedded broker", &Broker::embedded()).await;
    match Mosquitto::start("") {
        Some(broker) => {
            every_form_reaches_its_stream_once("mosquitto", &Broker::Mosquitto(broker)).await;
        }
        None => skipped("topics at mosquitto", "it is not installed"),
    }
    match Aedes::start() {
        Ok(broker) => every_form_reaches_its_stream_once("aedes", &Broker::Aedes(broker)).await,
        Err(why) => skipped("topics at aedes", &why),
    }
}

/// The embedded broker refuses filters that begin with `$`.
async fn another_root_is_subscribed_to(broker: &Broker) {
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let mut gateway = Gateway::new(broker.port(), &format!("{FORMS}{SHADOW}"));
    gateway.start();
    gateway.await_notice("subscribed");
    publish(&mut peer, "$aws/things/t1/shadow", 5).await;
    gateway.await_health("the samples", |health| counted(health, "shadow") == 5);
    gateway.stop();
}

#[tokio::test]
async fn topics_of_another_root_are_subscribed_to() {
    match Mosquitto::start("") {
        Some(broker) => another_root_is_subscribed_to(&Broker::Mosquitto(broker)).await,
        None => skipped("topics that begin with $", "mosquitto is not installed"),
    }
    match Aedes::start() {
        Ok(broker) => another_root_is_subscribed_to(&Broker::Aedes(broker)).await,
        Err(why) => skipped("topics that begin with $ at aedes", &why),
    }
}

const SHARED: &str = r#"
[[stream]]
name = "motion"
model = "motion"
topic = "sensors/{device}"
share = "gateways"
payload = { time = "ts" }
"#;

#[tokio::test]
async fn gateways_of_a_group_share_the_messages() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("shared subscriptions", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let mut gateways = [Gateway::new(broker.port(), SHARED), Gateway::new(broker.port(), SHARED)];
    gateways[1].set("INFERD__BROKER__CLIENT_ID", "gw-2");
    for gateway in &mut gateways {
        gateway.start();
        gateway.await_notice("subscribed");
    }
    // A check joins no group: it would take messages away.
    let check = gateways[0].command(&["check", "--connect"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    assert!(broker.log().contains("$share/gateways-check/sensors/+"));
    publish(&mut peer, "sensors/press", 60).await;
    gateways[0].await_health("each message once", |health| {
        let other = gateways[1].ask(&["status"]);
        let counts = [counted(health, "motion"), counted(&other["health"], "motion")];
        counts.iter().sum::<u64>() == 60 && counts.iter().all(|count| *count > 0)
    });
    for gateway in &mut gateways {
        gateway.stop();
    }
}
