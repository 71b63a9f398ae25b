//! Devices that are named in the payload.

use super::{Case, case, cbor, json};
use crate::config::Format;

/// The device of each sample.
fn names(case: &Case, payload: impl AsRef<[u8]>) -> Vec<String> {
    let samples = case.read(payload).unwrap();
    let name = |sample| {
        let mut name = String::new();
        samples.devices.write(sample, &mut name);
        name
    };
    (0..samples.times.len()).map(name).collect()
}

#[test]
fn a_device_is_a_text_a_whole_number_or_a_boolean() {
    let table = [
        (r#""a7""#, "a7"),
        ("7", "7"),
        ("-7", "-7"),
        ("7.0", "7"),
        ("18446744073709551615", "18446744073709551615"),
        ("9007199254740993", "9007199254740993"),
        ("true", "true"),
        (r#""A4:C1:38""#, "A4:C1:38"),
        (r#""é 7""#, "é 7"),
    ];
    let named = json().device(&["id"]);
    for (value, name) in table {
        assert_eq!(names(&named, format!(r#"{{"id":{value},"a":1,"b":2}}"#)), [name]);
        assert_eq!(names(&named, format!(r#"{{"a":1,"b":2,"id":{value}}}"#)), [name]);
    }
    let in_cbor = case(Format::Cbor).device(&["/tag/id"]);
    assert_eq!(names(&in_cbor, cbor(r#"{"a":1,"tag":{"id":7},"b":2}"#)), ["7"]);
    let csv = case(Format::Csv).device(&["id"]);
    assert_eq!(names(&csv, "id,a,b\nx,1,2\n007,3,4"), ["x", "007"]);
    let by_place = case(Format::Csv).fields(&["/1", "/2"]).device(&["/0"]);
    assert_eq!(names(&by_place, "x,1,2\ny,3,4"), ["x", "y"]);
    assert_eq!(names(&json().fields(&["/1"]).device(&["/0"]), r#"[["x",1],["y",2]]"#), ["x", "y"]);
    assert_eq!(names(&json().whole(2).device(&["id"]), r#"{"id":"x","a":1,"b":2}"#), ["x"]);
}

#[test]
fn several_fields_name_one_device_and_two_names_are_never_one() {
    let named = json().device(&["model", "id"]);
    let name = |model: &str, id: &str| {
        let payload = serde_json::json!({"model": model, "id": id, "a": 1, "b": 2});
        names(&named, payload.to_string()).remove(0)
    };
    assert_eq!(name("Acurite-606TX", "12"), "Acurite-606TX,12");
    assert_ne!(name("a,b", "c"), name("a", "b,c"));
    assert_ne!(name("a%2Cb", "c"), name("a,b", "c"));
    assert_eq!(name("$SYS", "+/#"), "%24SYS,%2B%2F%23");
    let samples = json().samples("s").device(&["gw", "id"]);
    let payload = r#"{"s":[{"id":1,"a":1,"b":2},{"id":2,"gw":"own","a":1,"b":2}],"gw":"g"}"#;
    assert_eq!(names(&samples, payload), ["g,1", "own,2"]);
}

#[test]
fn a_device_that_is_missing_or_cannot_be_a_name_is_refused() {
    let named = json().device(&["id"]);
    let code = |value: &str| named.code(format!(r#"{{"id":{value},"a":1,"b":2}}"#));
    let long = format!("{:?}", "x".repeat(129));
    for bad in [
        "null",
        "\"\"",
        "7.5",
        "1e300",
        "18446744073709551616",
        "[1]",
        "{}",
        "\"a\\u0000\"",
        "\"a\\n\"",
        &long,
    ] {
        assert_eq!(code(bad), "bad-device", "{bad}");
    }
    assert_eq!(
        named.message(r#"{"a":1,"b":2}"#),
        "id is missing: send it, or correct payload.device"
    );
    assert_eq!(named.code("[1,2]"), "missing-field");
    assert_eq!(named.code(r#"[{"id":1,"a":1,"b":2},{"a":1,"b":2}]"#), "missing-field");
    assert_eq!(json().fields(&["a"]).device(&["id"]).code("7"), "missing-field");
    assert_eq!(
        named.message(r#"{"id":null,"a":1,"b":2}"#),
        "id is null, which cannot name a device: send a text, a whole number, true or false"
    );
    let rows = json().whole(4).device(&["id"]);
    assert_eq!(names(&rows, r#"[{"id":1,"a":1,"b":2},{"id":1,"a":3,"b":4}]"#), ["1"]);
    assert_eq!(rows.code(r#"[{"id":1,"a":1,"b":2},{"id":2,"a":3,"b":4}]"#), "syntax");
}
