//! Readings that the broker retained: ignored, taken or marked, at brokers that honour the retain
//! handling of MQTT 5 and at one that does not.

use serde_json::Value;

use crate::common::broker::{Broker, Mosquitto};
use crate::common::gateway::{Gateway, without_window};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// One stream for each setting, all on one topic.
fn streams() -> String {
    ["ignore", "take", "mark"]
        .map(|setting| {
            format!(
                "[[stream]]\nname = \"{setting}\"\nmodel = \"whole\"\ntopic = \
                 \"inputs/{{device}}\"\nretained = \"{setting}\"\npayload = {{ format = \"f32le\" \
                 }}\npublish = {{ topic = \"predictions/{setting}\" }}\n"
            )
        })
        .concat()
}

fn input(number: u8) -> Vec<u8> {
    (0..240u8).flat_map(|i| (f32::from(i ^ number) / 100.0).to_le_bytes()).collect()
}

/// Takes predictions until each stream has one of the device `end`: stream, device, and whether it
/// is marked, in the order of the streams.
async fn until(peer: &mut MqttClient, end: &str) -> Vec<(String, String, bool)> {
    let (mut all, mut ended) = (Vec::new(), 0);
    while ended < 3 {
        let (topic, got) = peer.next_json().await;
        if !topic.starts_with("predictions/") {
            continue;
        }
        let text = |key: &str| got[key].as_str().unwrap().to_owned();
        if text("device") == end {
            ended += 1;
        } else {
            all.push((text("stream"), text("device"), got["retained"] == true));
        }
    }
    all.sort_unstable();
    all
}

/// The counters of the streams, once the health message has them as wanted.
async fn streams_of_health(peer: &mut MqttClient, wanted: impl Fn(&Value) -> bool) -> Value {
    peer.await_json("/health", |health| wanted(&health["streams"])).await["streams"].take()
}

async fn is_handled_as_each_stream_says(broker: &Broker) {
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.publish_retained("inputs/old", input(1)).await;
    peer.subscribe("predictions/#").await;
    peer.subscribe("inferd/v1/gw-1/health").await;
    let mut gateway = Gateway::new(broker.port(), &streams());
    gateway.ship("whole", without_window);
    gateway.start();
    gateway.await_notice("subscribed");
    // Live, and retained by the broker: to us it comes as any other.
    peer.publish_retained("inputs/new", input(2)).await;
    peer.publish("inputs/end", input(3)).await;
    let expected = [
        ("ignore", "new", false),
        ("mark", "new", false),
        ("mark", "old", true),
        ("take", "new", false),
        ("take", "old", false),
    ];
    let of = |(stream, device, marked): (&str, &str, bool)| {
        (stream.to_owned(), device.to_owned(), marked)
    };
    assert_eq!(until(&mut peer, "end").await, expected.map(of));
    // Empty messages clear what is retained. None is a reject.
    peer.publish_retained("inputs/old", Vec::new()).await;
    peer.publish("inputs/end2", input(3)).await;
    assert_eq!(until(&mut peer, "end2").await, []);
    let streams = streams_of_health(&mut peer, |streams| streams["take"]["cleared"] == 1).await;
    for name in ["ignore", "take", "mark"] {
        let stream = &streams[name];
        assert_eq!(stream["cleared"], 1, "{streams}");
        assert_eq!(stream["rejects"], serde_json::json!({}), "{streams}");
    }
    assert_eq!(streams["ignore"]["retained"], 1, "{streams}");
    assert_eq!(
        (&streams["take"]["retained"], &streams["mark"]["retained"]),
        (&0.into(), &0.into())
    );
    gateway.stop();
}

#[tokio::test]
async fn a_retained_reading_is_handled_as_each_stream_says() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("retained readings at mosquitto", "it is not installed");
    };
    is_handled_as_each_stream_says(&Broker::Mosquitto(mosquitto)).await;
}

/// rumqttd sends retained messages whatever the retain handling asks for.
#[tokio::test]
async fn a_broker_that_knows_no_retain_handling_makes_no_difference() {
    is_handled_as_each_stream_says(&Broker::embedded()).await;
}

/// In a new session the broker sends what is retained again.
#[tokio::test]
async fn a_retained_reading_that_comes_again_is_not_taken_twice() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("retained readings after a session", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    peer.subscribe("inferd/v1/gw-1/health").await;
    let window = r#"
[[stream]]
name = "motion"
model = "motion"
topic = "inputs/{device}"
retained = "take"
payload = { format = "json" }
publish = { topic = "predictions/motion" }
"#;
    let mut gateway = Gateway::new(broker.port(), window);
    gateway.start();
    gateway.await_notice("subscribed");
    peer.publish_retained("inputs/d", "[[1,2,3,4,5,6]]").await;
    streams_of_health(&mut peer, |streams| streams["motion"]["samples"] == 1).await;
    gateway.stop();
    // One that starts clean under the same client id ends the session.
    drop(MqttClient::connect(broker.port(), "gw-1").await);
    gateway.start();
    let streams = streams_of_health(&mut peer, |streams| streams["motion"]["retained"] == 1).await;
    assert_eq!(streams["motion"]["samples"], 0, "its sample came back with the window: {streams}");
    gateway.stop();
}
