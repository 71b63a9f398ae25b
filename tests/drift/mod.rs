//! Drift through the real daemon: a sensor that changes its unit raises a named alarm on the
//! retained topic, makes the daemon degraded, and the alarm is gone after the recovery.

mod circle;
mod outside;
mod rollback;

use std::path::Path;

use serde_json::{Value, json};

use crate::common::broker::Broker;
use crate::common::gateway::{Gateway, MOTION};
use crate::common::mqtt_client::MqttClient;

const TOPIC: &str = "inferd/v1/gw-1/drift/motion";
/// From m/s2 to g.
const TO_G: f64 = 1.0 / 9.81;
const RECORDINGS: &str = include_str!("../../models/recordings/basic-motions-test.csv");
/// Recordings of watches, and their samples.
const WATCHES: usize = 40;
const ROWS: usize = 100;
/// Samples in a message: as many as are between two windows.
const BATCH: usize = 10;

fn model_file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

fn with_baseline(gateway: &Gateway) {
    let to = gateway.dir().join("models/motion/baseline.npz");
    std::fs::copy(model_file("motion/baseline.npz"), to).unwrap();
}

/// Every watch sends its recording once, all at the same time. `unit`: what its accelerometer is
/// multiplied with; `round`: how often they sent it before.
async fn send_all(peer: &mut MqttClient, unit: f64, round: usize) {
    let rows: Vec<Vec<f64>> = RECORDINGS
        .lines()
        .skip(1)
        .map(|row| row.split(',').skip(3).map(|cell| cell.parse().unwrap()).collect())
        .collect();
    let start = jiff::Timestamp::now().as_millisecond() - 60_000;
    for first in (0..ROWS).step_by(BATCH) {
        for watch in 0..WATCHES {
            let sample = |step: usize| {
                let [ax, ay, az, gx, gy, gz] = rows[watch * ROWS + step][..] else {
                    panic!("columns")
                };
                let ms = start + 100 * i64::try_from(step).unwrap();
                let (ax, ay, az) = (ax * unit, ay * unit, az * unit);
                json!({"ts": ms, "ax": ax, "ay": ay, "az": az, "gx": gx, "gy": gy, "gz": gz})
            };
            let batch: Vec<Value> = (first..first + BATCH).map(sample).collect();
            let topic = format!("sensors/watch-{watch}-{round}/imu");
            peer.publish_all(&topic, [serde_json::to_vec(&batch).unwrap()]).await;
        }
    }
}

/// The next message of the drift topic with this event.
async fn event(listener: &mut MqttClient, wanted: &str) -> Value {
    loop {
        let message: Value = serde_json::from_slice(&listener.next().await.payload).unwrap();
        if message["event"] == wanted {
            return message;
        }
    }
}

/// The alarm that names the cause; the output may be found before it.
async fn drift_of_the_accelerometer(listener: &mut MqttClient) -> Value {
    let is_accelerometer =
        |name: &str| ["ax.", "ay.", "az."].iter().any(|channel| name.starts_with(channel));
    loop {
        let drift = event(listener, "drift").await;
        if is_accelerometer(drift["last_alarm"]["quantity"].as_str().unwrap()) {
            return drift;
        }
    }
}

#[tokio::test]
async fn a_sensor_that_changes_its_unit_is_named_until_it_changes_back() {
    let broker = Broker::start();
    let mut gateway = Gateway::new(broker.port(), MOTION);
    with_baseline(&gateway);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let mut listener = MqttClient::connect(broker.port(), "listener").await;
    listener.subscribe(TOPIC).await;
    send_all(&mut peer, 1.0, 0).await;
    let steady = event(&mut listener, "steady").await;
    assert_eq!((&steady["state"], &steady["baseline"]), (&json!("ok"), &json!("bundle")));
    let health = gateway.await_health("windows", |health| {
        health["streams"]["motion"]["drift"]["windows"].as_u64() >= Some(256)
    });
    assert_eq!(health["state"], "healthy", "{health}");
    let quantities = health["streams"]["motion"]["drift"]["quantities"].as_array().unwrap();
    let names: Vec<&str> = quantities.iter().map(|q| q["name"].as_str().unwrap()).collect();
    for name in ["ax.mean", "gz.log_std", "az.constant", "score", "margin", "entropy", "labels"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }

    send_all(&mut peer, TO_G, 1).await;
    let drift = drift_of_the_accelerometer(&mut listener).await;
    let alarm = &drift["last_alarm"];
    assert!(alarm["message"].as_str().unwrap().contains("unit"), "{alarm}");
    assert_eq!((&drift["state"], &drift["version"]), (&json!("drift"), &json!("1.0.0")));
    // A later client gets it, too.
    let mut late = MqttClient::connect(broker.port(), "late").await;
    late.subscribe(TOPIC).await;
    let retained = late.next().await;
    assert!(retained.retain);
    assert_eq!(serde_json::from_slice::<Value>(&retained.payload).unwrap()["state"], "drift");
    let health = gateway.await_health("the reason", |health| {
        health["reasons"].as_array().is_some_and(|all| all.iter().any(|r| r["code"] == "drift"))
    });
    assert_eq!(health["state"], "degraded");
    let text = String::from_utf8(gateway.command(&["status"]).stdout).unwrap();
    assert!(text.contains("degraded: stream motion: drift: ") && text.contains("[drift"), "{text}");

    for round in 2..4 {
        send_all(&mut peer, 1.0, round).await;
    }
    let recovered = event(&mut listener, "recovered").await;
    assert_ne!(recovered["state"], "drift");
    gateway.await_health("the recovery", |health| health["state"] == "healthy");
    gateway.stop();
}

#[tokio::test]
async fn what_was_learned_of_a_baseline_survives_a_restart() {
    let broker = Broker::start();
    let config = format!("{MOTION}[stream.drift]\nlearn = \"1m\"\n");
    let mut gateway = Gateway::new(broker.port(), &config);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let learned =
        |health: &Value| health["streams"]["motion"]["drift"]["learned"].as_f64().unwrap_or(0.0);
    send_all(&mut peer, 1.0, 0).await;
    send_all(&mut peer, 1.0, 1).await;
    gateway.await_health("the windows", |health| health["streams"]["motion"]["windows"] == 560);
    gateway.stop();
    gateway.skip_notices();
    gateway.start();
    gateway.await_notice("subscribed");
    assert!(gateway.log().contains("goes on learning its baseline"), "{}", gateway.log_end());
    // The first message after the start is one of a second at most.
    send_all(&mut peer, 1.0, 2).await;
    let health = gateway.await_health("more", |health| learned(health) > 0.0);
    assert_eq!(health["streams"]["motion"]["drift"]["state"], "learning", "{health}");
    gateway.stop();
}
