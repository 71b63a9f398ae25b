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

const NAMES: [&str; 6] = ["ax", "ay", "az", "gx", "gy", "gz"];

/// A stream for each of the ways in which the same samples arrive.
const WAYS: &str = r#"
[[stream]]
name = "plain"
model = "motion"
topic = "plain/{device}"
payload = { time = "ts" }

[[stream]]
name = "uplinks"
model = "motion"
topic = "application/{app}/device/{device}/event/up"
[stream.payload]
time = "ts"
missing = "skip"
[stream.payload.bytes]
at = "data"
encoding = "hex"
layout = [
    "u8 skip", "u64be ts", "i16be ax / 1000", "i16le ay / 1000", "i24be az / 1000",
    "i32le gx / 1000", "f32be gy / 1000", "i16be gz / 1000",
]

[[stream]]
name = "metrics"
model = "motion"
topic = "spBv1.0/{group}/{message}/{node}/{unit}"
payload = { format = "sparkplug" }
"#;

/// Protocol Buffers: a field that is a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// Protocol Buffers: a field that has a length.
fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    let len = u64::try_from(value.len()).unwrap();
    [varint(field << 3 | 2), varint(len), value.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

/// The same sample as JSON, as an uplink with bytes, and as metrics with aliases.
fn ways(ms: u64, values: [i16; 6]) -> [Vec<u8>; 3] {
    let mut sample = json!({ "ts": ms });
    for (name, value) in NAMES.iter().zip(values) {
        sample[name] = json!(f64::from(value) / 1000.0);
    }
    let [ax, ay, az, gx, gy, gz] = values;
    let record = [
        &[7][..],
        &ms.to_be_bytes(),
        &ax.to_be_bytes(),
        &ay.to_le_bytes(),
        &i32::from(az).to_be_bytes()[1..],
        &i32::from(gx).to_le_bytes(),
        &f32::from(gy).to_be_bytes(),
        &gz.to_be_bytes(),
    ];
    let hex: String = record.concat().iter().map(|byte| format!("{byte:02x}")).collect();
    let uplink = json!({ "fPort": 2, "data": hex });
    let mut metrics = number(1, ms);
    for (alias, value) in (0..).zip(values) {
        let double = (f64::from(value) / 1000.0).to_le_bytes();
        let metric = [number(2, alias), varint(13 << 3 | 1), double.to_vec()].concat();
        metrics.extend(bytes(2, &metric));
    }
    [sample.to_string().into_bytes(), uplink.to_string().into_bytes(), metrics]
}

#[tokio::test]
async fn bytes_in_uplinks_and_metrics_by_alias_give_the_predictions_of_plain_samples() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("bytes and metrics through a broker", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(mosquitto.port(), WAYS);
    gateway.start();
    gateway.await_notice("subscribed");
    let (mut plain, mut uplinks, mut metrics) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples(0, 40) {
        let sample: Value = serde_json::from_slice(&sample).unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "readings are below 32")]
        let values = NAMES.map(|name| (sample[name].as_f64().unwrap() * 1000.0).round() as i16);
        let [one, other, last] = ways(sample["ts"].as_u64().unwrap(), values);
        plain.push(one);
        uplinks.push(other);
        metrics.push(last);
    }
    uplinks.push(br#"{"fPort":0,"data":""}"#.to_vec());
    let of = |(alias, name): (u64, &&str)| {
        bytes(2, &[bytes(1, name.as_bytes()), number(2, alias), number(4, 10)].concat())
    };
    let born: Vec<u8> = (0..).zip(&NAMES).flat_map(of).collect();
    peer.publish_all("plain/watch", plain).await;
    peer.publish_all("application/3/device/watch/event/up", uplinks).await;
    peer.publish("spBv1.0/plant/DBIRTH/gw/watch", born).await;
    peer.publish_all("spBv1.0/plant/DDATA/gw/watch", metrics).await;
    peer.publish("spBv1.0/plant/DDEATH/gw/watch", Vec::from(*b"\x08\x01")).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let (topic, got) = peer.next_json().await;
        told.push((topic, got["label"].clone(), got["score"].clone(), got["device"].clone()));
    }
    told.sort_by(|one, other| one.0.cmp(&other.0));
    let topics: Vec<_> = told.iter().map(|told| told.0.as_str()).collect();
    let uplinks = "predictions/uplinks/3/watch";
    assert_eq!(topics, ["predictions/metrics/plant/gw/watch", "predictions/plain/watch", uplinks]);
    let devices: Vec<_> = told.iter().map(|told| told.3.as_str().unwrap()).collect();
    assert_eq!(devices, ["plant/gw/watch", "watch", "watch"]);
    assert!(told.iter().all(|it| (&it.1, &it.2) == (&told[1].1, &told[1].2)), "{told:?}");
    assert!(told[1].1.is_string() && told[1].2.is_number(), "{told:?}");
    let health = gateway.await_health("the samples", |health| {
        let streams = &health["streams"];
        ["plain", "uplinks", "metrics"].iter().all(|name| streams[name]["samples"] == 40)
            && streams["metrics"]["skipped"] == 2
    });
    assert_eq!(health["streams"]["uplinks"]["skipped"], 1, "{health}");
    for name in ["plain", "uplinks", "metrics"] {
        assert_eq!(health["streams"][name]["rejects"], json!({}), "{health}");
    }
    gateway.stop();
}
