//! A broker that says no, says nothing, or says what it must not.

use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use inferd::link::{Fault, FaultKind};
use inferd::message::InputProcessed;

use crate::common::broker::free_port;
use crate::common::fake_broker::{self, Conversation, FakeBroker, PUBACK};
use crate::common::link_harness::{LinkHarness, broker};
use crate::common::skipped;

/// Serves one bad connection and then good ones: the fault the link reports of the first. The second
/// is the closer look at an attempt that failed, or the next attempt.
async fn first_fault(script: impl Fn(&mut Conversation) + Send + 'static) -> Fault {
    let server = FakeBroker::start(4, move |number, client| {
        if number == 0 {
            script(client);
        } else {
            client.accept(fake_broker::CONNACK);
            client.read_to_the_end();
        }
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let fault = rig.down().await;
    rig.up().await;
    rig.task.abort();
    fault
}

/// Serves only bad connections: the fault the link reports of them.
async fn every_fault(script: impl Fn(usize, &mut Conversation) + Send + 'static) -> Fault {
    let server = FakeBroker::start(20, script);
    let mut config = broker(server.port, "gw");
    config.connect_timeout = Duration::from_secs(1);
    let mut rig = LinkHarness::start(config, 8);
    let fault = rig.down().await;
    rig.task.abort();
    fault
}

#[tokio::test]
async fn what_the_broker_says_with_a_refusal_is_shown() {
    let reason = every_fault(|_, client| {
        client.accept(&[&[0x20, 13, 0, 0x97, 10, 0x1f, 0, 7][..], b"5 of 5!"].concat());
    })
    .await;
    let text = reason.to_string();
    assert!(text.contains("quota exceeded (broker: 5 of 5!)"), "{text}");
    let moved = every_fault(|_, client| {
        client.accept(&[&[0x20, 14, 0, 0x9d, 11, 0x1c, 0, 8][..], b"b2:18830"].concat());
    })
    .await;
    assert!(moved.to_string().contains("use the server b2:18830"), "{moved}");
    let later = first_fault(|client| {
        client.accept(fake_broker::CONNACK);
        client.write(&[&[0xe0, 13, 0x9c, 11, 0x1c, 0, 8][..], b"b2:18830"].concat());
        client.read_to_the_end();
    })
    .await;
    assert!(later.to_string().contains("use the server b2:18830"), "{later}");
    assert!(!later.to_string().contains("qo s"), "{later}");
}

#[tokio::test]
async fn a_server_that_is_no_broker_is_named() {
    let http = every_fault(|_, client| {
        client.read();
        client.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    })
    .await;
    assert!(http.to_string().contains("answers as HTTP"), "{http}");
    assert_eq!(http.kind(), FaultKind::Protocol);
    let ssh = every_fault(|_, client| {
        client.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
        client.read();
    })
    .await;
    assert!(ssh.to_string().contains("answers as SSH"), "{ssh}");
}

#[tokio::test]
async fn a_connack_that_breaks_the_standard_is_a_fault() {
    // Receive maximum 0, maximum packet size 0, maximum QoS 2, retain available 9.
    let bad: [&[u8]; 4] = [
        &[0x20, 6, 0, 0, 3, 0x21, 0, 0],
        &[0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 0],
        &[0x20, 5, 0, 0, 2, 0x24, 2],
        &[0x20, 5, 0, 0, 2, 0x25, 9],
    ];
    for connack in bad {
        let fault = first_fault(move |client| {
            client.accept(connack);
            client.read_to_the_end();
        })
        .await;
        assert!(matches!(fault, Fault::Forbidden { .. }), "{connack:?}: {fault:?}");
        assert_eq!(fault.kind(), FaultKind::Protocol);
    }
}

#[tokio::test]
async fn refusals_are_told_apart_and_tried_again() {
    let mut faults = Vec::new();
    for code in [0x86, 0x87, 0x8a, 0x84, 0x88, 0x97] {
        faults.push(
            first_fault(move |client| drop(client.accept(&fake_broker::refusal(code)))).await,
        );
    }
    let kinds = matches!(
        &faults[..],
        [
            Fault::BadPassword { .. },
            Fault::NotAuthorized { .. },
            Fault::Banned { .. },
            Fault::Version { .. },
            Fault::Unavailable { .. },
            Fault::Refused { code: 0x97, .. }
        ]
    );
    assert!(kinds, "{faults:?}");
}

#[tokio::test]
async fn a_connection_that_is_dropped_in_the_middle_of_a_packet_is_made_again() {
    let fault = first_fault(|client| {
        client.accept(fake_broker::CONNACK);
        client.write(&fake_broker::publish("in/a", 1, false, &[7; 100])[..20]);
    })
    .await;
    assert!(matches!(fault, Fault::Closed | Fault::Broken { .. }), "{fault:?}");
}

#[tokio::test]
async fn a_packet_over_the_limit_ends_the_connection() {
    let fault = first_fault(|client| {
        client.accept(fake_broker::CONNACK);
        client.write(&fake_broker::publish("in/a", 1, false, &vec![7; 2 << 20]));
        client.read_to_the_end();
    })
    .await;
    assert!(matches!(fault, Fault::TooLarge { limit, .. } if limit == 1 << 20), "{fault:?}");
    assert_eq!(fault.kind(), FaultKind::Protocol);
}

/// What a broker that had accepted us says next, and must not.
async fn ends_the_connection(bytes: &'static [u8]) {
    let fault = first_fault(move |client| {
        client.accept(fake_broker::CONNACK);
        client.write(bytes);
        client.read_to_the_end();
    })
    .await;
    assert_eq!(fault.kind(), FaultKind::Protocol, "{bytes:?}: {fault}");
}

#[tokio::test]
async fn garbage_ends_the_connection() {
    let bad: [&[u8]; 8] = [
        // An H is an acknowledgement, a T its length of 84 bytes.
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: \
          close\r\n\r\n",
        &[0xff; 64],
        &[0x00, 0x00],
        // A remaining length of five bytes.
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0x01],
        // QoS 3, a topic longer than the packet, packet id 0, an unknown property.
        &[0x36, 5, 0, 1, b'a', 0, 1],
        &[0x30, 5, 0xff, 0xff, b'a', 0, 0],
        &[0x32, 6, 0, 1, b'a', 0, 0, 0],
        &[0x30, 6, 0, 1, b'a', 2, 0x7f, 0],
    ];
    for bytes in bad {
        ends_the_connection(bytes).await;
    }
}

#[tokio::test]
async fn what_nobody_asked_for_ends_the_connection() {
    // A second CONNACK, QoS 2, an acknowledgement of nothing, PUBREC, SUBSCRIBE.
    let odd: [&[u8]; 5] = [
        fake_broker::CONNACK,
        &[0x34, 6, 0, 1, b'a', 0, 9, 0],
        &[0x40, 2, 0, 9],
        &[0x50, 2, 0, 9],
        &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0],
    ];
    for bytes in odd {
        ends_the_connection(bytes).await;
    }
}

#[tokio::test]
async fn a_broker_of_mqtt_3_is_found_out() {
    // Some close after their answer, some do not; some accept, and some only close.
    let answers: [&[u8]; 4] = [&[0x20, 2, 0, 1], &[0x20, 2, 0, 0], &[0x20, 2, 0, 5], &[]];
    for answer in answers {
        let fault = every_fault(move |_, client| {
            let connect = client.read().expect("a CONNECT");
            let level = connect.body[6];
            client.write(if level == 4 { &[0x20, 2, 0, 0] } else { answer });
            if answer == [0x20, 2, 0, 0] {
                client.read_to_the_end();
            }
        })
        .await;
        assert!(matches!(fault, Fault::Version { .. }), "{answer:?}: {fault:?}");
        assert!(fault.to_string().contains("3.1.1"), "{fault}");
    }
}

#[tokio::test]
async fn another_client_of_our_name_is_named() {
    let fault = first_fault(|client| {
        client.accept(fake_broker::CONNACK);
        client.write(&[0xe0, 2, 0x8e, 0]);
        client.read_to_the_end();
    })
    .await;
    assert_eq!(fault, Fault::TakenOver { client_id: "gw".into() });
}

#[tokio::test]
async fn a_connection_gone_silent_is_given_up() {
    let fault = first_fault(|client| {
        // A keep-alive of one second, by the broker's will; after that not a word.
        client.accept(&[0x20, 6, 0, 0, 3, 0x13, 0, 1]);
        while client.read().is_some() {}
    })
    .await;
    assert_eq!(fault, Fault::Silent { after: Duration::from_millis(1500) });
}

#[tokio::test]
async fn a_broker_without_an_address_or_a_listener_is_named() {
    let mut nowhere = broker(1883, "gw");
    nowhere.host = "no-such-host.invalid".into();
    let fault = LinkHarness::start(nowhere, 8).down().await;
    assert!(matches!(fault, Fault::Resolve { .. }), "{fault:?}");
    let fault = LinkHarness::start(broker(free_port(), "gw"), 8).down().await;
    assert!(matches!(fault, Fault::Unreachable { .. }), "{fault:?}");
}

#[tokio::test]
async fn a_broker_that_never_answers_is_not_waited_for() {
    let server = FakeBroker::start(1, |_, client| while client.read().is_some() {});
    let mut config = broker(server.port, "gw");
    config.connect_timeout = Duration::from_secs(1);
    let fault = LinkHarness::start(config, 8).down().await;
    assert_eq!(fault, Fault::Timeout { after: Duration::from_secs(1) });
}

#[tokio::test]
async fn an_address_of_version_6_needs_no_brackets() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return skipped("IPv6", "this machine has none");
    };
    let server = FakeBroker::serve(listener, 1, |_, client| {
        client.accept(fake_broker::CONNACK);
        client.read_to_the_end();
    });
    let mut config = broker(server.port, "gw");
    config.host = "::1".into();
    LinkHarness::start(config, 8).up().await;
}

#[tokio::test]
async fn the_same_fault_is_told_once() {
    // Each new fault is examined again: the second and the sixth connection.
    let server = FakeBroker::start(20, |number, client| match number {
        0..=4 => drop(client.accept(&fake_broker::refusal(0x86))),
        _ => drop(client.accept(&fake_broker::refusal(0x87))),
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    assert!(matches!(rig.down().await, Fault::BadPassword { .. }));
    assert!(matches!(rig.down().await, Fault::NotAuthorized { .. }));
    assert_eq!(rig.handle.counters().faults.refused, 5);
    rig.task.abort();
}

#[tokio::test]
async fn acknowledgements_leave_in_the_order_of_arrival() {
    let server = FakeBroker::start(1, |_, client| {
        client.accept(fake_broker::CONNACK);
        for pkid in [10, 11, 12] {
            client.write(&fake_broker::publish(
                "in/a",
                pkid,
                false,
                &[u8::try_from(pkid).unwrap()],
            ));
        }
        let acknowledged: Vec<u16> = (0..3).map(|_| client.read_until(PUBACK).pkid()).collect();
        assert_eq!(acknowledged, [10, 11, 12]);
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let mut inputs = Vec::new();
    for _ in 0..3 {
        inputs.push(rig.sample().await.token.unwrap());
    }
    for input in inputs.into_iter().rev() {
        rig.handle.input_processed(InputProcessed { input, results: 0 });
    }
    rig.down().await;
    server.finish().await;
}

#[tokio::test]
async fn a_redelivered_message_that_was_through_is_acknowledged_unprocessed() {
    let (taken, both_taken) = std::sync::mpsc::channel();
    let server = FakeBroker::start(2, move |number, client| {
        client.accept(if number == 0 {
            fake_broker::CONNACK
        } else {
            fake_broker::CONNACK_SESSION
        });
        for pkid in [1, 2] {
            client.write(&fake_broker::publish(
                "in/a",
                pkid,
                number == 1,
                &[b'0' + u8::try_from(pkid).unwrap()],
            ));
        }
        if number == 0 {
            both_taken.recv().unwrap();
        } else {
            let acknowledged: Vec<u16> = (0..2).map(|_| client.read_until(PUBACK).pkid()).collect();
            assert_eq!(acknowledged, [1, 2]);
        }
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let first = rig.sample().await.token.unwrap();
    let second = rig.sample().await.token.unwrap();
    rig.handle.input_processed(InputProcessed { input: second, results: 0 });
    taken.send(()).unwrap();
    rig.counted("the redelivery", |counters| counters.recognised == 2).await;
    rig.handle.input_processed(InputProcessed { input: first, results: 0 });
    server.finish().await;
    assert!(rig.samples.is_empty());
}
