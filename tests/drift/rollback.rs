//! A drift soon after a trial: the previous version becomes active, once.

use inferd::update::machine::{Reason, State};
use serde_json::json;

use super::{TO_G, TOPIC, event, send_all, with_baseline};
use crate::common::gateway::MOTION;
use crate::common::mqtt_client::MqttClient;
use crate::updates::fleet::{Change, Fleet, deployment, release, state};

const ACTS: &str = r#"
[updates]
keyset = "keyset-1.json"
[stream.drift]
on_drift = ["rollback", "capture"]
capture_inputs = 5
[stream.capture]
"#;

#[tokio::test]
async fn a_drift_soon_after_a_trial_rolls_back_to_the_previous_version_and_no_further() {
    let Some(mut fleet) = Fleet::start("a rollback after a drift").await else { return };
    let port = fleet.broker.port();
    let (updates, acts) = ACTS.split_at(ACTS.find("[stream").unwrap());
    fleet.gateway.configure(port, &format!("{updates}{MOTION}{acts}"));
    with_baseline(&fleet.gateway);
    let mut sensor = MqttClient::connect(port, "sensor").await;
    let mut listener = MqttClient::connect(port, "listener").await;
    listener.subscribe(TOPIC).await;
    fleet.gateway.start();
    let change = Change { has_baseline: true, ..Change::default() };
    let made = release(&fleet.keys, "2.0.0", 1, &change);
    fleet.publish(&made).await;
    fleet.deploy(&deployment(&made, 1)).await;
    fleet.reports(|report| state(report) == Some(State::Trial)).await;
    send_all(&mut sensor, 1.0, 0).await;
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.active.version.as_str()), (Some(State::Committed), "2.0.0"));

    send_all(&mut sensor, TO_G, 1).await;
    let drift = event(&mut listener, "drift").await;
    assert_eq!(drift["version"], "2.0.0");
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::RolledBack), Some(Reason::Drift)));
    assert_eq!((end.active.version.as_str(), fleet.serving().as_str()), ("1.0.0", "1.0.0"));
    let health = fleet.gateway.await_health("the reason", |health| {
        let reasons = health["reasons"].as_array();
        reasons.is_some_and(|all| all.iter().any(|reason| reason["code"] == "update-failed"))
    });
    assert!(health.to_string().contains("rolled-back: drift"), "{health}");
    fleet.gateway.await_health("the inputs", |health| {
        health["capture"]["captured"]["drift"].as_u64() >= Some(5)
    });

    // The version before is in drift as well, and stays; the other one is not taken again.
    send_all(&mut sensor, TO_G, 2).await;
    loop {
        let drift = event(&mut listener, "drift").await;
        if drift["version"] == "1.0.0" {
            break;
        }
    }
    fleet.deploy(&deployment(&made, 2)).await;
    let again = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&again), again.reason), (Some(State::Rejected), Some(Reason::Refused)));
    assert_eq!(fleet.serving(), "1.0.0");
    let log = fleet.gateway.log();
    assert_eq!(log.matches("it is rolled back: stream motion: drift of ").count(), 1, "{log}");
    assert_eq!(fleet.gateway.ask(&["status"])["health"]["streams"]["motion"]["rejects"], json!({}));
    fleet.gateway.stop();
}
