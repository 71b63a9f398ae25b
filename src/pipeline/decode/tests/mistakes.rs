//! What a reject says of each kind of value, and numbers that are the whole payload.

use super::{SECOND, case, cbor, json};
use crate::clock::Timestamp;
use crate::config::Format;

#[test]
fn a_bare_number_is_a_sample_or_a_whole_input_of_one_number() {
    for text in ["21.5", " 21.5\n", "2.15e1"] {
        for one in
            [json().fields(&["v"]), json().fields(&["v"]).whole(1), json().fields(&[]).whole(1)]
        {
            assert_eq!(one.values(text), [21.5], "{text:?} {one:?}");
        }
    }
    assert_eq!(json().fields(&["v"]).whole(1).values("true"), [1.0]);
    let one = |format| case(format).fields(&["v"]);
    for case in [one(Format::Cbor), one(Format::Cbor).whole(1)] {
        assert_eq!(case.values([0xf9, 0x3c, 0x00]), [1.0]);
        assert_eq!(case.values([0x18, 0x2a]), [42.0]);
    }
    assert_eq!(one(Format::Csv).values("21.5\n"), [21.5]);
    assert_eq!(one(Format::Csv).whole(1).values(" 21.5 "), [21.5]);
    assert_eq!(json().whole(3).message("21.5"), "numbers in the message: got 1, the model takes 3");
    assert!(json().fields(&["/0"]).message("21.5").contains("payload.fields names places"));
    assert_eq!(
        json().fields(&["v"]).whole(1).time("t").message("21.5"),
        "t is missing: send it, or correct payload.time"
    );
}

#[test]
fn what_is_nearly_a_number_is_named() {
    let table = [
        (
            "21,5",
            "payload is not JSON: 21,5 has a decimal comma: send 21.5, or set payload.numbers",
        ),
        (
            "21.5 22.5",
            "payload is not JSON: it is 2 numbers side by side: send an array, [21.5, …], or one \
             number a message",
        ),
        (
            "21.5 °C",
            "payload is not JSON: it is the number 21.5 with \"°C\" behind it: send the number \
             alone, or set payload.numbers",
        ),
        (
            "21.5°C",
            "payload is not JSON: it is the number 21.5 with \"°C\" behind it: send the number \
             alone, or set payload.numbers",
        ),
        (
            "40%",
            "payload is not JSON: it is the number 40 with \"%\" behind it: send the number alone, \
             or set payload.numbers",
        ),
        (
            "\"21.5\"",
            "the payload is the text \"21.5\", not a number: send it without quotes, or set \
             payload.numbers = \"lenient\"",
        ),
        (
            "\"21,5\"",
            "the payload is the text \"21,5\", not a number: send it with a decimal point, or set \
             payload.numbers = \"lenient\"",
        ),
        (
            "\"ON\"",
            "the payload is the text \"ON\", not a number: send a number, or name the text in \
             payload.words or payload.missing_values",
        ),
        (
            "\"\"",
            "the payload is an empty text, not a number: send a number, or set payload.missing",
        ),
        ("null", "the payload is null, not a number: send a number, or set payload.missing"),
        ("", "payload is not JSON: it is empty"),
        (" \n", "payload is not JSON: it is empty"),
        ("{'v': 1}", "payload is not JSON: it has single quotes: JSON has double quotes"),
        (
            "NaN",
            "the number at byte 0 is not finite in 32 bits (NaN, infinite or too large): leave \
             such readings out, or set payload.missing",
        ),
    ];
    for one in [json().fields(&["v"]), json().fields(&["v"]).whole(1)] {
        for (payload, message) in table {
            assert_eq!(one.message(payload), message, "{one:?}");
        }
    }
}

#[test]
fn csv_has_no_decimal_commas() {
    for one in [case(Format::Csv).fields(&["v"]), case(Format::Csv).fields(&["v"]).whole(1)] {
        let comma = one.message("21,5");
        assert!(comma.contains("got 2, the model takes 1; write 21.5 rather than 21,5"), "{comma}");
        assert_eq!(
            one.message("21.5 °C"),
            "v is the text \"21.5 °C\", not a number: send a number alone, or set payload.numbers \
             = \"lenient\""
        );
        assert!(one.message("21.5;22.5").ends_with("what separates the columns of CSV"));
    }
}

#[test]
fn every_kind_of_value_has_its_words_and_counts() {
    let field = |value: &str| json().message(format!(r#"{{"a":1,"b":{value}}}"#));
    assert_eq!(field("null"), "b is null, not a number: send a number, or set payload.missing");
    assert_eq!(field("[2]"), "b is an array, not a number: send one number");
    assert_eq!(
        field(r#"{"value":2}"#),
        "b is an object, not a number: name the number in it in payload.fields, as in \
         \"/field/value\""
    );
    let bytes = |value: &[u8]| {
        let head: &[u8] = &[0xa2, 0x61, b'a', 1, 0x61, b'b'];
        case(Format::Cbor).message([head, value].concat())
    };
    assert_eq!(
        bytes(&[0x43, 1, 2, 3]),
        "b is a byte string of 3 bytes, not a number: send a number"
    );
    assert_eq!(bytes(&[0x41, 1]), "b is a byte string of 1 byte, not a number: send a number");
    assert_eq!(
        bytes(&[0x5f, 0x42, 1, 2, 0x41, 3, 0xff]),
        "b is a byte string of 3 bytes, not a number: send a number"
    );
    let typed = [&[0xd8, 85, 0x48][..], &[0; 8]].concat();
    assert_eq!(bytes(&typed), "b is an array, not a number: send one number");
    let cut = [&[0xd8, 85, 0x43][..], &[0; 3]].concat();
    assert_eq!(
        bytes(&cut),
        "b is a typed array of 3 bytes, not a number: send numbers of up to 64 bits, none cut off"
    );
    let long = [&[0x59, 0x01, 0x2c][..], &[7; 300]].concat();
    assert!(bytes(&long).contains("300 bytes"));
    assert_eq!(bytes(&[0xf7]), "b is null, not a number: send a number, or set payload.missing");
    assert_eq!(json().message("[1,2,3]"), "numbers in a sample: got 3, the model takes 2");
    assert_eq!(
        json().message("[1,2,3,4,5]"),
        "numbers in a sample: got at least 4, the model takes 2"
    );
    assert_eq!(
        json().time("t").message("[1795341600,2,3,4,5]"),
        "numbers in a sample: got at least 4, the model takes 2"
    );
    assert_eq!(
        json().whole(4).message("[1,2,3]"),
        "numbers in the message: got 3, the model takes 4"
    );
    assert_eq!(
        json().message(r#"{"a":1}"#),
        "b is missing: send it, or correct payload.fields, or set payload.missing"
    );
    assert_eq!(
        json().samples("s").message("{}"),
        "the array of samples is missing: send it, or correct payload.samples"
    );
    assert_eq!(
        json().message([0x1f, 0x8b, 8, 0]),
        "byte 1 of the payload is not UTF-8: it is compressed with gzip, set payload.compression"
    );
}

#[test]
fn what_cannot_be_a_time_is_refused_by_name() {
    let timed = |time: &str| json().time("t").read(format!(r#"{{"a":1,"b":2,"t":{time}}}"#));
    for bad in [
        "true",
        "false",
        "null",
        "\"\"",
        "\"  \"",
        "[1795341600]",
        "{\"$date\":1}",
        "\"noon\"",
        "0",
        "\"0\"",
        "-1",
        "12345.678",
        "86400000",
        "252207918580802",
        "946684805",
        "\"1970-01-01T00:00:07Z\"",
        "\"2000-01-01T00:00:07Z\"",
        "\"1999-12-31T23:59:59Z\"",
        "4102444800",
        "99999999999",
        "\"2100-01-01T00:00:00Z\"",
        "\"9999-12-31T23:59:59Z\"",
        "1e15",
    ] {
        assert_eq!(timed(bad).unwrap_err().code(), "bad-time", "{bad}");
    }
    for good in
        ["1795341600", "1795341600000", "1795341600000000", "1795341600000000000", "\"1795341600\""]
    {
        assert_eq!(timed(good).unwrap().times, [Some(SECOND)], "{good}");
    }
    let day = Timestamp::parse("2020-01-01T00:00:00Z");
    assert_eq!(timed("1577836800").unwrap().times, [day]);
    assert_eq!(
        timed("12345.678").unwrap_err().to_string(),
        "t is 12345.678, as a time 1970-01-01T03:25:45.678Z, before payload.earliest \
         (2020-01-01T00:00:00.000Z): an uptime or a clock that was not set cannot date a sample; \
         set the device's clock, or leave payload.time out so that samples are dated by their \
         arrival; payload.clock = \"device\" takes uptimes"
    );
    assert_eq!(
        timed("true").unwrap_err().to_string(),
        "t is true, not a time: send RFC 3339 text or a number since 1970 (s, ms, us, ns)"
    );
    assert_eq!(case(Format::Csv).time("t").code("12345,1,2"), "bad-time");
    assert_eq!(case(Format::Csv).time("t").code("t,a,b\n,1,2"), "bad-time");
    assert_eq!(json().time("t").code("[12345,1,2]"), "bad-time");
    let mut tagged = case(Format::Cbor).time("t");
    tagged.format = Format::Cbor;
    assert_eq!(tagged.code(cbor(r#"{"a":1,"b":2,"t":0}"#)), "bad-time");
    assert_eq!(json().samples("s").time("t").code(r#"{"t":7,"s":[[1,2]]}"#), "bad-time");
}
