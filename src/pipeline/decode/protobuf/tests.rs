use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::*;
use crate::clock::Timestamp;

const KINDS: &[u8] = include_bytes!("../../../../tests/protobuf/kinds.desc");

fn types(message: &str) -> MessageTypes {
    MessageTypes::read(KINDS, message, &[]).unwrap()
}

/// Takes whatever is read, into the place that it borrows.
struct All<'v>(&'v mut Value);

impl<'de> DeserializeSeed<'de> for All<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for All<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        *self.0 = json!({ "bits": value.to_bits() });
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        *self.0 = json!(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        *self.0 = json!(value);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        *self.0 = json!(value);
        Ok(())
    }

    /// The only texts that are times to the microsecond are times.
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let time = Timestamp::parse(text);
        *self.0 = time.map_or_else(|| json!(text), |time| json!({ "micros": time.0 }));
        Ok(())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        *self.0 = json!({ "bytes": hex });
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut all = Vec::new();
        let mut value = Value::Null;
        while seq.next_element_seed(All(&mut value))?.is_some() {
            all.push(value.take());
        }
        *self.0 = Value::Array(all);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut all = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let mut value = Value::Null;
            map.next_value_seed(All(&mut value))?;
            all.insert(name, value);
        }
        *self.0 = Value::Object(all);
        Ok(())
    }
}

fn value(types: &MessageTypes, payload: &[u8]) -> Result<Value, Reject> {
    let mut value = Value::Null;
    read(payload, Some(types), All(&mut value))?;
    Ok(value)
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[derive(serde::Deserialize)]
struct Case {
    wire: String,
    value: Value,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../../../tests/protobuf/messages.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn messages_are_read_as_by_the_protobuf_package_of_python() {
    let types = types("kinds.Reading");
    let mut members = BTreeMap::<String, usize>::new();
    for Case { wire, value: expected } in cases() {
        let got = value(&types, &from_hex(&wire)).unwrap_or_else(|error| panic!("{wire}: {error}"));
        assert_eq!(got, expected, "{wire}");
        for name in got.as_object().unwrap().keys() {
            *members.entry(name.clone()).or_default() += 1;
        }
    }
    assert_eq!(members.len(), 27, "each field is in some message: {members:?}");
}

#[test]
fn what_is_not_of_the_type_is_refused() {
    let types = types("kinds.Reading");
    let refused = |payload: &[u8]| value(&types, payload).unwrap_err().to_string();
    // Field 2 is a float, and this is a number of 64 bits.
    let other = refused(b"\x11\0\0\0\0\0\0\0\0");
    assert!(other.contains("field kinds.Reading.f_float is written as another type"), "{other}");
    // Field 2000 alone.
    assert!(refused(b"\x80\x7d\x01").contains("none that kinds.Reading has"));
    assert!(refused(b"\x08").contains("Protocol Buffers"));
    assert!(refused(b"\x0b\x0c").contains("a group of proto2"));
    assert!(refused(b"\x4a\x01\xff").contains("not UTF-8"));
    assert!(refused(b"\xa2\x01\x05\0\0\0\0\0").contains("ends too early"));
    assert_eq!(value(&types, b"").unwrap()["f_float"], json!({ "bits": 0 }));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        case in any::<prop::sample::Index>(),
        own in prop::collection::vec(any::<u8>(), 0..60),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        static TYPES: LazyLock<MessageTypes> = LazyLock::new(|| types("kinds.Reading"));
        static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);
        let types = &*TYPES;
        let mut payload = from_hex(&case.get(&CASES).wire);
        for (at, byte) in changes {
            if !payload.is_empty() {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
        }
        let _read = value(types, &payload);
        let _read = value(types, &own);
    }
}
