//! MessagePack, and the typed arrays of CBOR.

use super::configured::configured;
use super::*;

const T: i64 = 1_796_021_554;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp(seconds * 1_000_000))
}

/// The MessagePack of a JSON text.
pub(super) fn msgpack(json: &str) -> Vec<u8> {
    fn write(value: &serde_json::Value, out: &mut Vec<u8>) {
        let length = |len: usize| u16::try_from(len).unwrap().to_be_bytes();
        match value {
            serde_json::Value::Null => out.push(0xc0),
            serde_json::Value::Bool(value) => out.push(0xc2 + u8::from(*value)),
            serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(small @ 0..=127), _) => out.push(u8::try_from(small).unwrap()),
                (Some(value), _) => {
                    out.push(0xcf);
                    out.extend(value.to_be_bytes());
                }
                (None, Some(value)) => {
                    out.push(0xd3);
                    out.extend(value.to_be_bytes());
                }
                (None, None) => {
                    out.push(0xcb);
                    out.extend(number.as_f64().unwrap().to_be_bytes());
                }
            },
            serde_json::Value::String(text) if text.len() < 32 => {
                out.push(0xa0 + u8::try_from(text.len()).unwrap());
                out.extend(text.as_bytes());
            }
            serde_json::Value::String(text) => {
                out.push(0xda);
                out.extend(length(text.len()));
                out.extend(text.as_bytes());
            }
            serde_json::Value::Array(list) => {
                out.push(0xdc);
                out.extend(length(list.len()));
                list.iter().for_each(|value| write(value, out));
            }
            serde_json::Value::Object(map) => {
                out.push(0xde);
                out.extend(length(map.len()));
                for (key, value) in map {
                    write(&serde_json::Value::from(key.as_str()), out);
                    write(value, out);
                }
            }
        }
    }
    let mut out = Vec::new();
    write(&serde_json::from_str(json).unwrap(), &mut out);
    out
}

#[test]
fn messagepack_gives_what_json_gives() {
    let case = configured("format = \"msgpack\"\nfields = [\"t\", \"h\"]\ntime = \"ts\"");
    let text = format!(
        r#"[{{"t":21.5,"h":40,"ts":{T},"s":null}},{{"t":-1,"h":true,"ts":"2026-11-30T06:52:34Z"}}]"#
    );
    let read = case.read(msgpack(&text)).unwrap();
    assert_eq!((read.values, read.times), (vec![21.5, 40.0, -1.0, 1.0], vec![at(T), at(T)]));
    let plain = configured("format = \"msgpack\"\nfields = [\"t\", \"h\"]");
    let from_python = [0x82, 0xa1, b't', 0xcb, 0x40, 0x35, 0x80, 0, 0, 0, 0, 0, 0xa1, b'h', 0x28];
    assert_eq!(plain.values(from_python), [21.5, 40.0]);
    let items: [(&[u8], f64); 8] = [
        (&[0xca, 0x3f, 0xc0, 0, 0], 1.5),
        (&[0xcc, 200], 200.0),
        (&[0xcd, 1, 0], 256.0),
        (&[0xce, 0, 1, 0, 0], 65_536.0),
        (&[0xd0, 0x80], -128.0),
        (&[0xd1, 0xff, 0], -256.0),
        (&[0xd2, 0xff, 0xff, 0, 0], -65_536.0),
        (&[0xe0], -32.0),
    ];
    for (item, value) in items {
        let payload = [&[0x92, 0x01][..], item].concat();
        assert_eq!(plain.values(payload), [1.0, value], "{item:?}");
    }
}

#[test]
fn timestamps_of_messagepack_are_times() {
    let case = configured("format = \"msgpack\"\nfields = [\"t\"]\ntime = \"ts\"");
    let seconds = u32::try_from(T).unwrap().to_be_bytes();
    let four = [&[0xd6, 0xff][..], &seconds].concat();
    let both = (250_000_000_u64 << 34) | u64::try_from(T).unwrap();
    let eight = [&[0xd7, 0xff][..], &both.to_be_bytes()].concat();
    let twelve = [&[0xc7, 12, 0xff, 0, 0, 0, 0][..], &T.to_be_bytes()].concat();
    for (ext, micros) in [(four, 0), (eight, 250_000), (twelve, 0)] {
        let payload = [&[0x82, 0xa1, b't', 0x01, 0xa2, b't', b's'][..], &ext].concat();
        let read = case.read(payload).unwrap();
        assert_eq!(read.times, [Some(Timestamp(T * 1_000_000 + micros))]);
    }
}

#[test]
fn bad_messagepack_says_where() {
    let case = configured("format = \"msgpack\"\nfields = [\"t\", \"h\"]");
    let table: [(&[u8], &str); 6] = [
        (&[], "it ends too early (at byte 0 of 0)"),
        (&[0x92, 1], "it ends too early (at byte 2 of 2)"),
        (&[0x92, 1, 2, 3], "1 bytes follow it"),
        (&[0xc1], "0xc1 begins no item"),
        (&[0x92, 0xa1, 0xff, 1], "a text is not UTF-8"),
        (&[0xdd, 0xff, 0xff, 0xff, 0xff, 1], "it ends too early"),
    ];
    for (payload, why) in table {
        let message = case.message(payload);
        assert!(message.contains(why), "{payload:?}: {message}");
    }
    let nested = [&[0x81, 0xa1, b'x'][..], &[0x91; 100]].concat();
    assert_eq!(case.read(nested).unwrap_err().code(), "nesting");
}

#[test]
fn typed_arrays_of_cbor_are_samples() {
    let case = configured("format = \"cbor\"\nfields = [\"a\", \"b\"]\nsamples = \"s\"");
    let floats: Vec<u8> = [1_f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let typed = [&[0xa1, 0x61, b's', 0xd8, 85, 0x50][..], &floats].concat();
    let read = case.read(&typed).unwrap();
    assert_eq!((read.values, read.times.len()), (vec![1.0, 2.0, 3.0, 4.0], 2));
    let one = [0xa1, 0x61, b's', 0xd8, 73, 0x44, 0, 1, 0xff, 0xff];
    assert_eq!(case.values(one), [1.0, -1.0]);
    let three = [0xa1, 0x61, b's', 0xd8, 64, 0x43, 1, 2, 3];
    assert!(case.message(three).contains("numbers in a sample: got 3, the model takes 2"));
    let cut = [0xa1, 0x61, b's', 0xd8, 73, 0x43, 1, 2, 3];
    assert!(case.message(cut).contains("a typed array of 3 bytes"));
    let plain = cbor(r#"{"s":[1,2,3,4]}"#);
    assert!(case.message(plain).contains("numbers in a sample"), "a plain array is one sample");
    let by_field = configured("format = \"cbor\"\nfields = [\"a\", \"b\"]");
    let columns = [0xa2, 0x61, b'a', 0xd8, 64, 0x42, 1, 2, 0x61, b'b', 0xd8, 64, 0x42, 3, 4];
    assert_eq!(by_field.values(columns), [1.0, 3.0, 2.0, 4.0]);
    let nested = [0x82, 0xd8, 64, 0x42, 1, 2, 0xd8, 64, 0x42, 3, 4];
    assert_eq!(by_field.values(nested), [1.0, 2.0, 3.0, 4.0]);
    let matrix = [0xd8, 40, 0x82, 0x82, 2, 2, 0xd8, 64, 0x44, 1, 2, 3, 4];
    assert!(by_field.message(matrix).contains("multi-dimensional"));
    let decimals = [0x82, 0xc4, 0x82, 0x20, 0x18, 0xd7, 0xc4, 0x82, 0x01, 0x04];
    assert_eq!(by_field.values(decimals), [21.5, 40.0]);
}
