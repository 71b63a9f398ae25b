//! Trials that end badly.

use inferd::update::machine::{Reason, State};
use inferd::update::{Deployment, ModelReport, Trial};

use super::fleet::{Change, Fleet, deployment, release, state};
use crate::common::gateway::{MOTION, samples};
use crate::common::mqtt_client::MqttClient;

#[tokio::test]
async fn a_model_whose_answers_are_no_numbers_is_rolled_back_and_not_taken_again() {
    let Some(mut fleet) = Fleet::start("a rollback").await else { return };
    let mut sensor = MqttClient::connect(fleet.broker.port(), "sensor").await;
    let mut listener = MqttClient::connect(fleet.broker.port(), "listener").await;
    listener.subscribe("predictions/#").await;
    fleet.gateway.start();
    let made = release(&fleet.keys, "2.0.0", 1, &Change { not_numbers: true, ..Change::default() });
    fleet.publish(&made).await;
    fleet.deploy(&deployment(&made, 1)).await;
    let serves = |report: &ModelReport| {
        state(report) == Some(State::Trial) && report.active.version == "2.0.0"
    };
    fleet.reports(serves).await;
    sensor.publish_all("sensors/w1/imu", samples(0, 60)).await;
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::RolledBack), Some(Reason::NotANumber)));
    assert_eq!((end.active.version.as_str(), fleet.serving().as_str()), ("1.0.0", "1.0.0"));
    // What serves again answers.
    sensor.publish_all("sensors/w2/imu", samples(0, 40)).await;
    let (topic, text) = listener.next_text().await;
    assert!(topic.ends_with("/w2") && text.contains("\"version\":\"1.0.0\""), "{topic} {text}");
    fleet.deploy(&deployment(&made, 2)).await;
    let again = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&again), again.reason), (Some(State::Rejected), Some(Reason::Refused)));
    fleet.gateway.stop();
}

#[tokio::test]
async fn a_model_that_labels_prove_wrong_is_rolled_back() {
    let Some(mut fleet) = Fleet::start("a trial that fails on accuracy").await else { return };
    let port = fleet.broker.port();
    let updates = "[updates]\nkeyset = \"keyset-1.json\"\n";
    let labels = "[stream.labels]\ntopic = \"labels/{stream}/{device}\"\n";
    fleet.gateway.configure(port, &format!("{updates}{MOTION}{labels}"));
    let mut sensor = MqttClient::connect(port, "sensor").await;
    let mut listener = MqttClient::connect(port, "listener").await;
    listener.subscribe("predictions/#").await;
    fleet.gateway.start();
    let change = Change { mislabelled: true, ..Change::default() };
    let made = release(&fleet.keys, "2.0.0", 1, &change);
    fleet.publish(&made).await;
    let trial = Trial { min_accuracy: Some(0.9), min_labels: 10, ..deployment(&made, 1).trial };
    fleet.deploy(&Deployment { trial, ..deployment(&made, 1) }).await;
    let serves = |report: &ModelReport| {
        state(report) == Some(State::Trial) && report.active.version == "2.0.0"
    };
    fleet.reports(serves).await;
    while fleet.serving() != "2.0.0" {}
    // Twelve windows, more than `min_runs`: without labels the trial goes on. The watch rests.
    sensor.publish_all("sensors/w1/imu", samples(0, 100)).await;
    sensor.publish_all("sensors/w2/imu", samples(0, 90)).await;
    for _ in 0..12 {
        let (topic, prediction) = listener.next_json().await;
        assert_eq!(
            (&prediction["version"], &prediction["label"]),
            (&"2.0.0".into(), &"running".into())
        );
        let device = topic.rsplit('/').next().unwrap();
        let label = serde_json::json!({"id": prediction["id"], "label": "resting"});
        sensor.publish(&format!("labels/motion/{device}"), label.to_string()).await;
    }
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::RolledBack), Some(Reason::Accuracy)));
    assert_eq!((end.active.version.as_str(), fleet.serving().as_str()), ("1.0.0", "1.0.0"));
    fleet.gateway.stop();
}

#[tokio::test]
async fn an_active_version_that_is_damaged_gives_way_to_the_one_before_it() {
    let Some(mut fleet) = Fleet::start("a damaged version").await else { return };
    fleet.gateway.start();
    for (seq, version) in [(1, "2.0.0"), (2, "3.0.0")] {
        let made = release(&fleet.keys, version, seq, &Change::default());
        fleet.publish(&made).await;
        let trial = Trial { max_s: 1, ..Trial::default() };
        fleet.deploy(&Deployment { trial, ..deployment(&made, seq) }).await;
        let end = fleet.ends(&format!("motion-{version}")).await;
        assert_eq!(state(&end), Some(State::Committed));
    }
    let models = fleet.gateway.ask(&["models"]);
    let rows = models["models"].as_array().unwrap();
    let active = rows.iter().find(|row| row["slot"] == "active").unwrap();
    let digest = active["digest"].as_str().unwrap();
    fleet.gateway.stop();
    let database = fleet.gateway.dir().join(format!("state/models/{digest}/db"));
    std::fs::write(&database, b"").unwrap();
    fleet.gateway.start();
    assert_eq!(fleet.serving(), "2.0.0");
    let fell_back = |report: &ModelReport| state(report) == Some(State::RolledBack);
    let end = fleet.reports(fell_back).await.pop().unwrap();
    assert_eq!((end.reason, end.active.version.as_str()), (Some(Reason::Load), "2.0.0"));
    fleet.gateway.stop();
    fleet.gateway.start();
    assert_eq!(fleet.serving(), "2.0.0");
    fleet.gateway.stop();
}

#[tokio::test]
async fn a_gateway_that_goes_down_with_a_model_on_trial_gives_it_up() {
    let Some(mut fleet) = Fleet::start("a crash loop").await else { return };
    fleet.gateway.start();
    let made = release(&fleet.keys, "2.0.0", 1, &Change::default());
    fleet.publish(&made).await;
    fleet.deploy(&deployment(&made, 1)).await;
    fleet.reports(|report| state(report) == Some(State::Trial)).await;
    for _ in 0..3 {
        fleet.gateway.kill();
        fleet.gateway.start();
        assert_eq!(fleet.serving(), "2.0.0");
    }
    fleet.gateway.kill();
    fleet.gateway.start();
    assert_eq!(fleet.serving(), "1.0.0", "the fourth start does not even load it");
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::RolledBack), Some(Reason::Crash)));
    fleet.gateway.stop();
}

/// A package that is upgraded, or a restart of the service, does not end an update half way.
#[tokio::test]
async fn a_gateway_that_is_stopped_in_order_goes_on_with_the_trial() {
    let Some(mut fleet) = Fleet::start("an upgrade of the service").await else { return };
    fleet.gateway.start();
    let made = release(&fleet.keys, "2.0.0", 1, &Change::default());
    fleet.publish(&made).await;
    let trial = Trial { min_runs: 2, ..Trial::default() };
    fleet.deploy(&Deployment { trial, ..deployment(&made, 1) }).await;
    fleet.reports(|report| state(report) == Some(State::Trial)).await;
    for _ in 0..6 {
        fleet.gateway.stop();
        fleet.gateway.start();
        assert_eq!(fleet.serving(), "2.0.0");
    }
    let mut sensor = MqttClient::connect(fleet.broker.port(), "sensor").await;
    sensor.publish_all("sensors/w1/imu", samples(0, 80)).await;
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::Committed), None));
    fleet.gateway.stop();
}
