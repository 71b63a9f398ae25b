//! Lists of names and values, SenML and line protocol.

use super::binary_formats::msgpack;
use super::configured::configured;
use super::*;

const T: i64 = 1_796_021_554;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp(seconds * 1_000_000))
}

fn list(more: &str) -> configured::Configured {
    let records = "records = { name = \"id\", value = \"v\", time = \"t\" }";
    configured(&format!("fields = [\"t\", \"h\"]\n{records}\n{more}"))
}

#[test]
fn records_of_one_name_each_are_a_sample() {
    let text = format!(
        r#"[{{"v":40,"id":"h","t":{}}},{{"id":"x"}},{{"id":"t","v":21.5,"t":{T}}}]"#,
        T + 1
    );
    let read = list("").read(&text).unwrap();
    assert_eq!((read.values, read.times), (vec![21.5, 40.0], vec![at(T + 1)]));
    let mut packed = list("");
    for (format, bytes) in [("cbor", cbor(&text)), ("msgpack", msgpack(&text))] {
        packed = list(&format!("format = \"{format}\""));
        assert_eq!(packed.values(&bytes), [21.5, 40.0], "{format}");
    }
    assert_eq!(packed.whole(2).read(msgpack(&text)).unwrap().order, ValueOrder::Columns);
}

#[test]
fn records_of_a_name_that_comes_again_are_samples_by_time() {
    type Row = (&'static [(&'static str, f64, i64)], &'static [f64], &'static [i64]);
    let record = |id: &str, v: f64, t: i64| format!(r#"{{"id":"{id}","v":{v},"t":{}}}"#, T + t);
    let table: [Row; 3] = [
        (
            &[("t", 1.0, 0), ("t", 2.0, 1), ("h", 3.0, 0), ("h", 4.0, 1)],
            &[1.0, 3.0, 2.0, 4.0],
            &[0, 1],
        ),
        (
            &[("h", 4.0, 9), ("t", 1.0, 5), ("t", 2.0, 9), ("h", 3.0, 5)],
            &[1.0, 3.0, 2.0, 4.0],
            &[5, 9],
        ),
        // Two samples of one second.
        (
            &[("t", 1.0, 0), ("h", 3.0, 0), ("t", 2.0, 0), ("h", 4.0, 0)],
            &[1.0, 3.0, 2.0, 4.0],
            &[0, 0],
        ),
    ];
    for (records, values, times) in table {
        let text: Vec<_> = records.iter().map(|(id, v, t)| record(id, *v, *t)).collect();
        let read = list("").read(format!("[{}]", text.join(","))).unwrap();
        assert_eq!(read.values, values, "{records:?}");
        assert_eq!(read.times, times.iter().map(|t| at(T + t)).collect::<Vec<_>>());
    }
    // A sample that lacks a value is treated as `missing` says.
    let text = format!("[{},{},{}]", record("t", 1.0, 0), record("h", 2.0, 0), record("t", 3.0, 1));
    assert!(list("").message(&text).contains("h is missing"));
    let skipped = list("missing = \"skip\"").read(&text).unwrap();
    assert_eq!((skipped.values, skipped.skipped), (vec![1.0, 2.0], 1));
}

#[test]
fn the_time_and_the_device_may_be_around_the_records() {
    let kepware = configured(
        r#"
        fields = ["Ch.D.t", "Ch.D.h"]
        samples = "values"
        time = "timestamp"
        device = "gateway"
        records = { name = "id", value = "v" }
        "#,
    );
    let records = r#"{"id":"Ch.D.t","v":21.5,"q":true,"t":9},{"id":"Ch.D.h","v":40,"t":1}"#;
    let text = format!(r#"{{"gateway":"k1","timestamp":{T}250,"values":[{records}]}}"#);
    let read = kepware.read(&text).unwrap();
    assert_eq!((read.devices(), read.values.clone()), (vec!["k1".to_owned()], vec![21.5, 40.0]));
    assert_eq!(read.times, [Some(Timestamp(T * 1_000_000 + 250_000))]);
    let devices = configured(
        r#"
        fields = ["t"]
        device = "/d/0"
        records = { name = "/p", value = ["/v/double", "/v/int"] }
        "#,
    );
    let text = r#"[{"d":["a"],"p":"t","v":{"double":1.5}},{"d":["b"],"p":"t","v":{"int":2}}]"#;
    let read = devices.read(text).unwrap();
    assert_eq!((read.devices().join(""), read.values), ("ab".to_owned(), vec![1.5, 2.0]));
}

#[test]
fn messages_that_are_about_something_else_are_passed_over() {
    let case = list("where = { \"/0/k\" = 1 }\nformat = \"msgpack\"");
    let text =
        |kind: u8| format!(r#"[{{"k":{kind},"id":"t","v":1,"t":{T}}},{{"id":"h","v":2,"t":{T}}}]"#);
    assert_eq!(case.values(msgpack(&text(1))), [1.0, 2.0]);
    let other = case.read(msgpack(&text(2))).unwrap();
    assert_eq!((other.values.len(), other.skipped), (0, 1));
    let bytes = configured(
        "fields = [\"t\"]\nwhere = { fPort = 2 }\n\
         bytes = { at = \"d\", encoding = \"hex\", layout = [\"u8 t\"] }",
    );
    assert_eq!(bytes.values(r#"{"fPort":2,"d":"07"}"#), [7.0]);
    assert_eq!(bytes.read(r#"{"fPort":0,"d":""}"#).unwrap().skipped, 1);
}

#[test]
fn values_of_records_are_numbers_as_elsewhere() {
    let of = |value: &str| {
        format!(r#"[{{"id":"t","v":{value},"t":{T}}},{{"id":"h","v":true,"t":{T}}}]"#)
    };
    let message = list("").message(of("\"21.5 C\""));
    assert!(message.contains("t is the text \"21.5 C\", not a number"), "{message}");
    assert_eq!(list("numbers = \"lenient\"").values(of("\"21.5 C\"")), [21.5, 1.0]);
    assert!(list("").message(of("null")).contains("t is null"));
    assert!(list("").message(of("[1]")).contains("t is an array"));
    let held = list("missing = { t = \"hold\" }\nhold = \"1m\"").read(of("null")).unwrap();
    assert!(held.has_holes && held.values[0].is_nan() && held.values[1] == 1.0);
    assert!(list("").message("[]").contains("t and h are missing"));
    assert!(list("").message("[1]").contains("its records are no objects"));
    assert!(list("").message(r#"[{"id":"t","v":1,"t":12}]"#).contains("earliest"));
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    assert_eq!(list("").read(deep).unwrap_err().code(), "nesting");
}

const PACK: &str =
    r#"[{"bn":"dev1:","bt":1796021554,"n":"t","u":"Cel","v":21.5},{"n":"h","u":"%RH","v":40}]"#;

fn senml(more: &str) -> configured::Configured {
    configured(&format!("format = \"senml\"\nfields = [\"t\", \"h\"]\n{more}"))
}

#[test]
fn senml_packs_are_resolved() {
    let read = senml("").read(PACK).unwrap();
    assert_eq!((read.values, read.times), (vec![21.5, 40.0], vec![at(T)]));
    let read = senml("device = \"bn\"").read(PACK).unwrap();
    assert_eq!(read.devices(), ["dev1"]);
    let full = configured("format = \"senml\"\nfields = [\"dev1:h\", \"dev1:t\"]");
    assert_eq!(full.values(PACK), [40.0, 21.5]);
    // RFC 8428, 5.1.3: times that count from a base, a base value, booleans.
    let pack = format!(
        r#"[{{"bn":"d/","bt":{T},"bv":20,"n":"t","v":1.5,"t":-5}},{{"n":"h","vb":true,"t":-5}},
        {{"n":"t","v":2}},{{"n":"h","vb":false}},{{"bn":"e/","n":"t","v":3,"t":1}},{{"n":"h","v":4,"t":1}}]"#
    );
    let read = senml("device = \"bn\"").read(&pack).unwrap();
    assert_eq!(read.values, [21.5, 1.0, 22.0, 0.0, 23.0, 24.0]);
    assert_eq!(read.times, [at(T - 5), at(T), at(T + 1)]);
    assert_eq!(read.devices(), ["d", "d", "e"]);
}

#[test]
fn senml_in_cbor_has_numbers_for_labels() {
    // [{-2: "dev1:", -3: 1796021554, 0: "t", 2: 21.5}, {0: "h", 2: 4([-1, 400])}]
    let mut pack = vec![0x82, 0xa4, 0x21, 0x65, b'd', b'e', b'v', b'1', b':', 0x22, 0x1a];
    pack.extend(u32::try_from(T).unwrap().to_be_bytes());
    pack.extend([0x00, 0x61, b't', 0x02, 0xf9, 0x4d, 0x60]);
    pack.extend([0xa2, 0x00, 0x61, b'h', 0x02, 0xc4, 0x82, 0x20, 0x19, 0x01, 0x90]);
    let read = senml("").read(pack).unwrap();
    assert_eq!((read.values, read.times), (vec![21.5, 40.0], vec![at(T)]));
    assert_eq!(senml("").values(cbor(PACK)), [21.5, 40.0], "labels may be texts");
}

#[test]
fn senml_times_that_count_from_now_are_dated_by_the_arrival() {
    let mut decoder = senml("").decoder();
    let mut out = Decoded::default();
    decoder.begin("t", at(T).unwrap());
    let pack =
        r#"[{"n":"t","v":1,"t":-10},{"n":"h","v":2,"t":-10},{"n":"t","v":3},{"n":"h","v":4}]"#;
    decoder.decode(pack.as_bytes(), &mut out).unwrap();
    assert_eq!(out.samples_mut().values, [3.0, 4.0, 1.0, 2.0]);
    assert_eq!(out.samples_mut().times, [None, at(T - 10)]);
}

#[test]
fn senml_that_cannot_be_read_says_why() {
    let table = [
        (r#"[{"n":"t","s":5},{"n":"h","v":1}]"#, "t has a sum (s) and no value"),
        (r#"[{"bver":11,"n":"t","v":5}]"#, "version (bver) is later than 10"),
        (r#"[{"n":"t","v":5,"x_":1}]"#, "a label that ends with _"),
        (r#"[{"n":5,"v":5}]"#, "n is 5, not a text"),
        (r#"[{"n":"t","v":5,"t":"now"}]"#, "t is the text \"now\", not a number"),
        (r#"[{"n":"t","vs":"high"}]"#, "t is the text \"high\", not a number"),
        (r#"[{"n":"t","v":5}]"#, "h is missing"),
        (r#"{"n":"t","v":5}"#, "expected an array of SenML records"),
        (r#"[[1]]"#, "expected a SenML record"),
        (r#"[{"n":"t","v":5,"bt":1e300}]"#, "not a time"),
        ("", "it is empty"),
    ];
    for (pack, why) in table {
        let message = senml("").message(pack);
        assert!(message.contains(why), "{pack}: {message}");
    }
    let mut nested = vec![0x81, 0xa1, 0x61, b'x'];
    nested.extend([0x81; 60_000]);
    assert!(senml("").message(nested).contains("nested too deeply"));
}

fn influx(more: &str) -> configured::Configured {
    configured(&format!("format = \"influx\"\nfields = [\"t\", \"h\"]\n{more}"))
}

#[test]
fn line_protocol_gives_fields_times_and_tags() {
    let read = influx("").read(format!("room,site=a t=21.5,h=40i {T}250000000\n")).unwrap();
    assert_eq!(read.values, [21.5, 40.0]);
    assert_eq!(read.times, [Some(Timestamp(T * 1_000_000 + 250_000))]);
    let text = format!(
        "# a comment\n\nclimate,site=shed\\ 2,host=x \
         t=1,note=\"a \\\"b\\\", c=\n 1 2\",h=2u {T}000000000\r\n\
         climate,host=x,site=b h=t,t=-3e1 {}000000000",
        T + 1
    );
    let read = influx("device = [\"site\", \"host\"]").read(text).unwrap();
    assert_eq!(read.values, [1.0, 2.0, -30.0, 1.0]);
    assert_eq!(read.devices(), ["shed 2,x", "b,x"]);
    assert_eq!(read.times, [at(T), at(T + 1)]);
    let seconds = influx("time_unit = \"s\"").read(format!("m t=1,h=2 {T}")).unwrap();
    assert_eq!(seconds.times, [at(T)]);
    assert_eq!(influx("").read("m t=1,h=2").unwrap().times, [None]);
}

#[test]
fn fields_of_line_protocol_may_be_of_one_measurement() {
    let both = configured("format = \"influx\"\nfields = [\"/cpu/usage\", \"/mem\\\\,1/usage\"]");
    let text =
        "cpu,host=a usage=1 1796021554000000000\nmem\\\\\\,1,host=a usage=2 1796021554000000000";
    let read = both.read(text).unwrap();
    assert_eq!((read.values, read.times), (vec![1.0, 2.0], vec![at(T)]));
}

#[test]
fn bad_line_protocol_says_where() {
    let table = [
        ("m", "a name or a value is missing in line 1"),
        ("m t=1,h=2\nm,site t=1", "in line 2"),
        ("m t", "in line 1"),
        ("m t=", "the value of a field is none"),
        ("m t=1i5,h=2", "the value of a field is none"),
        ("m t=\"1,h=2", "a quote is missing"),
        ("m t=1,h=2 noon", "the timestamp is no whole number"),
        ("m t=1,h=2 5", "earliest"),
        ("m t=\"x\",h=1", "t is the text \"x\""),
        ("m t=1", "h is missing"),
        ("m t=\"a\"b", "a comma or a space is missing"),
        ("", "t and h are missing"),
    ];
    for (text, why) in table {
        let message = influx("").message(text);
        assert!(message.contains(why), "{text:?}: {message}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_samples_or_refused(payload in prop::collection::vec(any::<u8>(), 0..80)) {
        for format in ["json", "cbor", "msgpack"] {
            let _read = list(&format!("format = \"{format}\"")).read(&payload);
        }
        let msgpack = configured("format = \"msgpack\"\nfields = [\"t\", \"h\"]");
        for case in [senml(""), influx(""), msgpack] {
            if let Ok(read) = case.read(&payload) {
                prop_assert_eq!(read.times.len() * 2, read.values.len());
            }
        }
    }

    #[test]
    fn any_line_is_a_point_or_refused(line in "[a-z,=\\\\ \"0-9i\n#]{0,60}") {
        let _read = influx("device = \"a\"").read(line);
    }

    #[test]
    fn values_come_back_whatever_the_order_of_the_records(
        values in prop::collection::btree_map(0_i64..50, (any::<i16>(), any::<i16>()), 1..12),
        seed in any::<u64>(),
    ) {
        let record = |id: &str, t: i64, v: i16| {
            format!(r#"{{"id":"{id}","v":{v},"t":{}}}"#, T + t)
        };
        let mut records: Vec<_> = values
            .iter()
            .flat_map(|(t, (a, b))| [record("t", *t, *a), record("h", *t, *b)])
            .collect();
        let mut state = seed;
        for last in (1..records.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            records.swap(last, usize::try_from(state >> 33).unwrap() % (last + 1));
        }
        let read = list("").read(format!("[{}]", records.join(","))).unwrap();
        let expected = values.values().flat_map(|(a, b)| [f64::from(*a), f64::from(*b)]);
        let expected: Vec<f64> = expected.collect();
        prop_assert_eq!(read.values, expected);
    }
}
