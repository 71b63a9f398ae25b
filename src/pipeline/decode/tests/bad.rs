//! Payloads that no model should see.

use super::{case, cbor, json};
use crate::config::Format;

#[test]
fn bad_json_is_rejected_by_reason() {
    let deep = format!(r#"{{"a":1,"b":2,"x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    let table: Vec<(&str, &str)> = vec![
        ("", "syntax"),
        (r#"{"a":1,"b""#, "syntax"),
        (r#"{"a":1,"b":2} x"#, "syntax"),
        (r#"{"a":1,,"b":2}"#, "syntax"),
        ("nonsense", "syntax"),
        (&deep, "nesting"),
        (r#"{"a":1}"#, "missing-field"),
        ("{}", "missing-field"),
        (r#"{"a":1,"b":"2"}"#, "not-a-number"),
        (r#"{"a":1,"b":null}"#, "not-a-number"),
        (r#"{"a":1,"b":[2]}"#, "not-a-number"),
        (r#"{"a":1,"b":{"c":2}}"#, "not-a-number"),
        (r#""text""#, "not-a-number"),
        ("null", "not-a-number"),
        (r#"["x",1]"#, "not-a-number"),
        (r#"[[1,2],"x"]"#, "not-a-number"),
        (r#"{"a":NaN,"b":2}"#, "not-finite"),
        (r#"{"a":1,"b":-Infinity}"#, "not-finite"),
        (r#"{"a":1,"b":1e999}"#, "not-finite"),
        (r#"{"a":1,"b":1e39}"#, "not-finite"),
        ("[1]", "wrong-length"),
        ("[1,2,3]", "wrong-length"),
        ("[[1,2],[3]]", "wrong-length"),
        ("[]", "wrong-length"),
        ("7", "wrong-length"),
        ("[1,[2]]", "syntax"),
        ("[[1,2],3]", "syntax"),
        (r#"[1,{"a":1,"b":2}]"#, "syntax"),
    ];
    for (payload, code) in table {
        assert_eq!(json().code(payload), code, "{payload}");
    }
    assert_eq!(json().code(b"{\"a\":\"\xff\"}"), "not-utf8");
    assert_eq!(json().samples("s").code(r#"{"a":1,"b":2}"#), "missing-field");
    assert_eq!(json().samples("s").code(r#"{"s":{"a":1,"b":2}}"#), "not-a-number");
    assert_eq!(json().fields(&[]).whole(2).code(r#"{"a":1,"b":2}"#), "syntax");
    assert_eq!(json().time("t").code(r#"{"a":1,"b":2}"#), "missing-field");
    assert_eq!(json().time("t").code(r#"{"a":1,"b":2,"t":"noon"}"#), "bad-time");
    assert_eq!(json().time("t").code(r#"{"a":1,"b":2,"t":null}"#), "bad-time");
    assert_eq!(json().whole(4).code("[1,2,3,4,5]"), "wrong-length");
    assert_eq!(json().whole(4).code(r#"{"a":[1,2],"b":[]}"#), "missing-field");
}

#[test]
fn a_reject_says_what_is_wrong_where_and_what_to_do() {
    assert_eq!(
        json().message(r#"{"c":1}"#),
        "a and b are missing: send them, or correct payload.fields, or set payload.missing"
    );
    assert_eq!(
        json().message(r#"{"a":"1","b":2}"#),
        "a is the text \"1\", not a number: send it without quotes, or set payload.numbers = \
         \"lenient\""
    );
    assert_eq!(
        json().message(r#"{"a":1"#),
        "payload is not JSON: it ends too early, after 6 bytes"
    );
    assert_eq!(
        json().message("{\"a\":1,\n\"b\":NaN}"),
        "the number at byte 12 is not finite in 32 bits (NaN, infinite or too large): leave such \
         readings out, or set payload.missing"
    );
}

#[test]
fn bad_cbor_is_rejected_by_reason() {
    let cbor_case = || case(Format::Cbor);
    let good = cbor(r#"{"a":1,"b":2}"#);
    for end in 0..good.len() {
        assert_eq!(cbor_case().code(&good[..end]), "syntax", "cut at {end}");
    }
    assert_eq!(cbor_case().code([good.as_slice(), &[0]].concat()), "syntax");
    let deep = [vec![0xa3, 0x61, b'a', 1, 0x61, b'b', 2, 0x61, b'x'], vec![0x81; 100], vec![0]];
    assert_eq!(cbor_case().code(deep.concat()), "nesting");
    assert_eq!(cbor_case().code([0x82, 0x01, 0xf9, 0x7e, 0x00]), "not-finite");
    assert_eq!(cbor_case().code([0x82, 0x01, 0x42, 0x00, 0x00]), "not-a-number");
    assert_eq!(cbor_case().code([0x82, 0x01, 0x61, 0xff]), "syntax");
    assert_eq!(cbor_case().code([0xff]), "syntax");
    // A length of 2^60 elements or bytes is not believed.
    assert_eq!(cbor_case().code([0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2]), "syntax");
    assert_eq!(cbor_case().code([0x5b, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2]), "syntax");
}

#[test]
fn cbor_of_its_own_kind_is_read() {
    let cbor_case = || case(Format::Cbor);
    // Indefinite lengths, half floats, a segmented text, tags, numbers for names, big negatives.
    assert_eq!(cbor_case().values([0x9f, 0x01, 0xf9, 0x3c, 0x00, 0xff]), [1.0, 1.0]);
    let segmented = [0xbf, 0x7f, 0x61, b'a', 0xff, 0x01, 0x61, b'b', 0xc1, 0x02, 0xff];
    assert_eq!(cbor_case().values(segmented), [1.0, 2.0]);
    let numbered = [0xa2, 0x03, 0x20, 0x04, 0x39, 0x01, 0x00];
    assert_eq!(cbor_case().fields(&["3", "4"]).values(numbered), [-1.0, -257.0]);
    let tagged =
        [0xa3, 0x61, b'a', 1, 0x61, b'b', 2, 0x61, b't', 0xc1, 0x1a, 0x6b, 0x02, 0xbc, 0x60];
    assert!(cbor_case().time("t").read(tagged).unwrap().times[0].is_some());
}

#[test]
fn depth_and_count_are_bounded() {
    let one = json().fields(&["a"]);
    let many = |n: usize| format!("[{}0]", "0,".repeat(n - 1));
    assert_eq!(one.values(many(65_536)).len(), 65_536);
    assert_eq!(one.code(many(65_537)), "too-many-samples");
    for open in ["{\"x\":", "{\"x\":["] {
        let deep = open.repeat(100_000);
        assert_eq!(json().code(&deep), "nesting", "{open}");
        assert_eq!(json().whole(4).code(&deep), "nesting", "{open}");
    }
    assert_eq!(json().code("[".repeat(100_000)), "not-a-number");
    assert_eq!(json().whole(4).code("[".repeat(100_000)), "nesting");
    let level = |n: usize| format!("{{\"a\":1,\"b\":2,\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(json().read(level(31)).is_ok());
    assert_eq!(json().code(level(32)), "nesting");
}
