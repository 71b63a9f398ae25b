//! What an operator is told where something does not work: the state, its reason, the exit code,
//! and the row of the fleet. The real binary and a real broker for each.

use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::common::broker::{Broker, Mosquitto, free_port};
use crate::common::fake_broker::{self, FakeBroker};
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::{PATIENCE, skipped};

/// The reason with this code, once there is one.
fn await_reason(gateway: &Gateway, code: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = gateway.ask(&["status"]);
        let reasons = status["reasons"].as_array();
        let found = reasons.and_then(|all| all.iter().find(|reason| reason["code"] == code));
        if let Some(reason) = found {
            return reason.clone();
        }
        assert!(Instant::now() < deadline, "waited in vain for {code}: {status:#}");
    }
}

fn await_state(gateway: &Gateway, state: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = gateway.ask(&["status"]);
        if status["state"] == state {
            return status;
        }
        assert!(Instant::now() < deadline, "waited in vain to be {state}: {status:#}");
    }
}

/// The exit code and the text of `inferd status`.
fn status(gateway: &Gateway) -> (i32, String) {
    let output = gateway.command(&["status"]);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The daemon has failed for this reason: JSON, text, exit code and log say so.
fn has_failed(gateway: &Gateway, code: &str, words: &[&str]) {
    let reason = await_reason(gateway, code);
    assert_eq!(reason["state"], "failed", "{reason}");
    let (exit, text) = status(gateway);
    assert_eq!(exit, 1, "{text}");
    assert!(text.contains(": failed, up ") && text.contains(&format!("[{code} since ")), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
    assert_eq!(gateway.command(&["status", "--fail-on", "never"]).status.code(), Some(0));
    assert_eq!(gateway.command(&["status", "--fail-on", "degraded"]).status.code(), Some(1));
}

fn fleet(port: u16, words: &[&str]) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let broker = format!("mqtt://127.0.0.1:{port}");
        let mut inferctl = Command::new(env!("CARGO_BIN_EXE_inferctl"));
        let output = inferctl.args(["fleet", "--broker", &broker]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if words.iter().all(|word| text.contains(word)) {
            return text;
        }
        assert!(Instant::now() < deadline, "no {words:?} in:\n{text}");
    }
}

#[tokio::test]
async fn a_daemon_that_works_is_healthy() {
    let broker = Broker::start();
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.publish_all("sensors/watch-7/imu", samples(0, 60)).await;
    let health = gateway
        .await_health("predictions", |health| health["streams"]["motion"]["predictions"] == 3);
    let outputs = &health["streams"]["motion"]["outputs"];
    let all = |counts: Vec<&Value>| counts.into_iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    let labels = outputs["labels"].as_object().unwrap();
    assert_eq!(all(labels.values().collect()), 3, "{outputs}");
    assert_eq!(all(outputs["scores"].as_array().unwrap().iter().collect()), 3, "{outputs}");
    let last = &outputs["last"];
    assert_eq!(last["device"], "watch-7", "{outputs}");
    assert!(labels.contains_key(last["label"].as_str().unwrap()), "{outputs}");
    let (exit, text) = status(&gateway);
    assert_eq!(exit, 0);
    assert!(text.contains(": healthy, up ") && text.contains("broker: connected since"), "{text}");
    assert_eq!(gateway.command(&["status", "--fail-on", "degraded"]).status.code(), Some(0));
    assert_eq!(gateway.ask(&["status"])["reasons"], serde_json::json!([]));
    fleet(broker.port(), &["healthy"]);
    gateway.stop();
}

#[tokio::test]
async fn rejected_inputs_fail_a_stream_until_good_ones_come() {
    let broker = Broker::start();
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.set("INFERD_LOG_FORMAT", "json");
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let bad = br#"{"temperature": 21.5, "x": "\u001b[2J"}"#;
    peer.publish_all("sensors/watch-7/imu", vec![bad.to_vec(); 5]).await;
    gateway.await_health("rejects", |health| {
        health["streams"]["motion"]["rejects"]["missing-field"] == 5
    });
    let words =
        ["stream motion", "all of the last 5", "are missing: send them", "sensors/watch-7/imu"];
    has_failed(&gateway, "inputs-rejected", &words);
    let log = gateway.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let warned: Vec<_> = lines.filter(|line| line["reason"] == "missing-field").collect();
    let about = ["stream", "topic"].map(|field| warned[0][field].clone());
    assert_eq!(about, ["motion", "sensors/watch-7/imu"]);
    assert_eq!((warned.len(), &warned[0]["level"]), (1, &"warn".into()), "once a minute");
    assert!(!status(&gateway).1.contains('\u{1b}'), "nothing of a payload reaches a terminal raw");
    gateway.await_notice("failed: stream motion: all of the last 5");
    fleet(broker.port(), &["failed: inputs-rejected", "5 rejected"]);

    peer.publish_all("sensors/watch-7/imu", samples(0, 60)).await;
    await_state(&gateway, "healthy");
    assert_eq!(status(&gateway).0, 0);
    gateway.stop();
}

#[test]
fn a_wrong_password_fails() {
    let extra = "allow_anonymous false\npassword_file {dir}/passwords\n";
    let broker = Mosquitto::start_with(extra, |dir| {
        std::fs::write(dir.join("passwords"), "gw:right\n").unwrap();
        let hashed = Command::new("mosquitto_passwd").arg("-U").arg(dir.join("passwords")).status();
        assert!(hashed.unwrap().success());
    });
    let Some(broker) = broker else {
        return skipped("a wrong password", "mosquitto is not installed");
    };
    let login = "[broker.credentials]\nusername = \"gw\"\npassword_file = \"password\"\n";
    let mut gateway = Gateway::new(broker.port(), &format!("{MOTION}\n{login}"));
    let file = gateway.dir().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    assert!(Command::new("chmod").arg("600").arg(&file).status().unwrap().success());
    gateway.start();
    has_failed(
        &gateway,
        "credentials-refused",
        &["no connection to the broker", "broker: disconnected"],
    );
    std::fs::write(&file, "right\n").unwrap();
    await_state(&gateway, "healthy");
    gateway.stop();
}

/// Mosquitto's access list never refuses a subscription, so a small broker of the test's own does.
#[tokio::test]
async fn a_refused_subscription_fails_its_stream() {
    let broker = FakeBroker::start(1, move |_, client| {
        client.accept(fake_broker::CONNACK);
        let [high, low] = client.read_until(fake_broker::SUBSCRIBE).pkid().to_be_bytes();
        client.write(&[0x90, 4, high, low, 0, 0x87]);
        client.read_to_the_end();
    });
    let mut gateway = Gateway::new(broker.port, MOTION);
    gateway.start();
    let words = ["stream motion", "sensors/+/imu", "access list"];
    has_failed(&gateway, "subscription-refused", &words);
    gateway.stop();
    broker.finish().await;
}

#[tokio::test]
async fn predictions_that_an_access_list_refuses_fail_their_stream() {
    let extra = "acl_file {dir}/acl\n";
    let broker = Mosquitto::start_with(extra, |dir| {
        std::fs::write(dir.join("acl"), "topic readwrite sensors/#\ntopic readwrite inferd/#\n")
            .unwrap();
    });
    let Some(broker) = broker else {
        return skipped("an access list", "mosquitto is not installed");
    };
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.publish_all("sensors/watch-7/imu", samples(0, 90)).await;
    gateway.await_health("lost results", |health| {
        health["queue"]["lost"]["motion"]["not-authorized"].as_u64() >= Some(5)
    });
    let words = ["predictions/motion/watch-7", "access list", "lost", "all of the last"];
    has_failed(&gateway, "predictions-refused", &words);
    fleet(broker.port(), &["failed: predictions-refused"]);
    gateway.stop();
}

#[tokio::test]
async fn reports_that_an_access_list_refuses_degrade() {
    let broker = Mosquitto::start_with("acl_file {dir}/acl\n", |dir| {
        let lists = "topic readwrite sensors/#\ntopic readwrite predictions/#\n";
        std::fs::write(dir.join("acl"), lists).unwrap();
    });
    let Some(broker) = broker else {
        return skipped("an access list", "mosquitto is not installed");
    };
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    let reason = await_reason(&gateway, "reports-refused");
    assert_eq!(reason["state"], "degraded");
    assert!(reason["message"].as_str().unwrap().contains("inferd/v1/gw-1/"), "{reason}");
    assert_eq!(status(&gateway).0, 0);
    gateway.stop();
}

/// The sensor sends every 2 s, and the card allows gaps of 1 s.
#[tokio::test]
async fn windows_that_never_fill_fail_their_stream() {
    let broker = Broker::start();
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    let start = jiff::Timestamp::now().as_millisecond() - 120_000;
    let slow = samples(0, 50).into_iter().enumerate().map(|(at, sample)| {
        let mut sample: Value = serde_json::from_slice(&sample).unwrap();
        sample["ts"] = (start + 2000 * i64::try_from(at).unwrap()).into();
        sample.to_string().into_bytes()
    });
    peer.publish_all("sensors/watch-7/imu", slow.collect::<Vec<_>>()).await;
    has_failed(
        &gateway,
        "nothing-predicted",
        &["stream motion", "full window of 40", "fullest had 1", "max_gap"],
    );
    gateway.stop();
}

#[tokio::test]
async fn a_broker_that_goes_away_degrades_with_its_error_and_what_waits() {
    let Some(mut broker) = Mosquitto::start("") else {
        return skipped("a broker that goes away", "mosquitto is not installed");
    };
    let mut gateway = Gateway::new(broker.port(), MOTION);
    gateway.start();
    gateway.await_notice("subscribed");
    assert_eq!(gateway.ask(&["status"])["state"], "healthy");
    broker.kill();
    let reason = await_reason(&gateway, "broker-unreachable");
    assert_eq!(reason["state"], "degraded");
    let (exit, text) = status(&gateway);
    assert_eq!(exit, 0, "{text}");
    assert!(
        text.contains(": degraded, up ") && text.contains("broker: disconnected since 2"),
        "{text}"
    );
    broker.run();
    await_state(&gateway, "healthy");
    gateway.stop();
}

/// The text of the configuration with more under `[store]`.
fn with_reserve(gateway: &Gateway, bytes: u64) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let text = text.replace("[store]\n", &format!("[store]\nreserve_bytes = {bytes}\n"));
    std::fs::write(gateway.config(), text).unwrap();
}

#[test]
fn a_disk_below_the_reserve_is_said_by_check_at_the_start_and_by_status() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    let enough = gateway.ask(&["check"]);
    assert!(!enough["warnings"].to_string().contains("reserve_bytes"), "{enough}");
    with_reserve(&gateway, 1 << 40);
    let short = gateway.ask(&["check"]);
    if short["warnings"] == enough["warnings"] {
        return skipped("a disk below the reserve", "this one has more than 1 TiB left");
    }
    assert_eq!(short["ok"], true);
    assert!(short["warnings"].to_string().contains("store.reserve_bytes"), "{short}");
    gateway.start();
    assert!(gateway.log().contains("store.reserve_bytes reserves"), "{}", gateway.log_end());
    let reason = await_reason(&gateway, "disk-low");
    assert_eq!(reason["state"], "degraded");
    assert!(reason["message"].as_str().unwrap().contains("MB left"), "{reason}");
    gateway.stop();
}

#[test]
fn signals_that_end_a_process_stop_the_daemon_in_order() {
    for name in ["TERM", "INT", "HUP", "QUIT"] {
        let mut gateway = Gateway::new(free_port(), MOTION);
        gateway.start();
        gateway.signal(name);
        let ended = gateway.ended();
        assert!(ended.success(), "SIG{name}: {ended}; {}", gateway.log_end());
        for word in [&format!("SIG{name} received"), "stopping: processing the received inputs"] {
            assert!(gateway.log().contains(word), "no {word:?} in: {}", gateway.log_end());
        }
        assert!(!gateway.dir().join("run/control.sock").exists());
    }
}

#[test]
fn signals_without_a_meaning_are_ignored() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.start();
    let deadline = Instant::now() + PATIENCE;
    for name in ["USR1", "USR2"] {
        gateway.signal(name);
        while !gateway.log().contains(&format!("SIG{name} received")) {
            assert!(Instant::now() < deadline, "{}", gateway.log_end());
        }
    }
    assert_eq!(status(&gateway).0, 0);
    gateway.stop();
}

#[test]
fn nohup_is_respected() {
    let mut gateway = Gateway::new(free_port(), MOTION);
    gateway.start_under(&["nohup"]);
    gateway.start();
    gateway.signal("HUP");
    gateway.stop();
    assert!(!gateway.log().contains("SIGHUP received"), "{}", gateway.log_end());
}

#[test]
fn the_random_host_name_of_a_container_is_warned_of() {
    let gateway = Gateway::new(free_port(), MOTION);
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), text.replace("id = \"gw-1\"\n", "\n")).unwrap();
    let named = |name: &str| {
        let script = "hostname \"$0\" && exec \"$@\"";
        let inferd = env!("CARGO_BIN_EXE_inferd");
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", script, name, inferd, "check", "--json", "--config"]);
        command.arg(gateway.config()).env("container", "podman").env_remove("INFERD_CONFIG");
        let output = command.output().ok()?;
        let report: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(report["warnings"].to_string())
    };
    let Some(random) = named("4f5e6d7c8b9a") else {
        return skipped("a container's host name", "`unshare --uts` takes root");
    };
    assert!(random.contains("is a container id") && random.contains("--hostname"), "{random}");
    assert!(!named("gw-17").unwrap().contains("gateway.id"));
}
