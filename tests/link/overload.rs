//! More comes in than is worked off.

use std::time::Duration;

use inferd::link::Fault;

use crate::common::broker::{Broker, Mosquitto};
use crate::common::fake_broker::{self, FakeBroker};
use crate::common::link_harness::{LinkHarness, broker, text};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

#[tokio::test]
async fn an_overload_stays_at_the_broker_and_nothing_is_lost() {
    const SAMPLES: usize = 3000;
    let Some(server) = Mosquitto::start("") else {
        return skipped("overload", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 4);
    let (connection, _) = rig.ready().await;
    // Nothing is worked off until the broker has taken all: a queue of 4, a window of 64.
    peer.publish_all("in/a", (0..SAMPLES).map(|n| n.to_string().into_bytes())).await;
    rig.counted("a full window", |counters| counters.received == 64).await;
    assert_eq!((rig.handle.unacknowledged(), rig.handle.counters().held), (64, 60));
    // Meanwhile the other direction works.
    rig.publish(connection, 1, "out/a", "through");
    assert!(rig.settled(1).await);
    for n in 0..SAMPLES {
        assert_eq!(text(&rig.work().await), n.to_string());
    }
    let all = u64::try_from(SAMPLES).unwrap();
    rig.counted("all acknowledged", |counters| counters.acknowledged == all).await;
    // Mosquitto 2.0.12 and older send beyond the receive maximum, until they are asked for one.
    let counters = rig.handle.counters();
    assert_eq!((counters.received - counters.recognised, counters.dropped), (all, 0));
    assert!(counters.connections <= 2, "{counters:?}");
}

#[tokio::test]
async fn a_broker_that_ignores_the_window_is_read_from_no_faster_than_the_workers_work() {
    const SAMPLES: u16 = 3000;
    /// One more than is taken for an honest mistake where 64 are asked for.
    const FLOOD: u16 = 257;
    // 12 MB in one breath, and not one acknowledgement waited for, however few are asked for.
    let server = FakeBroker::start(2, |number, client| {
        client.accept(fake_broker::CONNACK);
        if number == 0 {
            for pkid in 1..=FLOOD {
                client.write(&fake_broker::publish("in/a", pkid, false, b"flood"));
            }
            return client.read_to_the_end();
        }
        for pkid in 1..=SAMPLES {
            let mut payload = vec![b'.'; 4096];
            payload[..2].copy_from_slice(&pkid.to_be_bytes());
            client.write(&fake_broker::publish("in/a", pkid, false, &payload));
        }
        client.read_to_the_end();
    });
    let mut config = broker(server.port, "gw");
    // This broker answers no ping before it has written all.
    config.keep_alive = Duration::from_secs(600);
    let mut rig = LinkHarness::start(config, 4);
    let fault = rig.down().await;
    assert!(matches!(fault, Fault::Flooded { on_the_way: 257 }), "{fault:?}");
    for _ in 0..FLOOD {
        assert_eq!(text(&rig.work().await), "flood");
    }
    rig.up().await;
    let before = rig.handle.counters();
    let mut most = 0;
    for pkid in 1..=SAMPLES {
        let sample = rig.work().await;
        assert_eq!(sample.payload[..2], pkid.to_be_bytes());
        let received = rig.handle.counters().received - u64::from(FLOOD);
        most = most.max(received - u64::from(pkid));
    }
    let all = before.acknowledged + u64::from(SAMPLES);
    rig.counted("all acknowledged", |counters| counters.acknowledged == all).await;
    assert!((1000..2500).contains(&most), "{most} samples of 4 kB were held");
    assert_eq!(rig.handle.counters().connections, 2);
}

#[tokio::test]
async fn a_full_queue_of_one_stream_does_not_hold_up_the_link() {
    let server = Broker::start();
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 2);
    rig.ready().await;
    for n in 0..5 {
        peer.publish("in/a", n.to_string()).await;
    }
    rig.counted("three held", |counters| counters.held == 3).await;
    rig.handle.set_retained("state/a", "alive");
    peer.subscribe("state/#").await;
    assert_eq!(peer.next_text().await.1, "alive");
    for n in 0..5 {
        assert_eq!(text(&rig.work().await), n.to_string());
    }
}

#[tokio::test]
async fn held_samples_find_room_while_there_is_no_broker() {
    let Some(mut server) = Mosquitto::start("") else {
        return skipped("held samples offline", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 2);
    rig.ready().await;
    for n in 0..6 {
        peer.publish("in/a", n.to_string()).await;
    }
    rig.counted("four held", |counters| counters.held == 4).await;
    server.kill();
    rig.down().await;
    for n in 0..6 {
        assert_eq!(text(&rig.work().await), n.to_string());
    }
}

#[tokio::test]
async fn the_newest_best_effort_sample_is_dropped_and_told() {
    let Some(server) = Mosquitto::start("") else {
        return skipped("dropped samples", "rumqttd makes QoS 1 of what was published as QoS 0");
    };
    let peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 2);
    rig.ready().await;
    for n in 0..5 {
        peer.publish_once("in/a", &n.to_string()).await;
    }
    rig.counted("three dropped", |counters| counters.dropped == 3).await;
    let mut dropped = Vec::new();
    for _ in 0..3 {
        dropped.push(text(&rig.dropped.recv().await.unwrap()));
    }
    assert_eq!(dropped, ["2", "3", "4"]);
    assert_eq!(text(&rig.work().await), "0");
    assert_eq!(text(&rig.work().await), "1");
}

#[tokio::test]
async fn an_intake_that_is_closed_leaves_everything_to_the_next() {
    let server = Broker::start();
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    rig.ready().await;
    peer.publish("in/a", "1").await;
    rig.work().await;
    rig.handle.stop_receiving();
    peer.publish("in/a", "2").await;
    rig.counted("its arrival", |counters| counters.received == 2).await;
    rig.stop().await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    rig.ready().await;
    let again = rig.work().await;
    assert_eq!((text(&again).as_str(), again.token.is_some()), ("2", true));
}
