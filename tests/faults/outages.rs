//! The broker restarts, with its sessions and without; the wire goes dead without an end.

use std::collections::{BTreeMap, BTreeSet};

use rumqttc::v5::mqttbytes::v5::PublishProperties;

use super::delivery_checker::{DeliveryChecker, nothing_is_wrong};
use super::{aside, ready};
use crate::common::broker::Mosquitto;
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::gateway::{Gateway, WHOLE, without_window};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

/// Fewer than the broker sends ahead of acknowledgements.
const INPUTS: u32 = 120;
const DEVICES: u32 = 4;

#[tokio::test]
async fn a_broker_that_restarts_with_its_sessions_gets_every_answer_once_in_order() {
    answers_survive_a_restart(true).await;
}

#[tokio::test]
async fn a_broker_that_restarts_without_its_sessions_gets_every_answer_once_in_order() {
    answers_survive_a_restart(false).await;
}

/// The daemon has inputs in process that the broker has not heard of when the broker goes.
async fn answers_survive_a_restart(keeps_sessions: bool) {
    let extra = "max_inflight_messages 200\n";
    let persistent = format!("{extra}persistence true\n");
    let extra = if keeps_sessions { &persistent } else { extra };
    let Some(mut broker) = Mosquitto::start(extra) else {
        return skipped("a restart of the broker", "mosquitto is not installed");
    };
    let wire = CuttableProxy::to(broker.port()).await;
    let gateway = Gateway::new(wire.port, WHOLE);
    gateway.ship("whole", without_window);
    let gateway = ready(gateway).await;
    let mut peer = MqttClient::connect(broker.port(), "before").await;
    wire.deafen();
    for number in 0..INPUTS {
        let device = number % DEVICES;
        let request = PublishProperties {
            response_topic: Some(format!("answers/{device}")),
            correlation_data: Some(number.to_be_bytes().to_vec().into()),
            ..PublishProperties::default()
        };
        // Numbers of 0.0 are text, too.
        peer.publish_with(&format!("inputs/d{device}"), &"\0".repeat(960), request).await;
    }
    let gateway = aside(move || {
        gateway.await_health("the inputs", |health| health["link"]["received"] == INPUTS);
        gateway
    })
    .await;
    if keeps_sessions {
        broker.stop()
    } else {
        broker.kill()
    }
    wire.hold();
    broker.run();
    let mut peer = MqttClient::connect(broker.port(), "after").await;
    peer.subscribe("answers/#").await;
    wire.open();
    every_answer_comes_once_in_order(&mut peer).await;
    let unacknowledged = |health: &serde_json::Value| health["link"]["unacknowledged"].as_u64();
    aside(move || gateway.await_health("its rest", |health| unacknowledged(health) == Some(0)))
        .await;
}

async fn every_answer_comes_once_in_order(peer: &mut MqttClient) {
    let mut ids: BTreeMap<u32, String> = BTreeMap::new();
    let mut last: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    while ids.len() < INPUTS as usize {
        let answer = peer.next().await;
        let prediction: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        let correlation = answer.properties.unwrap().correlation_data.unwrap();
        let number = u32::from_be_bytes(correlation.as_ref().try_into().unwrap());
        let id = prediction["id"].as_str().unwrap().to_owned();
        assert_eq!(ids.insert(number, id), None, "{number} is answered twice");
        let before = last.insert(answer.topic.to_vec(), number);
        assert!(before < Some(number), "{number} comes after {before:?}");
    }
    assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), ids.len(), "an id of two inputs");
}

#[tokio::test]
async fn a_wire_that_goes_dead_without_an_end_loses_nothing() {
    let Some(broker) = Mosquitto::start("max_inflight_messages 64\n") else {
        return skipped("half-open connections", "mosquitto is not installed");
    };
    let wire = CuttableProxy::to(broker.port()).await;
    let mut gateway = Gateway::new(wire.port, WHOLE);
    gateway.ship("whole", without_window);
    gateway.set("INFERD__BROKER__KEEP_ALIVE", "5s");
    let mut gateway = ready(gateway).await;
    let Some(mut checker) = DeliveryChecker::start(broker.port()) else { return };
    for killed in [false, true] {
        wire.silence();
        gateway = aside(move || {
            gateway.await_notice("no connection");
            if killed {
                gateway.kill();
                gateway.skip_notices();
                gateway.spawn();
            }
            gateway.await_notice("subscribed");
            gateway
        })
        .await;
    }
    let verdict = aside(move || checker.verdict()).await;
    println!("half-open connections: {verdict}");
    nothing_is_wrong(&verdict, &gateway);
    assert!(verdict["acknowledged"].as_u64() > Some(500), "{verdict}");
}
