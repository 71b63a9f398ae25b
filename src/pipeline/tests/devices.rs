//! Devices that only the payload names.

use super::fixture::{Harness, echo, prediction, stream, whole, windowed};
use crate::bundle::card::OutputKind;
use crate::clock::Clock as _;
use crate::config::{Stream, TopicPattern, TopicTemplate, When};
use crate::message::InputId;
use crate::pipeline::advice;

fn named(topic: &str, template: &str) -> Stream {
    let mut config = stream();
    config.topic = TopicPattern::parse(topic).unwrap();
    let names: Vec<String> = config.topic.captures().map(str::to_owned).collect();
    let names = names.iter().map(String::as_str).chain(["device"]);
    config.publish.topic = TopicTemplate::parse(template, names).unwrap();
    config.payload.device = vec!["id".into()];
    config
}

/// Topic, device and window of what a message gives.
fn sent(bench: &mut Harness, topic: &str, payload: &str) -> Vec<(String, String, Vec<f64>)> {
    let (outcome, out) = bench.step(topic, payload);
    assert!(outcome.rejects.is_empty(), "{outcome:?}");
    let of = |message: &crate::message::Outgoing| {
        let told = prediction(&message.payload);
        let window = serde_json::from_value(told["tensor"]["data"].clone()).unwrap();
        (message.topic.clone(), told["device"].as_str().unwrap().to_owned(), window)
    };
    out.iter().map(|finished| of(&finished.message)).collect()
}

#[test]
fn each_device_of_one_topic_has_its_own_window() {
    let config = named("rtl_433", "p/{stream}/{device}");
    let mut bench = Harness::new(config, windowed(2, 2), echo(&[2, 2]));
    let mut step =
        |id: &str, a: i32| sent(&mut bench, "rtl_433", &format!(r#"{{"id":{id},"a":{a},"b":0}}"#));
    assert_eq!(step("1", 1), []);
    assert_eq!(step("\"x/+\"", 2), []);
    assert_eq!(step("1", 3), [("p/motion/1".into(), "1".into(), vec![1.0, 0.0, 3.0, 0.0])]);
    let (topic, device) = ("p/motion/x%2F%2B".to_owned(), "x%2F%2B".to_owned());
    assert_eq!(step("\"x/+\"", 4), [(topic, device, vec![2.0, 0.0, 4.0, 0.0])]);
}

#[test]
fn several_devices_in_one_message_go_to_their_own_windows() {
    let config = named("ble/{site}", "p/{site}/{device}");
    let mut bench = Harness::new(config, windowed(2, 2), echo(&[2, 2]));
    let rows = r#"[{"id":"x","a":1,"b":0},{"id":"y","a":2,"b":0},{"id":"x","a":3,"b":0},
                   {"id":"y","a":4,"b":0},{"id":"z","a":5,"b":0}]"#;
    let expected = [
        ("p/s1/x".to_owned(), "s1/x".to_owned(), vec![1.0, 0.0, 3.0, 0.0]),
        ("p/s1/y".to_owned(), "s1/y".to_owned(), vec![2.0, 0.0, 4.0, 0.0]),
    ];
    assert_eq!(sent(&mut bench, "ble/s1", rows), expected);
    assert_eq!(bench.pipeline.devices(), 3);
    assert_eq!(sent(&mut bench, "ble/s2", r#"{"id":"z","a":5,"b":0}"#), []);
    assert_eq!(bench.pipeline.devices(), 4, "another site, another device");
}

#[test]
fn saved_windows_and_the_journal_keep_the_devices_apart() {
    let config = named("rtl_433", "p/{device}");
    let mut bench = Harness::new(config.clone(), windowed(2, 2), echo(&[2, 2]));
    let base = bench.pipeline.base(7, bench.clock.now());
    let rows = r#"[{"id":"x","a":1,"b":0},{"id":"y","a":2,"b":0}]"#;
    let input_id = InputId { epoch: 1, packet: 2, content: 3 };
    let mut incoming = bench.incoming("rtl_433", rows.as_bytes());
    incoming.input_id = Some(input_id);
    bench.pipeline.step(&incoming, &bench.clock, &mut Vec::new());
    let addition = bench.pipeline.addition(bench.clock.now()).unwrap();
    let snapshot = bench.pipeline.snapshot(bench.clock.now());
    for journal in [true, false] {
        let mut again = Harness::new(config.clone(), windowed(2, 2), echo(&[2, 2]));
        let (now, mut input_ids) = (again.clock.now(), Vec::new());
        if journal {
            again.pipeline.replay(&base, [&addition.bytes[..]], now, &mut input_ids).unwrap();
            assert_eq!(input_ids, [input_id]);
        } else {
            again.pipeline.restore(&snapshot, now).unwrap();
        }
        let y = sent(&mut again, "rtl_433", r#"{"id":"y","a":3,"b":0}"#);
        assert_eq!(y, [("p/y".into(), "y".into(), vec![2.0, 0.0, 3.0, 0.0])]);
    }
}

#[test]
fn publish_rules_of_whole_inputs_are_kept_per_device_of_the_payload() {
    let mut config = named("rtl_433", "p/{device}");
    config.publish.when = When::Change;
    let mut bench = Harness::new(config, whole(OutputKind::Raw), echo(&[2]));
    let mut count =
        |id: u8| sent(&mut bench, "rtl_433", &format!(r#"{{"id":{id},"a":1,"b":2}}"#)).len();
    assert_eq!([count(1), count(1), count(2), count(2)], [1, 0, 1, 0]);
}

#[test]
fn no_device_publishes_to_a_topic_of_the_broker() {
    let mut config = stream();
    config.publish.topic = TopicTemplate::parse("{device}/out", ["device"]).unwrap();
    let mut bench = Harness::new(config, windowed(1, 1), echo(&[1, 2]));
    let (outcome, out) = bench.step("sensors/$SYS/imu", "[1,2]");
    assert_eq!((outcome.rejects[0].reject.code(), out.len()), ("topic", 0));
    let mut bench = Harness::new(named("rtl_433", "{device}/out"), windowed(1, 1), echo(&[1, 2]));
    let sent = sent(&mut bench, "rtl_433", r#"{"id":"$SYS","a":1,"b":2}"#);
    assert_eq!(sent[0].0, "%24SYS/out");
}

#[test]
fn a_stream_whose_devices_nothing_names_is_warned_of() {
    let mut config = named("rtl_433", "p/{device}");
    assert!(advice(&config, &windowed(2, 2)).is_empty());
    config.payload.device.clear();
    assert!(advice(&config, &windowed(2, 2))[0].contains("all samples share one window"));
    assert!(advice(&config, &whole(OutputKind::Raw)).is_empty());
    assert!(advice(&stream(), &windowed(2, 2)).is_empty());
}
