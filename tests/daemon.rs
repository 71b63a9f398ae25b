//! The daemon as its owner meets it: the real binary, a real broker, real signals.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::common::broker::{Broker, Mosquitto, free_port};
use crate::common::fake_broker::{self, FakeBroker};
use crate::common::gateway::{Gateway, MOTION, WHOLE, samples, without_window};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

#[tokio::test]
async fn a_gateway_becomes_ready_predicts_and_stops() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("#").await;
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    let status = peer.await_json("gw-1/status", |s| s["state"] == "online").await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let model = peer.await_json("gw-1/model/motion", |_| true).await;
    assert_eq!(model["active"]["version"], "1.0.0");

    peer.publish_all("sensors/watch-7/imu", samples(0, 50)).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let got = peer.await_json("predictions/motion/watch-7", |_| true).await;
        assert_eq!(got["v"], 1);
        assert_eq!(got["gateway"], "gw-1");
        assert_eq!(got["stream"], "motion");
        assert_eq!(got["device"], "watch-7");
        assert_eq!(got["model"], "motion");
        assert_eq!(got["kind"], "classification");
        assert_eq!(got["label"], "resting");
        assert_eq!(got["replayed"], false);
        assert!(got["score"].as_f64().unwrap() > 0.5, "{got}");
        assert!(got["us"]["run"].is_u64(), "{got}");
        ids.insert(got["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 2, "two predictions have two ids");

    gateway.signal("TERM");
    gateway.await_notice("STOPPING=1");
    assert!(gateway.ended().success(), "{}", gateway.log());
    peer.await_json("gw-1/status", |s| s["state"] == "stopped").await;
}

#[tokio::test]
async fn a_partial_window_goes_on_after_a_stop() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), MOTION);
    let all = samples(0, 40);
    gateway.start();
    gateway.await_notice("subscribed");
    peer.publish_all("sensors/watch-1/imu", all[..39].to_vec()).await;
    gateway.stop();
    gateway.start();
    peer.publish_all("sensors/watch-1/imu", all[39..].to_vec()).await;
    let (_, got) = peer.next_json().await;
    assert_eq!(got["device"], "watch-1");
    assert_eq!(got["label"], "resting");
}

#[tokio::test]
async fn bad_inputs_are_counted_shown_and_survived() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("inferd/v1/#").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    gateway.await_notice("subscribed");
    let deep = format!("{{\"extra\":{}1{}}}", "[".repeat(101), "]".repeat(101));
    let bad: [(&str, Vec<u8>); 7] = [
        ("syntax", br#"{"ts": 1795341600, "ax": "#.to_vec()),
        ("nesting", deep.into_bytes()),
        ("missing-field", br#"{"ax": 1, "ay": 2}"#.to_vec()),
        ("not-a-number", br#"{"ax":"1","ay":1,"az":1,"gx":1,"gy":1,"gz":1}"#.to_vec()),
        ("not-finite", br#"{"ax":1e999,"ay":1,"az":1,"gx":1,"gy":1,"gz":1}"#.to_vec()),
        ("not-utf8", b"{\"ax\": \"\xff\"}".to_vec()),
        ("too-large", vec![b'1'; 900_000]),
    ];
    for (reason, payload) in &bad {
        peer.publish("sensors/watch-1/imu", payload.clone()).await;
        let shown = peer.await_json("gw-1/rejects", |_| true).await;
        assert_eq!(shown["reason"], *reason, "{shown}");
        assert_eq!(shown["topic"], "sensors/watch-1/imu");
        assert!(!shown["message"].as_str().unwrap().is_empty());
    }
    let counted = |health: &Value| {
        bad.iter().all(|(reason, _)| health["streams"]["motion"]["rejects"][*reason] == 1)
    };
    peer.await_json("gw-1/health", counted).await;
    peer.publish_all("sensors/watch-1/imu", samples(0, 40)).await;
    peer.await_json("predictions/motion/watch-1", |p| p["label"] == "resting").await;
}

#[tokio::test]
async fn without_a_broker_it_is_ready_and_waits() {
    let Some(mut mosquitto) = Mosquitto::start("") else {
        return skipped("a start without a broker", "mosquitto is not installed");
    };
    mosquitto.stop();
    let mut gateway = Gateway::new(mosquitto.port(), MOTION);
    gateway.start();
    gateway.await_notice("no connection");
    mosquitto.run();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    peer.subscribe("inferd/v1/gw-1/status").await;
    peer.await_json("status", |s| s["state"] == "online").await;
}

/// At boot there may be no interface at all, and nobody who knows the broker's name.
#[test]
fn without_a_network_it_is_ready_and_waits() {
    let alone = ["unshare", "--net"];
    let works = Command::new(alone[0]).args([alone[1], "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return skipped("a start without a network", "`unshare --net` takes root");
    }
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.set("INFERD__BROKER__HOST", "broker.example");
    gateway.start_under(&alone);
    gateway.start();
    gateway.await_notice("no connection");
    let status = gateway.command(&["status"]);
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(text.contains("broker: disconnected"), "{text}");
    assert!(gateway.log().contains("does not resolve"), "{}", gateway.log());
    gateway.stop();
}

/// A sample published once the service manager says that we are up is not lost, not even on the very
/// first start, when the broker keeps nothing for us yet.
#[tokio::test]
async fn ready_waits_for_the_subscriptions() {
    let granted = Arc::new(AtomicBool::new(false));
    let by_broker = granted.clone();
    let broker = FakeBroker::start(1, move |_, client| {
        client.accept(fake_broker::CONNACK);
        let subscribe = client.read_until(fake_broker::SUBSCRIBE);
        by_broker.store(true, Ordering::Release);
        let [high, low] = subscribe.pkid().to_be_bytes();
        client.write(&[0x90, 4, high, low, 0, 1]);
        client.read_to_the_end();
    });
    let mut gateway = Gateway::new(broker.port, MOTION);
    gateway.start();
    assert!(granted.load(Ordering::Acquire), "ready before the broker had granted anything");
    gateway.await_notice("subscribed");
    gateway.stop();
    broker.finish().await;
}

/// The broker refuses the subscription: that is for a person to mend, and no restart mends it.
#[tokio::test]
async fn a_refused_subscription_does_not_hold_up_readiness() {
    let broker = FakeBroker::start(1, move |_, client| {
        client.accept(fake_broker::CONNACK);
        let [high, low] = client.read_until(fake_broker::SUBSCRIBE).pkid().to_be_bytes();
        client.write(&[0x90, 4, high, low, 0, 0x87]);
        client.read_to_the_end();
    });
    let mut gateway = Gateway::new(broker.port, MOTION);
    gateway.start();
    assert!(gateway.log().contains("refuses the subscription sensors/+/imu"), "{}", gateway.log());
    gateway.stop();
    broker.finish().await;
}

/// It takes the connection and says nothing, as a network that drops packets does. An attempt takes
/// longer here than the test waits.
#[tokio::test]
async fn a_broker_that_never_answers_does_not_hold_up_readiness() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut gateway = Gateway::new(silent.local_addr().unwrap().port(), MOTION);
    gateway.set("INFERD__BROKER__CONNECT_TIMEOUT", "5m");
    gateway.start();
    gateway.stop();
}

#[tokio::test]
async fn the_watchdog_is_fed_while_the_workers_are_well() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.set("WATCHDOG_USEC", "300000");
    gateway.start();
    for _ in 0..3 {
        gateway.await_notice("WATCHDOG=1");
    }
    gateway.stop();
}

#[tokio::test]
async fn a_killed_gateway_is_declared_offline_by_its_will() {
    let broker = Broker::start();
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("inferd/v1/gw-1/status").await;
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    peer.await_json("status", |s| s["state"] == "online").await;
    gateway.kill();
    peer.await_json("status", |s| s["state"] == "offline").await;
}

/// The whole input's acknowledgement waits for its result: whatever a kill interrupts, the broker
/// sends it again.
#[tokio::test]
async fn whole_inputs_survive_kill_9() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("inputs across a kill", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(mosquitto.port(), WHOLE);
    gateway.ship("whole", without_window);
    gateway.start();
    gateway.await_notice("subscribed");
    let input: Vec<u8> = (0..240u8).flat_map(|i| (f32::from(i) / 100.0).to_le_bytes()).collect();
    let mut missing: std::collections::BTreeSet<String> =
        (0..300).map(|n| format!("n{n}")).collect();
    for (at, name) in missing.iter().enumerate() {
        peer.publish(&format!("inputs/{name}"), input.clone()).await;
        if at % 60 == 59 {
            gateway.kill();
            gateway.start();
        }
    }
    while !missing.is_empty() {
        let (_, got) = peer.next_json().await;
        missing.remove(got["device"].as_str().unwrap());
    }
}

/// Far more at once than the outbox keeps in memory: the rest goes to disk, which releases the
/// inputs, so nothing waits for itself.
#[tokio::test]
async fn an_overload_of_whole_inputs_is_answered_to_the_last() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("an overload", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let stream = format!("[outbox]\nmemory_records = 16\n{WHOLE}");
    let mut gateway = Gateway::new(mosquitto.port(), &stream);
    gateway.ship("whole", without_window);
    gateway.start();
    gateway.await_notice("subscribed");
    let input: Vec<u8> = (0..240u8).flat_map(|i| (f32::from(i) / 100.0).to_le_bytes()).collect();
    let mut missing: std::collections::BTreeSet<String> =
        (0..3000).map(|n| format!("n{n}")).collect();
    for name in &missing {
        peer.publish_unheard(&format!("inputs/{name}"), input.clone()).await;
    }
    while !missing.is_empty() {
        let (_, got) = peer.next_json().await;
        missing.remove(got["device"].as_str().unwrap());
    }
}
