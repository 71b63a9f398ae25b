//! Which window a sample belongs to, and why one does not fill: the real binary and a real broker.

use serde_json::{Value, json};

use crate::common::broker::Mosquitto;
use crate::common::gateway::{Gateway, samples};
use crate::common::mqtt_client::MqttClient;
use crate::common::skipped;

const BY_PAYLOAD: &str = r#"
[[stream]]
name = "motion"
model = "motion"
topic = "rtl_433"
[stream.payload]
fields = ["ax", "ay", "az", "gx", "gy", "gz"]
time = "ts"
device = ["model", "id"]
[stream.publish]
topic = "predictions/{stream}/{device}"
"#;

/// The samples of the recording with the device's name in them, their times changed.
fn named(model: &str, id: u32, count: usize, time: impl Fn(i64, i64) -> i64) -> Vec<Vec<u8>> {
    let change = |(place, sample): (usize, Vec<u8>)| {
        let mut sample: Value = serde_json::from_slice(&sample).unwrap();
        let ts = time(sample["ts"].as_i64().unwrap(), i64::try_from(place).unwrap());
        sample["ts"] = json!(ts);
        (sample["model"], sample["id"]) = (json!(model), json!(id));
        sample.to_string().into_bytes()
    };
    samples(0, count).into_iter().enumerate().map(change).collect()
}

#[tokio::test]
async fn devices_that_only_the_payload_names_have_windows_of_their_own() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("windows", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("predictions/#").await;
    let mut gateway = Gateway::new(broker.port(), BY_PAYLOAD);
    gateway.start();
    gateway.await_notice("subscribed");
    let devices = [named("Acurite/5n1", 7, 40, |ts, _| ts), named("Nexus-TH", 7, 40, |ts, _| ts)];
    let [a, b] = devices;
    let interleaved = a.into_iter().zip(b).flat_map(|(a, b)| [a, b]).collect::<Vec<_>>();
    peer.publish_all("rtl_433", interleaved).await;
    for name in ["Acurite%2F5n1,7", "Nexus-TH,7"] {
        let (topic, text) = peer.next_text().await;
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(topic, format!("predictions/motion/{name}"));
        assert_eq!((&told["device"], &told["label"]), (&json!(name), &json!("resting")));
    }
    let status = gateway.ask(&["status"]);
    let motion = &status["health"]["streams"]["motion"];
    assert_eq!(motion["predictions"], 2, "no window had samples of both: {motion}");
    assert_eq!(motion["window"]["devices"], 2, "{motion}");
}

#[tokio::test]
async fn windows_that_never_fill_are_shown_with_the_reason() {
    let Some(broker) = Mosquitto::start("") else {
        return skipped("windows", "mosquitto is not installed");
    };
    let mut peer = MqttClient::connect(broker.port(), "peer").await;
    peer.subscribe("inferd/v1/+/rejects").await;
    let mut gateway = Gateway::new(broker.port(), BY_PAYLOAD);
    gateway.start();
    gateway.await_notice("subscribed");
    let hour = 3_600_000;
    // The last one is refused, and says that those before it were taken.
    let mut slow = named("press", 7, 5, |ts, place| ts - hour + 5000 * place);
    slow.extend(named("press", 7, 1, |_, _| 12_345));
    peer.publish_all("rtl_433", slow).await;
    let (_, text) = peer.next_text().await;
    let reject: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reject["reason"], "bad-time");
    assert!(reject["message"].as_str().unwrap().contains("1970-01-01"), "{reject}");
    let status = gateway.ask(&["status"]);
    let window = &status["health"]["streams"]["motion"]["window"];
    assert_eq!((&window["length"], &window["fullest"]), (&json!(40), &json!(1)), "{window}");
    assert_eq!(window["restarted"]["gap"], 4, "{window}");
    assert_eq!(window["last_lost"]["device"], "press,7", "{window}");
    let message = window["last_lost"]["message"].as_str().unwrap();
    assert!(message.contains("window.max_gap is 1s"), "{message}");
    assert!(message.contains("its windows never fill"), "{message}");
    assert!(gateway.log().contains("with 1 of 40 samples"), "{}", gateway.log());
    let shown = gateway.command(&["status"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("the fullest window has 1 of 40 samples"), "{shown}");
}

#[test]
fn check_says_where_no_window_would_fill() {
    let streams = BY_PAYLOAD.replace("device = [\"model\", \"id\"]", "");
    let streams = streams.replace("/{device}", "");
    let gateway = Gateway::new(1, &streams);
    let checked = gateway.command(&["check", "--rate", "0.1", "--devices", "2000"]);
    let shown = String::from_utf8(checked.stdout).unwrap();
    for words in
        ["all samples share one window", "window.max_gap is 1s", "more than max_keys = 1024"]
    {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
}
