//! Streams whose filters overlap, against brokers that send a copy for each subscription
//! (mosquitto, the embedded one) and one that sends a single copy (aedes).

use std::collections::BTreeMap;

use inferd::link::{Event, Link};

use crate::common::broker::{Aedes, Broker, Mosquitto};
use crate::common::fake_broker::{self, FakeBroker, SUBSCRIBE};
use crate::common::link_harness::{LinkHarness, broker, text, wanted};
use crate::common::mqtt_client::MqttClient;
use crate::common::{skipped, soon};

/// Every broker there is, by name.
fn brokers() -> Vec<(&'static str, Broker)> {
    let mut brokers = vec![("embedded", Broker::embedded())];
    match Mosquitto::start("") {
        Some(mosquitto) => brokers.push(("mosquitto", Broker::Mosquitto(mosquitto))),
        None => skipped("overlapping filters at mosquitto", "it is not installed"),
    }
    match Aedes::start() {
        Ok(aedes) => brokers.push(("aedes", Broker::Aedes(aedes))),
        Err(why) => skipped("overlapping filters at aedes", &why),
    }
    brokers
}

/// Publishes, and then one message that each filter's last one is known by: stream -> payloads
/// before that. Filters are of two levels.
async fn received(
    rig: &mut LinkHarness,
    peer: &mut MqttClient,
    messages: &[(&str, &str)],
    ends: &[&str],
    ending: usize,
) -> BTreeMap<usize, Vec<String>> {
    for (topic, payload) in messages {
        peer.publish(topic, *payload).await;
    }
    for topic in ends {
        peer.publish(topic, "end").await;
    }
    let (mut got, mut ended) = (BTreeMap::<usize, Vec<String>>::new(), 0);
    while ended < ending {
        let sample = rig.work().await;
        if text(&sample) == "end" {
            ended += 1;
        } else {
            got.entry(sample.stream).or_default().push(text(&sample));
        }
    }
    got
}

#[tokio::test]
async fn a_message_comes_once_to_each_stream_that_wants_it() {
    for (name, server) in brokers() {
        let mut peer = MqttClient::connect(server.port(), "peer").await;
        // One contains another, two are the same, two overlap otherwise, one stands alone.
        let filters = ["t/+", "t/press-7", "t/press-7", "+/press-7", "u/x"];
        let mut rig =
            LinkHarness::start_with(broker(server.port(), "gw"), 64, &filters, Vec::new());
        rig.ready().await;
        let messages = [
            ("t/press-7", "same"),
            ("t/press-7", "same"),
            ("t/other", "o"),
            ("t/press-7", "same"),
            ("s/press-7", "s"),
            ("u/x", "u"),
        ];
        // No two subscriptions match an end, so that it comes behind every copy of its own.
        let got = received(&mut rig, &mut peer, &messages, &["t/end", "e/press-7", "u/x"], 3).await;
        let expected = BTreeMap::from([
            (0, vec!["same", "same", "o", "same"]),
            (1, vec!["same", "same", "same"]),
            (2, vec!["same", "same", "same"]),
            (3, vec!["same", "same", "same", "s"]),
            (4, vec!["u"]),
        ]);
        let sorted = |mut all: Vec<String>| {
            all.sort_unstable();
            all
        };
        for (stream, payloads) in expected {
            let payloads = payloads.into_iter().map(str::to_owned).collect();
            let have = got.get(&stream).cloned().unwrap_or_default();
            assert_eq!(sorted(have), sorted(payloads), "stream {stream} at {name}");
        }
        rig.stop().await;
    }
}

/// A process that ends before it is through with a message gets every copy again.
#[tokio::test]
async fn copies_that_come_again_to_another_process_are_taken_once() {
    let Some(server) = Mosquitto::start("") else {
        return skipped("copies that come again", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let filters = ["a/+", "+/b"];
    let mut rig = LinkHarness::start_with(broker(server.port(), "gw"), 64, &filters, Vec::new());
    rig.ready().await;
    peer.publish("a/b", "1").await;
    let first = [rig.sample().await.stream, rig.sample().await.stream];
    assert_eq!(first, [0, 1]);
    rig.counted("the second copy", |counters| counters.received == 2).await;
    assert_eq!(rig.handle.counters().copies, 1);
    rig.task.abort();
    let mut rig = LinkHarness::start_with(broker(server.port(), "gw"), 64, &filters, Vec::new());
    let (_, session) = rig.ready().await;
    assert!(session);
    peer.publish("a/b", "2").await;
    peer.publish("a/x", "end").await;
    let mut got = Vec::new();
    loop {
        let sample = rig.work().await;
        if text(&sample) == "end" {
            break;
        }
        got.push((sample.stream, text(&sample)));
    }
    got.sort_unstable();
    let expected = [(0, "1"), (0, "2"), (1, "1"), (1, "2")].map(|(s, text)| (s, text.to_owned()));
    assert_eq!(got, expected);
    rig.counted("both copies of both and the end", |counters| counters.acknowledged == 5).await;
}

#[tokio::test]
async fn subscriptions_of_a_former_configuration_are_left() {
    let Some(server) = Mosquitto::start("") else {
        return skipped("subscriptions of a former configuration", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let before = ["t/+", "t/press-7", "x/y"];
    let mut rig = LinkHarness::start_with(broker(server.port(), "gw"), 64, &before, Vec::new());
    rig.ready().await;
    rig.stop().await;
    let former = Link::filters(&wanted(&before));
    let mut rig = LinkHarness::start_with(broker(server.port(), "gw"), 64, &["t/press-7"], former);
    let (_, session) = rig.ready().await;
    assert!(session);
    // What is left is left behind the answer to the last subscription.
    soon("two UNSUBSCRIBEs", async {
        while server.log().matches("Received UNSUBSCRIBE").count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let got = received(
        &mut rig,
        &mut peer,
        &[("t/press-7", "1"), ("t/press-7", "1"), ("t/other", "o"), ("x/y", "y")],
        &["t/press-7"],
        1,
    )
    .await;
    assert_eq!(got, BTreeMap::from([(0, vec!["1".to_owned(), "1".to_owned()])]));
    assert_eq!(rig.handle.counters().unrouted, 0, "a former subscription still works");
}

/// The access list of this broker grants the narrow filter only.
#[tokio::test]
async fn a_refused_filter_does_not_take_a_narrower_one_with_it() {
    let server = FakeBroker::start(1, |_, client| {
        client.accept(fake_broker::CONNACK);
        for _ in 0..2 {
            let asked = client.read_until(SUBSCRIBE);
            let [high, low] = asked.pkid().to_be_bytes();
            let body = String::from_utf8_lossy(&asked.body).into_owned();
            if body.contains("t/press-7") {
                // With it, or alone, the wide one is requested and refused again.
                let codes: &[u8] = if body.contains("t/+") { &[1, 0x87] } else { &[1] };
                let length = 3 + u8::try_from(codes.len()).unwrap();
                client.write(&[&[0x90, length, high, low, 0], codes].concat());
            } else {
                client.write(&[0x90, 4, high, low, 0, 0x87]);
            }
        }
        client.write(&fake_broker::publish("t/press-7", 1, false, b"x"));
        client.read_to_the_end();
    });
    let filters = ["t/+", "t/press-7"];
    let mut rig = LinkHarness::start_with(broker(server.port, "gw"), 8, &filters, Vec::new());
    rig.up().await;
    let Event::NotSubscribed(refused) = rig.event().await else { panic!("not refused") };
    assert_eq!((refused.filter.as_str(), &refused.streams[..]), ("t/+", &[0, 1][..]));
    let refused = rig.state("the refusal", |state| state.refused_streams.get("t/+").cloned()).await;
    assert!(refused.contains(&0));
    assert_eq!(text(&rig.work().await), "x");
}
