//! The ways an update takes over MQTT.

use std::collections::BTreeSet;

use inferd::update::machine::{Reason, State};
use inferd::update::{Deployment, Trial};

use super::fleet::{Change, Fleet, deployment, release, release_after, state};
use crate::common::gateway::samples;
use crate::common::mqtt_client::MqttClient;

/// Samples sent for each device.
const SAMPLES: usize = 400;
/// Windows of 40 samples, one every 10.
const WINDOWS: usize = (SAMPLES - 40) / 10 + 1;

/// Feeds devices one after the other until told to stop; gives how many got all their samples.
async fn feed(mut sensor: MqttClient, mut stop: tokio::sync::oneshot::Receiver<()>) -> usize {
    let mut devices = 0;
    while stop.try_recv().is_err() {
        sensor.publish_all(&format!("sensors/w{devices}/imu"), samples(0, SAMPLES)).await;
        devices += 1;
    }
    devices
}

#[tokio::test]
async fn a_good_model_takes_over_under_load_and_no_sample_is_lost() {
    let Some(mut fleet) = Fleet::start("an update over MQTT").await else { return };
    let mut listener = MqttClient::connect(fleet.broker.port(), "listener").await;
    listener.subscribe("predictions/#").await;
    let sensor = MqttClient::connect(fleet.broker.port(), "sensor").await;
    fleet.gateway.start();
    fleet.gateway.await_notice("subscribed");
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let feeding = tokio::spawn(feed(sensor, stopped));

    let made = release(&fleet.keys, "2.0.0", 1, &Change { padding: 200_000, ..Change::default() });
    fleet.publish(&made).await;
    fleet.deploy(&deployment(&made, 1)).await;
    let reports = fleet.reports(|report| state(report) == Some(State::Committed)).await;
    stop.send(()).unwrap();
    let devices = feeding.await.unwrap();
    let states: BTreeSet<_> = reports.iter().filter_map(state).map(|s| format!("{s:?}")).collect();
    // Reports keep the newest state: those that last a moment may be passed over.
    for passed in ["Probing", "Trial", "Committed"] {
        assert!(states.contains(passed), "{states:?}");
    }
    let last = reports.last().unwrap();
    assert_eq!((last.active.version.as_str(), last.active.digest), ("2.0.0", made.manifest()));
    assert_eq!(last.deployment.as_deref(), Some("motion-2.0.0"));
    assert_eq!(last.candidate.as_ref().unwrap().version.as_deref(), Some("2.0.0"));
    assert_eq!(fleet.serving(), "2.0.0");

    let mut answered = 0;
    let mut versions = BTreeSet::new();
    while answered < devices * WINDOWS {
        let (_, text) = listener.next_text().await;
        let prediction: serde_json::Value = serde_json::from_str(&text).unwrap();
        versions.insert(prediction["version"].as_str().unwrap().to_owned());
        answered += 1;
    }
    assert_eq!(versions.len(), 2, "{versions:?}");
    let health = fleet.gateway.ask(&["status"])["health"].take();
    assert_eq!(health["streams"]["motion"]["dropped"], 0);
    assert_eq!(health["streams"]["motion"]["rejects"], serde_json::json!({}));
    println!("{devices} devices, {answered} windows, updates {}", health["updates"]);

    fleet.gateway.kill();
    fleet.gateway.start();
    assert_eq!(fleet.serving(), "2.0.0", "what was committed survives a kill");
    fleet.gateway.stop();
}

#[tokio::test]
async fn a_retrained_model_comes_as_a_delta_to_the_one_that_is_here() {
    let Some(mut fleet) = Fleet::start("a delta over MQTT").await else { return };
    fleet.gateway.start();
    let change = Change { padding: 400_000, ..Change::default() };
    let first = release(&fleet.keys, "2.0.0", 1, &change);
    let retrained = Change { nudged: true, ..change };
    let second = release_after(&fleet.keys, "2.1.0", 2, &retrained, Some(&first));
    let trial = Trial { max_s: 1, ..Trial::default() };
    let mut came = Vec::new();
    for (seq, made) in [(1, &first), (2, &second)] {
        fleet.publish(made).await;
        fleet.deploy(&Deployment { trial, ..deployment(made, seq) }).await;
        let end = fleet.ends(&format!("motion-{}", made.version)).await;
        assert_eq!(state(&end), Some(State::Committed), "{end:?}");
        let bytes = |health: &serde_json::Value| health["updates"]["motion"]["bytes"].as_u64();
        came.push(bytes(&fleet.gateway.ask(&["status"])["health"]).unwrap());
    }
    assert_eq!(fleet.serving(), "2.1.0");
    let (whole, delta) = (came[0], came[1] - came[0]);
    println!("{whole} bytes for the first, {delta} for the second");
    assert!(delta * 3 < whole, "{delta} of {whole} bytes");
    fleet.gateway.stop();
}

#[tokio::test]
async fn a_model_that_fails_its_golden_vectors_is_refused_and_the_old_one_serves_on() {
    let Some(mut fleet) = Fleet::start("golden vectors over MQTT").await else { return };
    fleet.gateway.start();
    let made =
        release(&fleet.keys, "2.0.0", 1, &Change { fails_golden: true, ..Change::default() });
    fleet.publish(&made).await;
    fleet.deploy(&deployment(&made, 1)).await;
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::Failed), Some(Reason::Golden)));
    assert_eq!((end.active.version.as_str(), fleet.serving().as_str()), ("1.0.0", "1.0.0"));
    // Nor is it tried again.
    fleet.deploy(&deployment(&made, 2)).await;
    let again = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&again), again.reason), (Some(State::Rejected), Some(Reason::Refused)));
    // One without `normalize` passes its golden vectors, and not its golden samples.
    let raw = Change { not_normalized: true, ..Change::default() };
    let made = release(&fleet.keys, "2.0.1", 2, &raw);
    fleet.publish(&made).await;
    fleet.deploy(&deployment(&made, 3)).await;
    let end = fleet.ends("motion-2.0.1").await;
    assert_eq!((state(&end), end.reason), (Some(State::Failed), Some(Reason::Golden)));
    assert_eq!(fleet.serving(), "1.0.0");
    fleet.gateway.stop();
}
