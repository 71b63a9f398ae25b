//! The broker or the network goes away, and comes back.

use inferd::link::Fault;
use inferd::message::InputProcessed;

use crate::common::broker::{Broker, Mosquitto};
use crate::common::cuttable_proxy::CuttableProxy;
use crate::common::link_harness::{LinkHarness, STATUS, broker, text};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

#[tokio::test]
async fn after_a_broker_that_forgot_us_everything_is_told_again() {
    let Some(mut server) = Mosquitto::start("") else {
        return skipped("restart without session", "mosquitto is not installed");
    };
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    rig.handle.set_retained("state/a", "kept");
    let (first, _) = rig.ready().await;
    server.kill();
    assert!(matches!(rig.down().await, Fault::Closed | Fault::Ended { .. }));
    server.run();
    let (second, session) = rig.ready().await;
    assert!(!session && second > first);
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    peer.subscribe(STATUS).await;
    assert_eq!(peer.next_text().await.1, "online");
    peer.subscribe("state/#").await;
    assert_eq!(peer.next_text().await.1, "kept");
    peer.publish("in/a", "x").await;
    assert_eq!(text(&rig.work().await), "x");
}

#[tokio::test]
async fn a_session_survives_the_restart_of_a_broker_that_saves_it() {
    let Some(mut server) = Mosquitto::start("persistence true\n") else {
        return skipped("restart with session", "mosquitto is not installed");
    };
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    rig.ready().await;
    peer.publish("in/a", "held").await;
    let held = rig.sample().await;
    server.stop();
    rig.down().await;
    server.run();
    let (_, session) = rig.ready().await;
    assert!(session);
    rig.counted("the redelivery", |counters| counters.recognised == 1).await;
    rig.handle.input_processed(InputProcessed { input: held.token.unwrap(), results: 0 });
    rig.counted("its acknowledgement", |counters| counters.acknowledged == 1).await;
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    peer.publish("in/a", "next").await;
    assert_eq!(text(&rig.work().await), "next", "a message was processed twice");
}

#[tokio::test]
async fn samples_wait_at_the_broker_while_the_daemon_is_away() {
    let server = Broker::start();
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    rig.ready().await;
    peer.publish("in/a", "before").await;
    rig.work().await;
    rig.counted("the acknowledgement", |counters| counters.acknowledged == 1).await;
    rig.stop().await;
    for sample in ["1", "2", "3"] {
        peer.publish("in/a", sample).await;
    }
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    assert!(rig.ready().await.1, "the broker kept no session");
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(text(&rig.work().await));
    }
    assert_eq!(got, ["1", "2", "3"]);
}

#[tokio::test]
async fn what_is_in_process_when_the_wire_is_cut_is_not_processed_twice() {
    let Some(server) = Mosquitto::start("") else {
        return skipped("redelivery", "mosquitto is not installed");
    };
    let wire = CuttableProxy::to(server.port()).await;
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(wire.port, "gw"), 8);
    rig.ready().await;
    for sample in ["1", "2", "3"] {
        peer.publish("in/a", sample).await;
    }
    let mut inputs = Vec::new();
    for _ in 0..3 {
        inputs.push(rig.sample().await.token.unwrap());
    }
    // The second is through before the cut, and cannot be acknowledged before the first.
    rig.handle.input_processed(InputProcessed { input: inputs[1], results: 0 });
    wire.cut();
    rig.down().await;
    let (connection, session) = rig.ready().await;
    assert!(session);
    rig.counted("the redelivery", |counters| counters.recognised == 3).await;
    assert_eq!(rig.handle.counters().acknowledged, 0);
    rig.handle.input_processed(InputProcessed { input: inputs[2], results: 0 });
    rig.handle.input_processed(InputProcessed { input: inputs[0], results: 0 });
    rig.counted("the acknowledgements", |counters| counters.acknowledged == 3).await;
    peer.publish("in/a", "4").await;
    assert_eq!(text(&rig.work().await), "4");
    rig.counted("the last", |counters| counters.acknowledged == 4).await;

    // The broker has read all of them once it has answered to what was written after them.
    rig.publish(connection, 1, "out/a", "after the acknowledgements");
    assert!(rig.settled(1).await);

    // Nothing is owed any more: the next connection starts with nothing.
    wire.cut();
    rig.down().await;
    rig.ready().await;
    peer.publish("in/a", "5").await;
    assert_eq!(text(&rig.work().await), "5");
    assert_eq!(rig.handle.counters().recognised, 3);
}

#[tokio::test]
async fn every_cut_of_the_wire_is_survived_and_no_publish_is_lost() {
    let server = Broker::start();
    let wire = CuttableProxy::to(server.port()).await;
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    peer.subscribe("out/#").await;
    let mut rig = LinkHarness::start(broker(wire.port, "gw"), 8);
    let (mut connection, _) = rig.ready().await;
    let mut next = 1;
    // Like the outbox: what is not settled when the connection ends is handed over again.
    for round in 1..=20_u64 {
        for seq in next..round * 5 {
            rig.publish(connection, seq, "out/a", &seq.to_string());
            if seq % 3 == round % 3 {
                wire.cut();
            }
            if seq % 5 == 4 {
                break;
            }
        }
        loop {
            match rig.event().await {
                inferd::link::Event::Sent { seq } => {
                    assert_eq!(seq.0, next, "settled out of order");
                    next += 1;
                    if next == round * 5 {
                        break;
                    }
                }
                inferd::link::Event::Up { connection: new, .. } => {
                    connection = new;
                    for seq in next..round * 5 {
                        rig.publish(connection, seq, "out/a", &seq.to_string());
                    }
                }
                _ => {}
            }
        }
    }
    let mut highest = 0;
    while highest < 99 {
        let seq: u64 = peer.next_text().await.1.parse().unwrap();
        assert!(seq <= highest + 1, "{} is missing", highest + 1);
        highest = highest.max(seq);
    }
    assert!(rig.handle.counters().connections > 1);
}

#[tokio::test]
async fn publishes_for_earlier_connections_take_no_place_of_the_next() {
    let server = Broker::start();
    let mut watcher = MqttClient::connect(server.port(), "watcher").await;
    watcher.subscribe("out/#").await;
    let proxy = CuttableProxy::to(server.port()).await;
    let mut rig = LinkHarness::start(broker(proxy.port, "gw"), 8);
    let (mut connection, _) = rig.ready().await;
    let in_flight: u64 = broker(0, "").in_flight.into();
    let mut seq = 0;
    let mut publish = |rig: &LinkHarness, connection| {
        rig.publish(connection, seq, "out/n", &seq.to_string());
        seq += 1;
        seq - 1
    };
    for _ in 0..3 {
        let earlier = connection;
        proxy.cut();
        // The outbox hands over no more than this before it is told that the connection ended …
        (0..in_flight).for_each(|_| _ = publish(&rig, earlier));
        rig.down().await;
        connection = rig.ready().await.0;
        // … even if it is told late.
        (0..in_flight).for_each(|_| _ = publish(&rig, earlier));
        let sent: Vec<u64> = (0..in_flight).map(|_| publish(&rig, connection)).collect();
        let mut got = Vec::new();
        while got.last() != sent.last() {
            got.push(watcher.next_text().await.1.parse::<u64>().unwrap());
        }
        let of_this: Vec<u64> = got.into_iter().filter(|seq| sent.contains(seq)).collect();
        assert_eq!(of_this, sent, "all of this connection, in order");
        for seq in sent {
            assert!(rig.settled(seq).await);
        }
    }
}
