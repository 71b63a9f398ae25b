//! The link against real brokers and against one that misbehaves.

mod closes;
mod faults;
mod limits;
mod overlap;
mod overload;
mod reconnect;
mod secure;

use inferd::link::{ConnectionId, Event, Subscription};
use inferd::message::{InputProcessed, Qos, Reply};
use inferd::outbox::{Refusal, Seq};
use rumqttc::v5::mqttbytes::v5::PublishProperties;

use crate::common::broker::{Broker, Mosquitto};
use crate::common::link_harness::{LinkHarness, STATUS, broker, message, text};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

#[tokio::test]
async fn a_link_announces_itself_and_says_goodbye() {
    let server = Broker::start();
    let (rig, _, mut watcher) = LinkHarness::with_watcher(server.port(), STATUS).await;
    assert_eq!(watcher.next_text().await.1, "online");
    rig.stop().await;
    assert_eq!(watcher.next_text().await.1, "stopped");
    // Whoever comes later is told as well, and the last will stays unsaid.
    watcher.publish("elsewhere", "x").await;
    let mut late = MqttClient::connect(server.port(), "late").await;
    late.subscribe(STATUS).await;
    let last = late.next().await;
    assert_eq!((last.payload.as_ref(), last.retain), (&b"stopped"[..], true));
}

#[tokio::test]
async fn a_link_that_dies_is_announced_by_its_last_will() {
    let server = Broker::start();
    let (rig, _, mut watcher) = LinkHarness::with_watcher(server.port(), STATUS).await;
    assert_eq!(watcher.next_text().await.1, "online");
    rig.task.abort();
    assert_eq!(watcher.next_text().await.1, "offline");
}

#[tokio::test]
async fn a_sample_comes_in_and_its_result_goes_out() {
    let server = Broker::start();
    let (mut rig, connection, mut peer) = LinkHarness::with_watcher(server.port(), "out/#").await;
    let asks = PublishProperties {
        response_topic: Some("out/answers".into()),
        correlation_data: Some("17".into()),
        ..PublishProperties::default()
    };
    peer.publish_with("in/watch-7", "sample", asks).await;
    let sample = rig.sample().await;
    assert_eq!(
        (sample.stream, sample.topic.as_str(), text(&sample).as_str()),
        (0, "in/watch-7", "sample")
    );
    let reply = Reply { topic: "out/answers".into(), correlation: Some("17".into()) };
    assert_eq!(sample.reply, Some(reply));
    let input = sample.token.expect("QoS 1 asks for an acknowledgement");
    rig.handle.input_processed(InputProcessed { input, results: 1 });

    rig.publish(connection, 1, "out/watch-7", "result");
    let result = peer.next().await;
    assert_eq!((&result.topic[..], &result.payload[..]), (&b"out/watch-7"[..], &b"result"[..]));
    let with = result.properties.unwrap();
    assert_eq!(with.content_type.as_deref(), Some("application/json"));
    assert_eq!(with.user_properties, [("model".to_owned(), "motion".to_owned())]);
    assert!(rig.settled(1).await);
    assert_eq!(rig.handle.counters().acknowledged, 0, "acknowledged before its result was safe");
    rig.handle.result_settled(input);
    rig.counted("the acknowledgement", |counters| counters.acknowledged == 1).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_message_of_two_streams_goes_to_both_and_is_acknowledged_once() {
    let server = Broker::start();
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    rig.ready().await;
    peer.publish("both/a", "x").await;
    peer.publish("both/a", "y").await;
    let streams = [rig.work().await.stream, rig.work().await.stream];
    assert_eq!(streams, [0, 1]);
    rig.work().await;
    rig.counted("the first", |counters| counters.acknowledged == 1).await;
    rig.work().await;
    rig.counted("both", |counters| counters.acknowledged == 2).await;
}

#[tokio::test]
async fn what_asks_for_no_acknowledgement_is_over_when_it_is_written() {
    let server = Broker::start();
    let (mut rig, connection, mut peer) = LinkHarness::with_watcher(server.port(), "out/#").await;
    let mut once = message("out/a", "once");
    once.qos = Qos::AtMostOnce;
    rig.handle.try_publish(connection, Seq(5), once).unwrap();
    assert!(rig.settled(5).await);
    assert!(rig.handle.publish_untracked(message("out/b", "by the way")));
    assert_eq!(peer.next_text().await, ("out/a".into(), "once".into()));
    assert_eq!(peer.next_text().await, ("out/b".into(), "by the way".into()));
}

#[tokio::test]
async fn a_publish_for_a_connection_that_is_gone_is_not_sent_on_the_next() {
    let server = Broker::start();
    let (mut rig, connection, mut peer) = LinkHarness::with_watcher(server.port(), "out/#").await;
    let gone = ConnectionId(connection.0 - 1);
    rig.publish(gone, 1, "out/a", "old");
    rig.publish(connection, 2, "out/a", "new");
    assert!(rig.settled(2).await);
    assert_eq!(peer.next_text().await.1, "new");
}

#[tokio::test]
async fn the_latest_of_retained_state_is_kept_at_the_broker() {
    let server = Broker::start();
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    rig.handle.set_retained("state/a", "old");
    rig.handle.set_retained("state/a", "new");
    rig.ready().await;
    rig.counted("the state", |counters| counters.published == 2).await;
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    peer.subscribe("state/#").await;
    assert_eq!(peer.next_text().await, ("state/a".into(), "new".into()));
    rig.handle.set_retained("state/a", "newer");
    assert_eq!(peer.next_text().await, ("state/a".into(), "newer".into()));
}

#[tokio::test]
async fn a_new_set_of_subscriptions_replaces_the_old_one() {
    let server = Broker::start();
    let mut peer = MqttClient::connect(server.port(), "peer").await;
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    rig.ready().await;
    peer.publish("in/a", "1").await;
    assert_eq!(text(&rig.work().await), "1");
    let only = Subscription::of_stream(1, "more/#", Qos::AtLeastOnce);
    let new = Subscription::of_stream(0, "both/new", Qos::AtLeastOnce);
    rig.handle.set_subscriptions(vec![only, new]);
    while rig.event().await != Event::Subscribed {}
    peer.publish("in/a", "2").await;
    peer.publish("more/a", "3").await;
    peer.publish("both/new", "4").await;
    assert_eq!(text(&rig.work().await), "3", "a subscription that was taken back still works");
    assert_eq!(text(&rig.work().await), "4");
}

#[tokio::test]
async fn what_the_broker_will_not_have_is_refused_and_the_connection_stays() {
    let acl = "topic readwrite out/#\ntopic readwrite inferd/#\ntopic read in/#\ntopic read \
               more/#\ntopic read both/#\nuser somebody\ntopic write forbidden/#\n";
    let extra = "max_packet_size 2000\nacl_file {dir}/acl\n";
    let prepare = |dir: &std::path::Path| std::fs::write(dir.join("acl"), acl).unwrap();
    let Some(server) = Mosquitto::start_with(extra, prepare) else {
        return skipped("refused publishes", "mosquitto is not installed");
    };
    let mut rig = LinkHarness::start(broker(server.port(), "gw"), 8);
    let (connection, _) = rig.ready().await;
    rig.publish(connection, 1, "out/a", &"x".repeat(3000));
    rig.publish(connection, 2, "out/+/a", "x");
    rig.publish(connection, 3, "forbidden/a", "x");
    rig.publish(connection, 4, "out/a", "x");
    let mut refusals = Vec::new();
    while refusals.len() < 4 {
        match rig.event().await {
            Event::Refused { seq, refusal } => refusals.push((seq.0, Some(refusal))),
            Event::Sent { seq } => refusals.push((seq.0, None)),
            _ => {}
        }
    }
    refusals.sort_unstable();
    assert_eq!(
        refusals,
        [
            (1, Some(Refusal::TooLarge)),
            (2, Some(Refusal::TopicInvalid)),
            (3, Some(Refusal::NotAuthorized)),
            (4, None)
        ]
    );
    assert_eq!(rig.handle.counters().connections, 1);
    rig.stop().await;
}
