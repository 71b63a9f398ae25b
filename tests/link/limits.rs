//! What a broker limits, refuses or leaves unanswered on a connection that lasts.

use std::time::Duration;

use inferd::link::{Event, Fault, FaultKind, NotGranted};
use inferd::message::InputProcessed;

use crate::common::fake_broker::{self, FakeBroker, PUBACK, SUBSCRIBE};
use crate::common::link_harness::{LinkHarness, broker, text};

#[tokio::test]
async fn a_broker_without_retained_messages_and_qos_1_is_served_as_it_wishes() {
    let server = FakeBroker::start(1, |_, client| {
        // Maximum QoS 0, no retained messages, no wildcards.
        client.accept(&[0x20, 9, 0, 0, 6, 0x24, 0, 0x25, 0, 0x28, 0]);
        let mut topics = Vec::new();
        while topics.len() < 3 {
            let packet = client.read().expect("a packet");
            assert_ne!(packet.kind(), SUBSCRIBE, "it has no wildcards");
            assert_eq!(packet.first & 0x0f, 0, "QoS 0, not retained");
            topics.push(packet.topic());
        }
        assert_eq!(topics[1..], ["state/a", "out/a"]);
        client.read_to_the_end();
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    rig.handle.set_retained("state/a", "new");
    let (connection, _) = rig.up().await;
    rig.counted("the state", |counters| counters.published == 2).await;
    let limits = rig.handle.state().limits;
    assert_eq!(limits.len(), 3, "{limits:?}");
    assert_eq!(rig.handle.state().refused_filters.len(), 3);
    rig.publish(connection, 1, "out/a", "x");
    assert!(rig.settled(1).await);
    rig.handle.stop(Duration::from_secs(5));
    server.finish().await;
}

#[tokio::test]
async fn a_last_will_that_the_broker_refuses_is_sent_without_retain_and_with_qos_0() {
    let server = FakeBroker::start(8, |number, client| {
        let connect = client.read().expect("a CONNECT");
        let flags = connect.body[7];
        let refusal = match (flags & 0x20 != 0, flags & 0x08 != 0, flags & 0x04 != 0) {
            // The closer look, which has no last will.
            (_, _, false) => return client.write(&fake_broker::refusal(0x9a)),
            (true, ..) => 0x9a,
            (false, true, _) => 0x9b,
            (false, false, true) => {
                client.write(fake_broker::CONNACK);
                return client.read_to_the_end();
            }
        };
        assert!(number < 6);
        client.write(&fake_broker::refusal(refusal));
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    rig.up().await;
    assert_eq!(rig.handle.state().limits.len(), 2);
    rig.task.abort();
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_reported_and_asked_for_again() {
    let server = FakeBroker::start(1, |_, client| {
        client.accept(fake_broker::CONNACK);
        // The second of three filters is not authorized, then it is.
        let asked = client.read_until(SUBSCRIBE);
        let pkid = asked.pkid().to_be_bytes();
        client.write(&[0x90, 6, pkid[0], pkid[1], 0, 1, 0x87, 1]);
        let again = client.read_until(SUBSCRIBE);
        assert!(String::from_utf8_lossy(&again.body).contains("more/#"));
        assert!(!String::from_utf8_lossy(&again.body).contains("in/#"));
        let pkid = again.pkid().to_be_bytes();
        client.write(&[0x90, 4, pkid[0], pkid[1], 0, 1]);
        client.write(&fake_broker::publish("more/a", 1, false, b"x"));
        client.read_to_the_end();
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    rig.up().await;
    let reason = "not authorized".to_owned();
    let refused = NotGranted { filter: "more/#".into(), streams: vec![1], reason };
    let wanted = Event::NotSubscribed(refused);
    assert_eq!(rig.event().await, wanted);
    assert_eq!(text(&rig.work().await), "x");
}

/// The receive maximum of a CONNECT, as its properties have it.
fn receive_maximum(connect: &fake_broker::Packet) -> u16 {
    // Protocol name and level, flags, keep-alive: ten bytes; then the properties and their length.
    let mut properties = &connect.body[11..11 + usize::from(connect.body[10])];
    while let [id, rest @ ..] = properties {
        properties = match (id, rest) {
            (0x21, [high, low, ..]) => return u16::from_be_bytes([*high, *low]),
            (0x11 | 0x27, rest) => &rest[4..],
            other => panic!("an unexpected property: {other:?}"),
        };
    }
    u16::MAX
}

#[tokio::test]
async fn a_broker_that_floods_is_asked_for_one_at_a_time_and_nothing_is_taken_twice() {
    const FLOOD: u16 = 300;
    let server = FakeBroker::start(2, move |number, client| {
        let connect = client.accept(if number == 0 {
            fake_broker::CONNACK
        } else {
            fake_broker::CONNACK_SESSION
        });
        assert_eq!(receive_maximum(&connect), if number == 0 { 64 } else { 1 });
        for pkid in 1..=FLOOD {
            client.write(&fake_broker::publish("in/a", pkid, number > 0, &pkid.to_be_bytes()));
        }
        if number == 0 {
            return client.read_to_the_end();
        }
        for pkid in 1..=FLOOD {
            assert_eq!(client.read_until(PUBACK).pkid(), pkid, "each once, in order");
        }
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 2 * usize::from(FLOOD));
    let fault = rig.down().await;
    assert!(matches!(fault, Fault::Flooded { on_the_way } if on_the_way > 64), "{fault:?}");
    assert_eq!(fault.kind(), FaultKind::Protocol);
    for pkid in 1..=FLOOD {
        let sample = rig.sample().await;
        assert_eq!(sample.payload[..], pkid.to_be_bytes(), "each once, in order");
        rig.handle.input_processed(InputProcessed { input: sample.token.unwrap(), results: 0 });
    }
    server.finish().await;
    rig.task.abort();
}

#[tokio::test]
async fn publishes_that_are_never_acknowledged_show_in_the_state() {
    let server = FakeBroker::start(1, |_, client| {
        client.accept(fake_broker::CONNACK);
        client.answer_all_but_publishes();
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let (connection, _) = rig.up().await;
    rig.publish(connection, 1, "out/a", "x");
    let unanswered = rig.state("unanswered publishes", |state| state.unanswered.clone()).await;
    assert!(unanswered.publishes >= 1);
    assert!(unanswered.text.contains("has not acknowledged"), "{}", unanswered.text);
    let state = rig.handle.state();
    assert!(state.connected && state.recent_connects == 1, "{state:?}");
    rig.task.abort();
}

#[tokio::test]
async fn what_the_broker_refuses_shows_in_the_state_until_it_is_accepted() {
    let server = FakeBroker::start(1, |_, client| {
        client.accept(fake_broker::CONNACK);
        for reason in [0x87, 0x87, 0] {
            let publish = client.read_until_publish_on("out/a");
            let pkid = publish.publish_pkid().to_be_bytes();
            client.write(&[0x40, 3, pkid[0], pkid[1], reason]);
        }
        client.read_to_the_end();
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let (connection, _) = rig.up().await;
    rig.publish(connection, 1, "out/a", "x");
    rig.publish(connection, 2, "out/a", "x");
    assert!(!rig.settled(2).await);
    let refused = rig.handle.state().refused_topics["out/a"].clone();
    assert_eq!((refused.reason, refused.count), ("not-authorized", 2));
    rig.publish(connection, 3, "out/a", "x");
    assert!(rig.settled(3).await);
    assert!(rig.handle.state().refused_topics.is_empty());
    rig.task.abort();
}
