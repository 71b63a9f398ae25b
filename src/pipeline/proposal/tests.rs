//! Messages of known devices, and what is proposed for them.

use proptest::prelude::*;

use super::{HeardMessage, ProposedStream, propose};
use crate::clock::Timestamp;

fn heard(messages: &[(&str, &str)]) -> Vec<HeardMessage> {
    let message = |(second, (topic, payload)): (i64, &(&str, &str))| HeardMessage {
        topic: (*topic).to_owned(),
        payload: payload.as_bytes().to_vec(),
        at: Timestamp(1_795_341_600_000_000 + second * 1_000_000),
    };
    (0..).zip(messages).map(message).collect()
}

fn only(messages: &[(&str, &str)]) -> ProposedStream {
    let mut proposed = propose(&heard(messages));
    assert_eq!(proposed.len(), 1, "{proposed:#?}");
    let proposed = proposed.remove(0);
    assert_eq!((proposed.taken, &proposed.problem), (messages.len(), &None), "{}", proposed.toml);
    proposed
}

#[test]
fn fields_time_and_device_of_json_are_found() {
    let found = only(&[
        (
            "z/kitchen",
            r#"{"temperature":21.5,"humidity":40,"last_seen":"2026-11-22T10:00:00+01:00",
                "state":"ON"}"#,
        ),
        (
            "z/shed",
            r#"{"temperature":2.5,"humidity":null,"last_seen":"2026-11-22T10:00:01+01:00"}"#,
        ),
        ("z/shed", r#"{"temperature":2.5,"last_seen":"2026-11-22T10:00:01+01:00"}"#),
    ]);
    assert_eq!(found.topic, "z/{device}");
    assert_eq!(
        found.toml,
        "[[stream]]\nname = \"z\"\nmodel = \"z\"\ntopic = \"z/{device}\"\n[stream.payload]\n\
         format = \"json\"\nfields = [\"humidity\", \"temperature\"]\ntime = \"last_seen\"\n\
         missing = \"skip\"\n"
    );
    let named = only(&[("rtl_433", r#"{"time":"2026-11-22 10:00:00","id":17,"rain":"0,2 mm"}"#)]);
    assert_eq!(named.per_second, None);
    for line in ["device = \"id\"", "time = \"time\"", "zone = \"local\"", "numbers = \"lenient\""]
    {
        assert!(named.toml.contains(line), "{}", named.toml);
    }
    let nested = only(&[(
        "v3/app/devices/d1/up",
        r#"{"received_at":"2026-11-22T10:00:00Z","uplink_message":{"decoded_payload":{"t":21.5},
            "rx_metadata":[{"rssi":-60,"snr":7}]}}"#,
    )]);
    assert!(nested.toml.contains("[\"/uplink_message/decoded_payload/t\"]"), "{}", nested.toml);
    let array = only(&[("imu", r#"{"ts":1795341600,"s":[[1,2],[3,4]]}"#)]);
    assert!(array.toml.contains("samples = \"s\""), "{}", array.toml);
    assert!(array.toml.contains("fields = [\"/0\", \"/1\"]"), "{}", array.toml);
}

#[test]
fn other_formats_are_told() {
    let format = |payload: &str| {
        let found = only(&[("a/x", payload), ("a/y", payload)]);
        found.toml.lines().find(|line| line.starts_with("format")).unwrap().to_owned()
    };
    assert_eq!(format("21.5 °C"), "format = \"json\"");
    assert_eq!(format("{\"a\":1}\n{\"a\":2}\n"), "format = \"ndjson\"");
    assert_eq!(format("1;2,5;3\n4;5;6"), "format = \"csv\"");
    let mut cbor = Vec::new();
    ciborium::into_writer(&serde_json::json!({"a": 0.1, "b": 200}), &mut cbor).unwrap();
    let message = HeardMessage { topic: "a/b".into(), payload: cbor, at: Timestamp(0) };
    let found = propose(&[message]);
    assert!(found[0].toml.contains("format = \"cbor\""), "{}", found[0].toml);
    assert_eq!(found[0].taken, 1);
}

#[test]
fn kinds_of_messages_are_kept_apart_and_the_rate_is_told() {
    let found = propose(&heard(&[
        ("tele/a/STATE", r#"{"Uptime":17,"Wifi":{"RSSI":80}}"#),
        ("tele/a/SENSOR", r#"{"AM2301":{"Temperature":21.5,"Humidity":40}}"#),
        ("tele/a/SENSOR", r#"{"AM2301":{"Temperature":21.5,"Humidity":41}}"#),
        ("tele/a/SENSOR", r#"{"AM2301":{"Temperature":21.5,"Humidity":42}}"#),
        ("tele/a/LWT", "Online"),
    ]));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert_eq!((found[0].topic.as_str(), found[0].messages), ("tele/a/SENSOR", 3));
    assert_eq!(found[0].per_second, Some(1.0));
    assert!(found[0].toml.contains("name = \"sensor\""));
}

#[test]
fn one_quantity_a_topic_is_proposed_as_a_join() {
    let found = only(&[
        ("attic/sensor/temperature/state", "21.5"),
        ("attic/sensor/humidity/state", "40.5"),
        ("shed/sensor/temperature/state", "2.5"),
    ]);
    assert_eq!(found.topic, "{device}/sensor/{channel}/state");
    assert!(found.toml.contains("fields = [\"humidity\", \"temperature\"]"), "{}", found.toml);
    assert!(found.toml.contains("join = { by = \"channel\", every = \"all\" }"));
    let found = only(&[
        ("N/c06/battery/512/Dc/0/Voltage", r#"{"value":13.25}"#),
        ("N/c06/battery/512/Dc/0/Current", r#"{"value":-4.5}"#),
    ]);
    assert_eq!(found.topic, "N/c06/battery/512/Dc/0/{channel}");
    let found = only(&[("p/kitchen/power", r#"{"w":13.25}"#), ("p/attic/energy", r#"{"w":-4.5}"#)]);
    assert!(found.toml.contains("value = \"w\" }"), "{}", found.toml);
    let rooms = only(&[("p/kitchen", "1"), ("p/attic", "2")]);
    assert!(!rooms.toml.contains("join"), "{}", rooms.toml);
}

#[test]
fn records_and_points_are_told() {
    let pack = r#"[{"bn":"dev1:","bt":1795341600,"n":"t","v":21.5},{"n":"h","v":40}]"#;
    let found = only(&[("senml/a", pack)]);
    assert!(found.toml.contains("format = \"senml\"\nfields = [\"h\", \"t\"]"), "{}", found.toml);
    let found = only(&[("influx", "room,site=a t=21.5,h=40i 1795341600000000000\n")]);
    assert!(found.toml.contains("format = \"influx\"\nfields = [\"h\", \"t\"]"), "{}", found.toml);
    let mut msgpack = vec![0x82, 0xa1, b't', 0xcb];
    msgpack.extend(21.5_f64.to_be_bytes());
    msgpack.extend([0xa1, b'h', 0xcd, 1, 0x90]);
    let message = HeardMessage { topic: "m/b".into(), payload: msgpack, at: Timestamp(0) };
    let found = propose(&[message]);
    assert!(found[0].toml.contains("format = \"msgpack\""), "{}", found[0].toml);
    assert_eq!(found[0].taken, 1);
}

#[test]
fn sparkplug_is_proposed_with_the_births() {
    let hex = "08ca98e8d9a234120f0a0454656d7010012009650000ac41120d0a05466f726365100220035028";
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let payload = (0..hex.len()).step_by(2).map(byte).collect();
    let topic = "spBv1.0/plant/DBIRTH/gw/press-7".to_owned();
    let at = Timestamp(1_795_341_600_000_000);
    let found = propose(&[HeardMessage { topic, payload, at }]);
    assert_eq!(found[0].topic, "spBv1.0/plant/{message}/gw/press-7");
    let expected = "format = \"sparkplug\"\nfields = [\"Force\", \"Temp\"]";
    assert!(found[0].toml.contains(expected), "{}", found[0].toml);
    assert_eq!((found[0].taken, &found[0].problem), (1, &None));
}

proptest! {
    #[test]
    fn anything_that_is_heard_gives_proposals(
        messages in prop::collection::vec(
            ("[a-z$+/{} ]{1,12}", prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[0-9a-z\\[\\]{}\":,. ]{0,40}".prop_map(String::into_bytes),
            ], any::<i64>()),
            0..8,
        ),
    ) {
        let message = |(topic, payload, at)| HeardMessage { topic, payload, at: Timestamp(at) };
        let messages: Vec<_> = messages.into_iter().map(message).collect();
        let found = propose(&messages);
        prop_assert!(found.iter().map(|it| it.messages).sum::<usize>() <= messages.len());
    }
}
