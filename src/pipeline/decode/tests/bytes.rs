//! Binary numbers: of one type, or records of several, as the payload or in a field of a message.

use super::configured::configured;
use super::*;

const RECORD: [u8; 9] = [1, 0x32, 0x1d, 0x0d, 0x6b, 0xd7, 0x00, 0x90, 0x01];

#[test]
fn raw_numbers_come_in_every_type_and_order() {
    let one = |format: &str| configured(&format!("format = \"{format}\""));
    let table: &[(&str, &[u8], &[f64])] = &[
        ("i16be", &[0, 0xd7, 1, 0x90], &[215.0, 400.0]),
        ("u32le", &[0, 0, 0, 0, 1, 0, 0, 0x80], &[0.0, 2_147_483_649.0]),
        ("i24le", &[1, 0, 0, 0xff, 0xff, 0xff], &[1.0, -1.0]),
        ("i24be", &[0x80, 0, 0], &[-8_388_608.0]),
        ("i32be", &[0xff, 0xff, 0xff, 0xfe], &[-2.0]),
        ("u32be", &[0x80, 0, 0, 0], &[2_147_483_648.0]),
        ("i64le", &[5, 0, 0, 0, 0, 0, 0, 0], &[5.0]),
        ("i64be", &[0xff; 8], &[-1.0]),
        ("f32be", &[0x3f, 0xc0, 0, 0], &[1.5]),
        ("f64be", &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0], &[1.5]),
    ];
    for (format, payload, values) in table {
        assert_eq!(one(format).values(payload), *values, "{format}");
    }
    let message = one("i24be").message([1, 2, 3, 4]);
    let expected = "bytes of payload: got 4, the model takes 3 or a multiple (1 elements of i24be)";
    assert_eq!(message, expected);
    let nan = one("f32be").message([0x7f, 0xc0, 0, 0]);
    assert!(nan.contains("of sample 0 is not finite"), "{nan}");
}

#[test]
fn a_header_before_raw_numbers_is_passed_over() {
    let case = configured("format = \"i16le\"\nheader = 5").whole(2);
    assert_eq!(case.values(RECORD), [215.0, 400.0]);
    let message = case.message([1, 2, 3]);
    assert!(message.ends_with("4 (2 elements of i16) after a header of 5"), "{message}");
    let tensor = TensorPayload { name: "x".into(), dtype: Dtype::I16, len: 2 };
    let payload = Payload { header: 5, ..Payload::of(Format::Raw(Dtype::I16)) };
    let schema = PayloadSchema::new(&payload, Vec::new(), 2, true, Some(tensor));
    let mut out = Decoded::default();
    decoder_for(schema).decode(&RECORD, &mut out).unwrap();
    assert_eq!(*out.tensor_mut(Dtype::I16), crate::tensor::Data::I16(vec![215, 400]));
}

#[test]
fn records_of_mixed_numbers_are_samples() {
    let case = configured(
        r#"
        format = "bytes"
        fields = ["t", "h"]
        time = "at"
        bytes = { layout = ["u8 skip", "u32be at", "i16le t / 10", "u16le h * 0.1 - 40"] }
        "#,
    );
    let mut two = [1, 0x6b, 0x0d, 0x1d, 0x32, 0xd7, 0x00, 0x90, 0x01].repeat(2);
    two[11..14].copy_from_slice(&[0x0d, 0x1d, 0x33]);
    let read = case.read(&two).unwrap();
    assert_eq!(read.values, [21.5, 0.0, 21.5, 0.0]);
    let at = Timestamp(1_796_021_554_000_000);
    assert_eq!(read.times, [Some(at), Some(Timestamp(at.0 + 1_000_000))]);
    let message = case.message([0; 10]);
    assert_eq!(message, "bytes: got 10, the model takes records of 9 bytes (payload.bytes.layout)");
    assert!(case.message([0; 9]).contains("earliest"), "a clock that is not set");
    assert!(case.message([]).starts_with("bytes: got 0"));
}

#[test]
fn records_may_be_text_and_behind_a_header_and_name_the_device() {
    let case = configured(
        r#"
        format = "bytes"
        header = 2
        fields = ["t"]
        device = "id"
        bytes = { encoding = "hex", layout = ["u16be id", "u8[2] skip", "i24be t / 1000 + 1"] }
        "#,
    );
    let read = case.read("ffff 0007aaaa 0003e8 0008aaaa fffc18").unwrap();
    assert_eq!(read.values, [2.0, 0.0]);
    assert_eq!(read.devices(), ["7", "8"]);
    assert_eq!(case.message("fffg"), "payload is not hexadecimal: character 3 is not hexadecimal");
}

#[test]
fn a_whole_input_may_be_records() {
    let case = configured(
        "format = \"bytes\"\nfields = [\"b\", \"a\"]\nbytes = { layout = [\"u8 a\", \"i8 b\"] }",
    );
    let read = case.whole(4).read([1, 255, 2, 254]).unwrap();
    assert_eq!((read.order, read.values), (ValueOrder::Rows, vec![-1.0, 1.0, -2.0, 2.0]));
}

const UPLINK: &str =
    r#"{"deviceInfo":{"devEui":"24e1"},"time":"2026-11-30T06:52:34Z","fPort":2,"data":"ANcBkA=="}"#;

fn lorawan(more: &str) -> configured::Configured {
    configured(&format!(
        r#"
        format = "json"
        fields = ["t", "h"]
        time = "time"
        device = "/deviceInfo/devEui"
        bytes = {{ at = "/data", encoding = "base64", layout = ["i16be t / 10", "u16be h"] }}
        {more}
        "#
    ))
}

#[test]
fn bytes_in_a_field_of_json_are_samples_with_the_time_and_device_around_them() {
    let read = lorawan("").read(UPLINK).unwrap();
    assert_eq!(read.values, [21.5, 400.0]);
    assert_eq!(read.times, [Timestamp::parse("2026-11-30T06:52:34Z")]);
    assert_eq!(read.devices(), ["24e1"]);
    let burst = UPLINK.replace("ANcBkA==", "ANcBkADYAZE");
    let read = lorawan("").read(burst).unwrap();
    assert_eq!((read.values, read.times.len()), (vec![21.5, 400.0, 21.6, 401.0], 2));
    let several = lorawan("").read(format!("[{UPLINK},{}]", UPLINK.replace("24e1", "24e2")));
    assert_eq!(several.unwrap().devices(), ["24e1", "24e2"]);
    let enveloped = lorawan("samples = \"/up/list\"");
    let list = r#""up":{"list":[{"data":"ANcBkA"},{"data":"ANcBkA"}]}"#;
    let text = format!(r#"{{{list},"deviceInfo":{{"devEui":"x"}},"time":1796021554}}"#);
    let read = enveloped.read(text).unwrap();
    assert_eq!((read.devices(), read.times.len()), (vec!["x".to_owned(), "x".to_owned()], 2));
    assert!(read.times.iter().all(|time| *time == Some(Timestamp(1_796_021_554_000_000))));
}

#[test]
fn bytes_that_are_not_there_or_none_say_so() {
    let table = [
        (r#""ANcBkA==""#, r#""AN""#, "bytes: got 1, the model takes records of 4 bytes"),
        (r#""ANcBkA==""#, r#""A!""#, "payload is not base64: character 1 is not base64"),
        (r#""ANcBkA==""#, "7", "/data (payload.bytes.at) is 7"),
        (r#""ANcBkA==""#, "[1]", "/data (payload.bytes.at) is an array"),
        (r#""ANcBkA==""#, r#""""#, "/data is missing: send it, or correct payload.bytes.at"),
        (r#","data""#, r#","frm""#, "/data is missing: send it, or correct payload.bytes.at"),
        (r#""24e1""#, "null", "is null, which cannot name a device"),
        (r#""time":"2"#, r#""time":"x"#, "not a time"),
        (r#"{"dev"#, r#"{{"dev"#, "payload is not JSON"),
    ];
    for (from, to, why) in table {
        let message = lorawan("").message(UPLINK.replacen(from, to, 1));
        assert!(message.contains(why), "{to}: {message}");
    }
    let skipped = lorawan("missing = \"skip\"").read(UPLINK.replace("ANcBkA==", "")).unwrap();
    assert_eq!((skipped.times.len(), skipped.skipped), (0, 1));
}

#[test]
fn bytes_of_cbor_need_no_encoding() {
    let case = configured(
        "format = \"cbor\"\nfields = [\"t\"]\nbytes = { at = \"d\", layout = [\"i16be t / 10\"] }",
    );
    let bytes = |tag: &[u8]| [&[0xa1, 0x61, b'd'], tag, &[0x42, 0, 0xd7]].concat();
    assert_eq!(case.values(bytes(&[])), [21.5]);
    assert_eq!(case.values(bytes(&[0xd8, 0x40])), [21.5], "a tag is passed over");
    assert!(case.message(cbor(r#"{"d":"ANc="}"#)).contains("is the text"));
}

proptest! {
    #[test]
    fn any_bytes_are_records_or_refused(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        let layout = r#"bytes = { layout = ["f32be a", "u24le skip", "f16le b * 3"] }"#;
        let case = configured(&format!("format = \"bytes\"\nfields = [\"a\", \"b\"]\n{layout}"));
        if let Ok(read) = case.read(&payload) {
            prop_assert_eq!(read.times.len() * 9, payload.len());
        }
        let text = String::from_utf8_lossy(&payload);
        let device = serde_json::json!({ "devEui": 1 });
        let json = serde_json::json!({ "data": text, "time": 1_796_021_554, "deviceInfo": device });
        let _read = lorawan("").read(json.to_string());
        let _read = lorawan("").read(&payload);
    }
}
