//! Inputs outside of the range of the baseline, captured by the real daemon.

use serde_json::json;

use super::{MOTION, with_baseline};
use crate::common::broker::Broker;
use crate::common::gateway::{Gateway, samples};
use crate::common::mqtt_client::MqttClient;

const OUTSIDE: &str = "[stream.capture]\noutside = true\nper_day = 3\n\
                       [capture]\nwrite_interval = \"1s\"\n";
/// Of a window: the first prediction, and as many again.
const WINDOWS: usize = 40;

#[tokio::test]
async fn inputs_outside_of_the_range_of_the_baseline_are_captured_within_their_budget() {
    let broker = Broker::start();
    let mut gateway = Gateway::new(broker.port(), &format!("{MOTION}{OUTSIDE}"));
    with_baseline(&gateway);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.publish_all("sensors/steady/imu", samples(0, WINDOWS)).await;
    let health = gateway.await_health("the first window", |health| {
        health["streams"]["motion"]["outputs"]["last"]["device"] == "steady"
    });
    assert_eq!(health["capture"]["captured"], json!({}), "{health}");
    // A sensor that is shaken as no watch was.
    let shaken = samples(0, WINDOWS + 60).into_iter().map(|sample| {
        let mut sample: serde_json::Value = serde_json::from_slice(&sample).unwrap();
        sample["ax"] = json!(1000.0);
        serde_json::to_vec(&sample).unwrap()
    });
    peer.publish_all("sensors/shaken/imu", shaken.collect::<Vec<_>>()).await;
    let health = gateway.await_health("the captured inputs", |health| {
        health["streams"]["motion"]["samples"] == 2 * WINDOWS + 60
            && health["capture"]["inputs"] == 3
    });
    assert_eq!(health["capture"]["captured"], json!({ "outside": 3 }), "per_day bounds them");
    let list = gateway.ask(&["capture", "list", "--trigger", "outside"]);
    assert_eq!(list["segments"][0]["stream"], "motion", "{list}");
    gateway.stop();
}
