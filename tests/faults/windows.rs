//! What a `kill -9` may cost of windows: each choice at its own bound.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{aside, ready};
use crate::common::broker::Mosquitto;
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

const LENGTH: usize = 40;
const TOPIC: &str = "sensors/watch-1/imu";

/// The stream with one choice of safety.
pub(super) fn stream(windows: &str) -> String {
    MOTION.replace("model = \"motion\"", &format!("model = \"motion\"\nwindows = \"{windows}\""))
}

/// Waits until the daemon has taken so many samples since its start, and acknowledged them.
async fn taken(gateway: Gateway, samples: usize) -> Gateway {
    aside(move || {
        gateway.await_health("the samples", |health| {
            health["streams"]["motion"]["samples"] == samples
                && health["link"]["unacknowledged"] == 0
        });
        gateway
    })
    .await
}

/// The sample that a prediction's window ends with, by its time.
fn last_sample(all: &[Vec<u8>], prediction: &Value) -> usize {
    let time: jiff::Timestamp = prediction["time"].as_str().unwrap().parse().unwrap();
    let ends = |sample: &Vec<u8>| {
        let sample: Value = serde_json::from_slice(sample).unwrap();
        sample["ts"].as_i64() == Some(time.as_millisecond())
    };
    all.iter().position(ends).unwrap()
}

/// Publishes samples from `next` on until a prediction comes: the number of its last sample.
async fn next_window(
    peer: &mut MqttClient,
    all: &[Vec<u8>],
    next: &mut usize,
    count: usize,
) -> usize {
    peer.publish_all(TOPIC, all[*next..*next + count].to_vec()).await;
    *next += count;
    let prediction = peer.next_json().await.1;
    last_sample(all, &prediction)
}

#[tokio::test]
async fn memory_costs_partial_windows_on_a_crash_and_nothing_on_a_stop() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("windows across a kill", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let all = samples(0, 3 * LENGTH);
    let mut gateway = ready(Gateway::new(broker.port(), &stream("memory"))).await;
    peer.publish_all(TOPIC, all[..39].to_vec()).await;
    gateway = taken(gateway, 39).await;
    gateway = aside(move || {
        gateway.stop();
        gateway.skip_notices();
        gateway
    })
    .await;
    gateway = ready(gateway).await;
    let mut next = 39;
    assert_eq!(next_window(&mut peer, &all, &mut next, 1).await, 39, "a stop costs nothing");
    gateway = taken(gateway, 1).await;
    gateway.kill();
    gateway.skip_notices();
    let _gateway = ready(gateway).await;
    let end = next_window(&mut peer, &all, &mut next, LENGTH).await;
    assert_eq!(end, 39 + LENGTH, "a crash costs the window and nothing that comes after");
}

#[tokio::test]
async fn a_checkpoint_costs_what_came_after_it() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("windows across a kill", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let all = samples(0, 3 * LENGTH);
    let mut gateway = Gateway::new(broker.port(), &stream("checkpoint"));
    // No gap in time is too long for this test's windows.
    gateway.ship("motion", |card| card.replace("max_gap = \"1s\"", "max_gap = \"1h\""));
    gateway.set("INFERD__STORE__CHECKPOINT_INTERVAL", "100ms");
    gateway = ready(gateway).await;
    peer.publish_all(TOPIC, all[..35].to_vec()).await;
    gateway = taken(gateway, 35).await;
    // The first save that begins from now on has all of them.
    let saves = |gateway: &Gateway| gateway.log().matches("saved windows/motion").count();
    let before = saves(&gateway);
    peer.publish(TOPIC, all[35].clone()).await;
    gateway = taken(gateway, 36).await;
    while saves(&gateway) == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gateway.kill();
    gateway.skip_notices();
    gateway.set("INFERD__STORE__CHECKPOINT_INTERVAL", "1h");
    gateway = ready(gateway).await;
    let mut next = 36;
    let end = next_window(&mut peer, &all, &mut next, 5).await;
    assert!(end == 39 || end == 40, "the window ends at {end}: the checkpoint has 35 or 36");
    let kept = LENGTH + 35 - end;
    gateway = taken(gateway, 5).await;
    peer.publish_all(TOPIC, all[next..next + 7].to_vec()).await;
    next += 7;
    gateway = taken(gateway, 12).await;
    gateway.kill();
    gateway.skip_notices();
    let _gateway = ready(gateway).await;
    let first = next;
    let end = next_window(&mut peer, &all, &mut next, LENGTH - kept + 1).await;
    assert_eq!(end, first + LENGTH - kept - 1, "lost is what came since the checkpoint, no more");
}

/// Kills at random, and while the broker hears nothing of what the daemon says.
#[tokio::test]
async fn a_journal_costs_nothing_and_every_window_is_the_same() {
    let Some(broker) = Mosquitto::start("max_inflight_messages 64\n") else {
        return skipped("windows across a kill", "mosquitto is not installed");
    };
    let all = samples(0, 600);
    let expected = undisturbed(&broker, &all).await;
    assert_eq!(expected.len(), (600 - LENGTH) / 10 + 1);
    let wire = CuttableProxy::to(broker.port()).await;
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(wire.port, &stream("journal"));
    gateway.set("INFERD__STORE__GROUP_DELAY", "10ms");
    gateway = ready(gateway).await;
    let mut random = fastrand::Rng::with_seed(11);
    for part in all.chunks(20) {
        // Many saves in each life.
        for some in part.chunks(2) {
            peer.publish_all(TOPIC, some.to_vec()).await;
            tokio::time::sleep(Duration::from_millis(random.u64(1..60))).await;
        }
        if random.bool() {
            wire.deafen();
        }
        tokio::time::sleep(Duration::from_millis(random.u64(1..400))).await;
        gateway.kill();
        gateway.skip_notices();
        gateway.spawn();
    }
    let log = gateway.log();
    let said = |what: &str| log.matches(&format!("{what} windows/motion")).count();
    let (saved, added) = (said("saved"), said("appended to"));
    assert!(
        saved > 20 && added > 40,
        "windows were saved {saved} times and added to {added} times"
    );
    let mut ids: BTreeMap<usize, String> = BTreeMap::new();
    let mut again = 0;
    while ids.len() < expected.len() {
        let got = peer.next_json().await.1;
        let at = last_sample(&all, &got);
        assert_eq!(Some(&got["scores"]), expected.get(&at), "another window ends at {at}: {got}");
        let id = got["id"].as_str().unwrap().to_owned();
        if let Some(before) = ids.insert(at, id.clone()) {
            assert_eq!(before, id, "the window at {at} came twice");
            again += 1;
        }
    }
    println!(
        "journal: {} windows over 30 kills, {again} came twice; saved {saved} times, added to \
         {added} times",
        ids.len()
    );
}

/// The scores of every window by its last sample, as a daemon gives them that nobody kills.
async fn undisturbed(broker: &Mosquitto, all: &[Vec<u8>]) -> BTreeMap<usize, Value> {
    let mut peer = MqttClient::connect(broker.port(), "quiet").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = ready(Gateway::new(broker.port(), &stream("memory"))).await;
    peer.publish_all(TOPIC, all.to_vec()).await;
    let mut expected = BTreeMap::new();
    while expected.len() < (all.len() - LENGTH) / 10 + 1 {
        let mut got = peer.next_json().await.1;
        expected.insert(last_sample(all, &got), got["scores"].take());
    }
    aside(move || gateway.stop()).await;
    expected
}
