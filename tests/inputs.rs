//! Messages as sensors write them, through the real daemon, a real broker and the commands for them.

use serde_json::{Value, json};

use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, MOTION, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

fn options(payload: &str) -> String {
    MOTION.replace("time = \"ts\" }", &format!("time = \"ts\", {payload} }}"))
}

#[tokio::test]
async fn partial_updates_in_texts_become_predictions_and_other_messages_are_passed_over() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("partial updates through a broker", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let stream = options(
        "missing = \"hold\", hold = \"1m\", numbers = \"lenient\", where = { kind = \"imu\" }",
    );
    let mut gateway = Gateway::new(mosquitto.port(), &stream);
    gateway.start();
    gateway.await_notice("subscribed");
    let mut messages = vec![br#"{"kind":"status","battery":97}"#.to_vec()];
    for (place, sample) in samples(0, 40).into_iter().enumerate() {
        let mut sample: Value = serde_json::from_slice(&sample).unwrap();
        sample["kind"] = json!("imu");
        sample["ax"] = json!(format!("{} m/s2", sample["ax"]));
        if place % 2 == 1 {
            sample.as_object_mut().unwrap().remove("gz");
            sample["gy"] = Value::Null;
        }
        messages.push(sample.to_string().into_bytes());
    }
    peer.publish_all("sensors/watch-7/imu", messages).await;
    let told = peer.await_json("predictions/motion/watch-7", |_| true).await;
    assert_eq!((&told["device"], &told["kind"]), (&json!("watch-7"), &json!("classification")));
    let all = |health: &Value| health["streams"]["motion"]["samples"] == 40;
    let health = gateway.await_health("the samples", all);
    let counted = &health["streams"]["motion"];
    assert_eq!((&counted["skipped"], &counted["rejects"]), (&json!(1), &json!({})));
    assert_eq!(health["link"]["unacknowledged"], 0);
    gateway.stop();
}

#[tokio::test]
async fn a_proposal_for_a_topic_is_a_stream_that_takes_its_messages() {
    let Some(mosquitto) = Mosquitto::start("") else {
        return skipped("inferd listen", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(mosquitto.port(), "peer").await;
    for (device, sample) in ["watch-7", "watch-8"].into_iter().zip(samples(0, 2)) {
        peer.publish_retained(&format!("sensors/{device}/imu"), sample).await;
    }
    let gateway = Gateway::new(mosquitto.port(), "");
    let heard = gateway.command(&["listen", "sensors/#", "--messages", "2"]);
    let toml = String::from_utf8(heard.stdout).unwrap();
    assert!(heard.status.success(), "{toml}{}", String::from_utf8_lossy(&heard.stderr));
    for line in [
        "# 2 messages on 2 topics",
        "topic = \"sensors/{device}/imu\"",
        "fields = [\"ax\", \"ay\", \"az\", \"gx\", \"gy\", \"gz\"]",
        "time = \"ts\"",
    ] {
        assert!(toml.contains(line), "{toml}");
    }
    gateway.configure(mosquitto.port(), &toml.replace("\"imu\"", "\"motion\""));
    let file = gateway.dir().join("payload.json");
    std::fs::write(&file, samples(0, 1).concat()).unwrap();
    let file = file.display().to_string();
    let tried = gateway.command(&["try", "motion", &file, "--repeat", "40", "--json"]);
    let text = String::from_utf8(tried.stdout).unwrap();
    assert!(tried.status.success(), "{text}{}", String::from_utf8_lossy(&tried.stderr));
    let shown: Vec<Value> =
        serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect();
    assert_eq!(shown.len(), 40);
    assert_eq!(shown[0]["window"], json!([1, 40]));
    let last = &shown[39];
    assert_eq!(last["samples"][0]["values"].as_array().unwrap().len(), 6);
    assert_eq!(last["inputs"][0]["elements"].as_array().unwrap().len(), 24);
    assert_eq!(last["predictions"][0]["device"], "device");
    assert!(last["outputs"][0]["elements"][0].is_number());

    std::fs::write(&file, "{\"ts\":1}").unwrap();
    let refused = gateway.command(&["try", "motion", &file]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("rejected"));
}
