//! The state that an earlier commit left on disk: this daemon opens it and goes on.

mod make;

use std::path::Path;

use flate2::read::GzDecoder;
use inferd::update::machine::State;
use inferd::update::{Deployment, Trial};
use serde_json::{Value, json};

use crate::common::gateway::{Gateway, samples};
use crate::common::mqtt_client::MqttClient;
use crate::updates::fleet::{Change, Fleet, deployment, release, state};

/// See `README.md` beside it.
const STATE: &[u8] = include_bytes!("state-0.1.tar.gz");

/// Two streams of one model, each with its own way to keep windows. The windows of the file are as old as it is:
/// they are kept for as long as the configuration allows, a year.
const STREAMS: &str = r#"
[updates]
keyset = "keyset-1.json"

[[stream]]
name = "journaled"
model = "motion"
topic = "sensors/{device}/imu"
windows = "journal"
key_ttl = "365d"
payload = { format = "json", fields = ["ax", "ay", "az", "gx", "gy", "gz"], time = "ts" }
[stream.publish]
topic = "predictions/{stream}/{device}"

[[stream]]
name = "saved"
model = "motion"
topic = "saved/{device}/imu"
windows = "checkpoint"
key_ttl = "365d"
payload = { format = "json", fields = ["ax", "ay", "az", "gx", "gy", "gz"], time = "ts" }
[stream.publish]
topic = "predictions/{stream}/{device}"
"#;

/// The time of the first sample, in milliseconds; the others follow ten a second.
const START: i64 = 1_795_000_000_000;
/// Samples of `watch-1`: results that wait end at 39, 49, 59, 69 and 79.
const LONG: usize = 85;
/// Samples of every other device: one more completes its window.
const SHORT: usize = 39;

/// Samples of the recording from `from` to `to`, at fixed times.
fn recorded(from: usize, to: usize) -> Vec<Vec<u8>> {
    let samples = samples(from, to - from).into_iter().zip(from..to);
    samples
        .map(|(sample, place)| {
            let mut sample: Value = serde_json::from_slice(&sample).unwrap();
            sample["ts"] = json!(START + 100 * i64::try_from(place).unwrap());
            sample.to_string().into_bytes()
        })
        .collect()
}

/// Which sample the window of a prediction ends with.
fn last_sample(prediction: &Value) -> usize {
    let time: jiff::Timestamp = prediction["time"].as_str().unwrap().parse().unwrap();
    usize::try_from((time.as_millisecond() - START) / 100).unwrap()
}

async fn next_prediction(peer: &mut MqttClient, device: &str) -> Value {
    let (topic, text) = peer.next_text().await;
    assert!(topic.ends_with(&format!("/{device}")), "{topic} {text}");
    serde_json::from_str(&text).unwrap()
}

/// The version in a slot of the model.
fn version_in(gateway: &Gateway, slot: &str) -> Value {
    let mut models = gateway.ask(&["models"]);
    let rows = models["models"].as_array_mut().unwrap();
    let row = rows.iter_mut().find(|row| row["slot"] == slot);
    row.map(|row| row["version"].take()).unwrap_or_default()
}

fn unpack(into: &Path) {
    tar::Archive::new(GzDecoder::new(STATE)).unpack(into).unwrap();
}

#[tokio::test]
async fn a_state_of_an_earlier_commit_opens_and_goes_on() {
    let Some(mut fleet) = Fleet::start("a state of an earlier commit").await else { return };
    let mut listener = MqttClient::connect(fleet.broker.port(), "listener").await;
    listener.subscribe("predictions/#").await;
    let mut sensor = MqttClient::connect(fleet.broker.port(), "sensor").await;
    fleet.gateway.configure(fleet.broker.port(), STREAMS);
    unpack(&fleet.gateway.dir().join("state"));
    fleet.gateway.start();
    fleet.gateway.await_notice("subscribed");

    // What waited is published in order, each result once.
    for end in [39, 49, 59, 69, 79] {
        let got = next_prediction(&mut listener, "watch-1").await;
        assert_eq!((last_sample(&got), &got["version"]), (end, &json!("3.0.0")), "{got}");
        assert_eq!(got["replayed"], true, "{got}");
    }
    // One sample each completes the windows that were open.
    for (topic, device, at) in
        [("sensors", "watch-2", SHORT), ("saved", "watch-3", SHORT), ("sensors", "watch-1", 89)]
    {
        let from = if device == "watch-1" { LONG } else { at };
        sensor.publish_all(&format!("{topic}/{device}/imu"), recorded(from, at + 1)).await;
        let got = next_prediction(&mut listener, device).await;
        assert_eq!((last_sample(&got), &got["version"]), (at, &json!("3.0.0")), "{got}");
    }

    assert_eq!(
        (fleet.serving().as_str(), version_in(&fleet.gateway, "previous")),
        ("3.0.0", "2.0.0".into())
    );
    let back = fleet.gateway.ask(&["rollback", "motion"]);
    assert_eq!((&back["from"], &back["to"]), (&json!("3.0.0"), &json!("2.0.0")), "{back}");
    let made = release(&fleet.keys, "4.0.0", 4, &Change::default());
    fleet.publish(&made).await;
    let trial = Trial { max_s: 1, ..Trial::default() };
    fleet.deploy(&Deployment { trial, ..deployment(&made, 3) }).await;
    let end = fleet.ends("motion-4.0.0").await;
    assert_eq!(state(&end), Some(State::Committed), "{end:?}");
    assert_eq!(
        (fleet.serving().as_str(), version_in(&fleet.gateway, "previous")),
        ("4.0.0", "2.0.0".into())
    );
    fleet.gateway.stop();
    fleet.gateway.start();
    assert_eq!(fleet.serving(), "4.0.0");
    fleet.gateway.stop();
    assert!(!fleet.gateway.log().contains("ERROR"), "{}", fleet.gateway.log());
}
