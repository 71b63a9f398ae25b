//! Candidates beside the active model on live inputs.

use inferd::update::machine::{Reason, State};
use inferd::update::{Deployment, ModelReport};

use super::fleet::{Change, Fleet, deployment, release, state};
use crate::common::gateway::samples;
use crate::common::mqtt_client::MqttClient;

/// Runs beside the active model.
const RUNS: u32 = 10;

#[tokio::test]
async fn a_candidate_that_says_the_same_beside_the_active_model_goes_on_trial() {
    let Some(end) = shadowed(&Change { padding: 10, ..Change::default() }).await else { return };
    assert_eq!(state(&end), Some(State::Trial));
    let shadow = end.shadow.unwrap();
    assert!(shadow.runs >= RUNS && shadow.agreed == shadow.runs, "{shadow}");
}

#[tokio::test]
async fn a_candidate_that_says_something_else_is_not_switched_to() {
    let Some(end) = shadowed(&Change { mislabelled: true, ..Change::default() }).await else {
        return;
    };
    assert_eq!((state(&end), end.reason), (Some(State::Failed), Some(Reason::Disagrees)));
    assert_eq!(end.active.version, "1.0.0");
    assert!(end.shadow.is_some_and(|shadow| shadow.agreed < shadow.runs), "{:?}", end.shadow);
}

/// What the gateway says of a candidate that was run on what several devices send.
async fn shadowed(change: &Change) -> Option<ModelReport> {
    let mut fleet = Fleet::start("a shadow").await?;
    let mut sensor = MqttClient::connect(fleet.broker.port(), "sensor").await;
    fleet.gateway.start();
    let made = release(&fleet.keys, "2.0.0", 1, change);
    fleet.publish(&made).await;
    fleet.deploy(&Deployment { shadow_runs: RUNS, ..deployment(&made, 1) }).await;
    fleet.reports(|report| state(report) == Some(State::Shadow)).await;
    for device in 0..3 * RUNS {
        sensor.publish_all(&format!("sensors/w{device}/imu"), samples(0, 60)).await;
    }
    let told = fleet.reports(|report| report.shadow.is_some()).await.pop();
    fleet.gateway.stop();
    told
}
