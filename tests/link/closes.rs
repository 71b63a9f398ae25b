//! Brokers that close the connection and do not say why: at a forbidden publish, at a restart, or
//! because another client has the same client id.

use std::collections::BTreeSet;

use inferd::link::{Event, Fault};
use inferd::outbox::{Refusal, Seq};

use crate::common::broker::Mosquitto;
use crate::common::fake_broker::{self, Conversation, FakeBroker, PUBLISH, SUBSCRIBE};
use crate::common::link_harness::{LinkHarness, STATUS, broker};
use crate::common::skipped;

const CONNECTIONS: usize = 100;

/// What became of results, in the order in which it was told.
#[derive(Debug, Default)]
struct Outcome {
    sent: Vec<u64>,
    refused: Vec<(u64, Refusal)>,
}

impl Outcome {
    fn is_settled(&self, number: u64) -> bool {
        self.sent.contains(&number) || self.refused.iter().any(|(refused, _)| *refused == number)
    }
}

/// Publishes results 1, 2, … on these topics and those that are not settled again after every
/// reconnect, as the outbox does, until all are.
async fn deliver(rig: &mut LinkHarness, topics: &[&str]) -> Outcome {
    let mut outcome = Outcome::default();
    while outcome.sent.len() + outcome.refused.len() < topics.len() {
        match rig.event().await {
            Event::Up { connection, .. } => {
                for (number, topic) in (1..).zip(topics) {
                    if !outcome.is_settled(number) {
                        rig.publish(connection, number, topic, "x");
                    }
                }
            }
            Event::Sent { seq: Seq(number) } => outcome.sent.push(number),
            Event::Refused { seq: Seq(number), refusal } => outcome.refused.push((number, refusal)),
            _ => {}
        }
    }
    outcome
}

/// A broker that answers everything until a packet for which `is_end` holds; then it closes.
fn closes_at(
    is_end: impl Fn(usize, &fake_broker::Packet) -> bool + Send + 'static,
) -> impl Fn(usize, &mut Conversation) + Send + 'static {
    move |number, client| {
        client.accept(if number == 0 {
            fake_broker::CONNACK
        } else {
            fake_broker::CONNACK_SESSION
        });
        while let Some(packet) = client.read().filter(|packet| !is_end(number, packet)) {
            client.grant(&packet);
        }
    }
}

fn is_publish_on(packet: &fake_broker::Packet, topic: &str) -> bool {
    packet.kind() == PUBLISH && packet.topic() == topic
}

/// Topics that the link reports as set aside.
fn aside(rig: &LinkHarness) -> BTreeSet<String> {
    let refused = rig.handle.state().refused_topics.into_iter();
    refused.filter(|(_, why)| why.reason == "closes-connection").map(|(topic, _)| topic).collect()
}

#[tokio::test]
async fn a_topic_on_which_every_publish_ends_the_connection_is_set_aside() {
    let server = FakeBroker::start(
        CONNECTIONS,
        closes_at(|_, packet| is_publish_on(packet, "out/forbidden")),
    );
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let outcome =
        deliver(&mut rig, &["out/a", "out/forbidden", "out/b", "out/forbidden", "out/b"]).await;
    let lost = [(2, Refusal::ClosesConnection), (4, Refusal::ClosesConnection)];
    assert_eq!(outcome.refused, lost, "{outcome:?}");
    assert_eq!(outcome.sent, [1, 3, 5], "in their order");
    assert_eq!(aside(&rig), ["out/forbidden".to_owned()].into());
    rig.task.abort();
}

#[tokio::test]
async fn the_daemons_own_status_can_be_the_topic_that_ends_the_connection() {
    let server =
        FakeBroker::start(CONNECTIONS, closes_at(|_, packet| is_publish_on(packet, STATUS)));
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let mut outcome = deliver(&mut rig, &["out/a", "out/b"]).await;
    // Which is first is open: a topic under suspicion waits, and the order holds within a topic.
    outcome.sent.sort_unstable();
    assert_eq!((&outcome.sent[..], outcome.refused.len()), (&[1, 2][..], 0), "{outcome:?}");
    // Results are what shows that the broker answers at all: one on each connection.
    let mut number = 100;
    while aside(&rig).is_empty() {
        if let Event::Up { connection, .. } = rig.event().await {
            number += 1;
            rig.publish(connection, number, "out/a", "x");
        }
    }
    assert_eq!(aside(&rig), [STATUS.to_owned()].into());
    rig.task.abort();
}

#[tokio::test]
async fn nothing_is_set_aside_by_a_broker_that_restarts_before_it_answers() {
    // Five times in a row, always at a result and never at the status.
    let is_end = |number, packet: &fake_broker::Packet| {
        number < 5 && packet.kind() == PUBLISH && packet.topic() != STATUS
    };
    let server = FakeBroker::start(CONNECTIONS, closes_at(is_end));
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let outcome = deliver(&mut rig, &["out/a", "out/b", "out/c"]).await;
    assert!(outcome.refused.is_empty(), "{outcome:?}");
    assert!(aside(&rig).is_empty());
    rig.task.abort();
}

#[tokio::test]
async fn nothing_is_set_aside_by_a_broker_that_answers_no_publish_at_all() {
    let server = FakeBroker::start(
        CONNECTIONS,
        closes_at(|number, packet| number < 8 && packet.kind() == PUBLISH),
    );
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let outcome = deliver(&mut rig, &["out/a"]).await;
    assert_eq!((&outcome.sent[..], outcome.refused.len()), (&[1][..], 0), "{outcome:?}");
    assert!(aside(&rig).is_empty());
    rig.task.abort();
}

#[tokio::test]
async fn a_client_that_is_thrown_out_again_and_again_is_told_of_its_double() {
    let server = FakeBroker::start(CONNECTIONS, |_, client| {
        client.accept(fake_broker::CONNACK);
        client.read_until(SUBSCRIBE);
    });
    let mut rig = LinkHarness::start(broker(server.port, "gw"), 8);
    let faults = [rig.down().await, rig.down().await, rig.down().await];
    assert_eq!(faults[..2], [Fault::Closed, Fault::Closed]);
    assert_eq!(faults[2], Fault::ClosedAgain { client_id: "gw".into() });
    assert!(faults[2].to_string().contains("\"gw\" used by another client"), "{}", faults[2]);
    rig.task.abort();
}

#[tokio::test]
async fn two_clients_with_one_id_are_told_of_each_other() {
    let Some(server) = Mosquitto::start("") else {
        return skipped("two clients with one id", "mosquitto is not installed");
    };
    let mut first = LinkHarness::start(broker(server.port(), "gw"), 8);
    first.ready().await;
    let mut second = LinkHarness::start(broker(server.port(), "gw"), 8);
    second.up().await;
    // mosquitto 2.0.11 gives no reason; others send a DISCONNECT with 0x8E, which link::faults tries.
    let mut told = Vec::new();
    for _ in 0..3 {
        told.extend([first.down().await, second.down().await]);
    }
    let double = Fault::ClosedAgain { client_id: "gw".into() };
    assert!(told.contains(&double), "{told:?}");
    first.task.abort();
    second.task.abort();
}
