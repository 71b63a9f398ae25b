//! Values on topics of their own become samples: the real binary and a real broker.

use serde_json::{Value, json};

use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

const CHANNELS: [&str; 6] = ["ax", "ay", "az", "gx", "gy", "gz"];

/// The demo model, one quantity a topic.
const SPLIT: &str = r#"
[[stream]]
name = "motion"
model = "motion"
topic = "watch/{device}/{channel}"
guarantee = "at-least-once"
windows = "journal"
payload = { time = "ts", join = { by = "channel", hold = "10s", every = "all" } }
"#;

/// Each value of a recorded sample as a message of its own.
fn split(count: usize) -> Vec<(String, String)> {
    let each = |sample: Vec<u8>| {
        let sample: Value = serde_json::from_slice(&sample).unwrap();
        let message = move |name: &str| {
            let payload = json!({ "ts": sample["ts"], "value": sample[name] });
            (format!("watch/left/{name}"), payload.to_string())
        };
        CHANNELS.map(message)
    };
    samples(0, count).into_iter().flat_map(each).collect()
}

async fn publish(peer: &mut MqttClient, messages: &[(String, String)]) {
    for (topic, payload) in messages {
        peer.publish(topic, payload.as_str()).await;
    }
}

#[tokio::test]
async fn a_window_of_values_on_topics_of_their_own_survives_a_kill() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("joined values", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), SPLIT);
    gateway.start();
    gateway.await_notice("subscribed");
    let messages = split(40);
    // The window has most of its samples, and a sample has half of its values.
    let (before, after) = messages.split_at(39 * CHANNELS.len() + 3);
    publish(&mut peer, before).await;
    peer.publish("watch/left/battery", "97").await;
    let all = u64::try_from(before.len()).unwrap() + 1;
    let health = gateway.await_health("the acknowledgement of all inputs", |health| {
        health["link"]["acknowledged"] == all
    });
    let joined = &health["streams"]["motion"]["join"];
    assert_eq!(joined, &json!({ "values": before.len(), "unused": 1, "missing": {} }));
    gateway.kill();
    gateway.start();
    gateway.await_notice("subscribed");
    publish(&mut peer, after).await;
    let (topic, text) = peer.next_text().await;
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(topic, "predictions/motion/left", "without the channel");
    assert_eq!((&told["device"], &told["label"]), (&json!("left"), &json!("resting")));
    gateway.stop();
}

const SOURCES: &str = r#"
[[stream]]
name = "motion"
model = "motion"
payload = { time = "ts", join = { hold = "10s", every = "all" } }
[[stream.source]]
topic = "accel/{device}"
fields = ["ax", "ay", "az"]
[[stream.source]]
topic = "gyro/{device}"
format = "csv"
fields = ["gx", "gy", "gz"]
"#;

#[tokio::test]
async fn several_topics_of_a_stream_are_subscribed_to_and_joined() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("joined sources", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), SOURCES);
    gateway.start();
    gateway.await_notice("subscribed");
    for sample in samples(0, 40) {
        let it: Value = serde_json::from_slice(&sample).unwrap();
        let accel = json!({ "ts": it["ts"], "ax": it["ax"], "ay": it["ay"], "az": it["az"] });
        peer.publish("accel/left", accel.to_string()).await;
        let gyro = format!("{},{},{},{}", it["ts"], it["gx"], it["gy"], it["gz"]);
        peer.publish("gyro/left", gyro).await;
    }
    let (topic, text) = peer.next_text().await;
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(topic, "predictions/motion/left");
    assert_eq!(told["label"], "resting");
    gateway.stop();
}
