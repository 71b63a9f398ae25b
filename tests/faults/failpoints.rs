//! The daemon ends at every place that the sources name for it (`failpoints::point`), with the broker
//! there, away and back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inferd::outbox::{Record, Seq};
use inferd::store::{Settings, Store};

use super::delivery_checker::{DeliveryChecker, nothing_is_wrong};
use super::windows::stream;
use super::{aside, ready};
use crate::common::broker::Mosquitto;
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::gateway::{Gateway, WHOLE, samples, without_window};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;
use crate::store::{noise, record};

/// Turns of a tenth of a second in which a place must be reached.
const TURNS: usize = 240;

#[tokio::test]
async fn no_answer_is_lost_wherever_the_daemon_is_killed() {
    if !cfg!(debug_assertions) {
        return skipped("kills at named places", "a release build has none");
    }
    let Some(broker) = Mosquitto::start("max_inflight_messages 64\n") else {
        return skipped("kills at named places", "mosquitto is not installed");
    };
    let wire = CuttableProxy::to(broker.port()).await;
    let gateway = Gateway::new(wire.port, &format!("{WHOLE}{}", stream("journal")));
    gateway.ship("whole", without_window);
    let mut gateway = ready(gateway).await;
    let Some(mut checker) = DeliveryChecker::start(broker.port()) else { return };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let places = places();
    assert!(places.len() > 15, "{places:?}");
    let mut missed = Vec::new();
    for place in &places {
        gateway.kill();
        gateway.skip_notices();
        // Only an empty queue has its database renewed, and with the broker away none gets empty.
        let renews = place.starts_with("renew");
        if renews {
            leave_a_large_queue(&gateway.dir().join("state"));
        }
        gateway.set("INFERD_CRASH_AT", &format!("{place}:1"));
        gateway.spawn();
        if !runs_into_it(&mut gateway, &wire, &mut peer, !renews).await {
            missed.push(place);
            continue;
        }
        gateway.set("INFERD_CRASH_AT", "");
        gateway.spawn();
    }
    wire.open();
    let verdict = aside(move || checker.verdict()).await;
    println!("killed at {places:?}: {verdict}");
    nothing_is_wrong(&verdict, &gateway);
    assert!(missed.is_empty(), "never reached: {missed:?}; the log:\n{}", gateway.log_end());
}

/// Samples come, the broker is away for a while now and then, until the daemon is gone.
async fn runs_into_it(
    gateway: &mut Gateway,
    wire: &CuttableProxy,
    peer: &mut MqttClient,
    outages: bool,
) -> bool {
    let all = samples(0, TURNS);
    for (turn, sample) in all.into_iter().enumerate() {
        match turn % 16 {
            5 if outages => wire.deafen(),
            8 if outages => wire.hold(),
            11 if outages => wire.open(),
            _ => {}
        }
        peer.publish("sensors/watch-1/imu", sample).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.skip_notices();
        if gateway.has_ended() {
            wire.open();
            return true;
        }
    }
    wire.open();
    false
}

/// As a long outage leaves it: sent, it leaves a database worth replacing.
fn leave_a_large_queue(dir: &Path) {
    let settings = Settings {
        dir: dir.to_owned(),
        max_bytes: 64 << 20,
        max_records: 100_000,
        reserve_bytes: 0,
    };
    let (mut store, found) = Store::open(&settings).unwrap();
    let first = found.opened.next.0;
    let large = |seq: u64| {
        let mut record: Record = record(seq);
        let message = Arc::make_mut(&mut record.message);
        (message.topic, message.payload) = ("elsewhere".into(), noise(20_000, seq).into());
        Record { seq: Seq(seq), ..record }
    };
    for first in (first..first + 400).step_by(20) {
        store.append(&(first..first + 20).map(large).collect::<Vec<_>>()).unwrap();
    }
}

/// What stands between quotes in the calls of `point` in the sources.
fn places() -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let calls = text.lines().filter_map(|line| line.trim().strip_prefix("point("));
            places.extend(
                calls.flat_map(|call| call.split('"').skip(1).step_by(2).map(str::to_owned)),
            );
        }
    }
    places
}
