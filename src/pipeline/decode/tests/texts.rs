//! Numbers and times as texts, and what devices put around them.

use std::io::Write as _;

use flate2::Compression as Level;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::{Case, SECOND, case, cbor, json};
use crate::clock::{Timestamp, Zone};
use crate::config::tree::Scalar;
use crate::config::{Compression, Format, NumberForm, TimeUnit};
use crate::pipeline::decode::Decoded;

fn lenient(case: Case) -> Case {
    case.reading(|reading| {
        reading.numbers = NumberForm::Lenient;
        reading.words = vec![("OPEN".into(), 1.0), ("CLOSED".into(), 0.0)];
    })
}

#[test]
fn lenient_numbers_are_taken_in_every_format() {
    let table: &[(&str, f64)] = &[
        ("40", 40.0),
        ("\"40\"", 40.0),
        ("\"40%\"", 40.0),
        ("\"21,5\"", 21.5),
        ("\"21.5 °C\"", 21.5),
        ("\"ON\"", 1.0),
        ("\"0x1F\"", 31.0),
        ("true", 1.0),
        ("\"OPEN\"", 1.0),
        ("\"CLOSED\"", 0.0),
    ];
    for (value, number) in table {
        let object = format!(r#"{{"a":1,"b":{value}}}"#);
        assert_eq!(lenient(json()).values(&object), [1.0, *number], "{object}");
        assert_eq!(lenient(case(Format::Cbor)).values(cbor(&object)), [1.0, *number], "{object}");
        let array = format!("[{value},1]");
        assert_eq!(lenient(json()).values(&array), [*number, 1.0], "{array}");
        assert_eq!(lenient(json().whole(2)).values(&object).len(), 2);
    }
    assert_eq!(lenient(json()).values(r#"{"a":["1","2 V"],"b":[3,"4"]}"#), [1.0, 3.0, 2.0, 4.0]);
    assert_eq!(lenient(json()).code(r#"{"a":1,"b":"N"}"#), "not-a-number");
    assert_eq!(lenient(json()).code(r#"{"a":1,"b":""}"#), "not-a-number");
    let words = json().reading(|reading| reading.words = vec![("ON".into(), 1.0)]);
    assert_eq!(words.values(r#"{"a":1,"b":"ON"}"#), [1.0, 1.0]);
    assert_eq!(words.code(r#"{"a":1,"b":"2"}"#), "not-a-number");
}

#[test]
fn a_bare_number_need_not_be_json() {
    let table = [
        ("21.5", 21.5),
        ("\"21.5\"", 21.5),
        (" 21.5 \n", 21.5),
        ("+21.5", 21.5),
        ("021.5", 21.5),
        ("21,5", 21.5),
        ("21.5 °C", 21.5),
        ("ON", 1.0),
        ("true", 1.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1e3),
        ("OPEN", 1.0),
        ("[21.5]", 21.5),
        ("{\"v\":\"21.5 °C\"}", 21.5),
    ];
    for (payload, number) in table {
        for case in [lenient(json().fields(&["v"])), lenient(json().fields(&["v"]).whole(1))] {
            assert_eq!(case.values(payload), [number], "{payload:?}");
        }
    }
    let one = lenient(json().fields(&["v"]));
    assert_eq!(one.code("unavailable"), "not-a-number");
    assert!(one.message("unavailable").contains("payload.missing_values"));
    assert_eq!(one.code("21.5 22.5"), "not-a-number");
    assert_eq!(one.code("nan"), "not-a-number");
}

#[test]
fn csv_has_dialects() {
    let csv = |delimiter: u8, comment: Option<u8>| {
        lenient(case(Format::Csv)).reading(|reading| {
            (reading.csv.delimiter, reading.csv.comment) = (delimiter, comment);
        })
    };
    let pair = [21.5, 40.0];
    assert_eq!(csv(b';', None).values("21,5;40,0"), pair);
    assert_eq!(csv(b';', None).values("21.5;40.0;\n"), pair);
    assert_eq!(csv(b'\t', None).values("21.5\t40.0"), pair);
    assert_eq!(csv(b' ', None).values("21.5   40.0\n 21.5 40 "), [21.5, 40.0, 21.5, 40.0]);
    assert_eq!(csv(b',', Some(b'#')).values("# t,h\n21.5,40.0\n"), pair);
    assert_eq!(csv(b',', None).values("21.5,40.0,"), pair);
    assert_eq!(csv(b';', None).values("b;x;a\n40 %;n;21,5 °C"), pair);
    assert_eq!(csv(b',', None).values("\n21.5,40.0\n\n"), pair);
    assert_eq!(csv(b',', None).values("\"21,5\",\"40\""), pair);
    assert!(case(Format::Csv).fields(&["v"]).message("21,5").contains("payload.delimiter"));
    assert!(case(Format::Csv).message("21.5;40").contains("payload.delimiter"));
}

#[test]
fn marks_around_a_text_are_no_part_of_it() {
    for format in [Format::Json, Format::Csv] {
        let one = case(format).fields(&["v"]);
        assert_eq!(one.values("\u{feff}21.5"), [21.5]);
        assert_eq!(one.values("21.5\0"), [21.5]);
        assert_eq!(one.values("21.5\0\0\0"), [21.5]);
        assert_eq!(one.values("21.5\r\n"), [21.5]);
    }
}

#[test]
fn json_comes_in_lines() {
    let lines = || case(Format::JsonLines);
    let rows = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(lines().values("{\"a\":1,\"b\":2}\r\n\n{\"b\":4,\"a\":3}\n"), rows);
    assert_eq!(lines().values("[1,2]\n[3,4]"), rows);
    assert_eq!(lines().fields(&["v"]).values("1\n2\n"), [1.0, 2.0]);
    assert_eq!(lenient(lines().fields(&["v"])).values("1,5\n2 V\n"), [1.5, 2.0]);
    let timed = lines().time("t").read("{\"t\":1795341600,\"a\":1,\"b\":2}").unwrap();
    assert_eq!(timed.times, [Some(SECOND)]);
    assert_eq!(lines().whole(4).values("[1,2]\n[3,4]"), rows);
    assert_eq!(lines().whole(4).values("{\"a\":1,\"b\":2}\n{\"b\":4,\"a\":3}\n"), rows);
    assert!(lines().message("[1,2]\n[3,4").contains("line 2"));
    assert_eq!(lines().code(""), "wrong-length");
    assert_eq!(lines().code("[1,2]\n{}"), "missing-field");
}

#[test]
fn messages_with_other_values_are_passed_over() {
    for format in [Format::Json, Format::Cbor] {
        let of = |text: &str| if format == Format::Cbor { cbor(text) } else { text.into() };
        let text = |text: &str| Scalar::Text(text.to_owned());
        let filtered = |conditions: &[(&str, Vec<Scalar>)]| {
            let own = |(field, values): &(&str, Vec<Scalar>)| ((*field).to_owned(), values.clone());
            case(format).reading(|reading| {
                reading.filter = conditions.iter().map(own).collect();
            })
        };
        let one = filtered(&[("/type", vec![text("telemetry"), text("env")])]);
        for taken in [r#"{"type":"telemetry","a":1,"b":2}"#, r#"{"a":1,"b":2,"type":"env"}"#] {
            assert_eq!(one.values(of(taken)), [1.0, 2.0], "{taken}");
        }
        for other in [
            r#"{"type":"text","payload":"hello"}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"type":3,"a":null}"#,
            r#"{"type":{"type":"telemetry"}}"#,
            "[1,2]",
            "7",
        ] {
            let read = one.read(of(other)).unwrap();
            assert_eq!((read.skipped, read.times.len()), (1, 0), "{other}");
        }
        let both = filtered(&[
            ("/port", vec![Scalar::Number(2.0)]),
            ("/rx/0/ok", vec![Scalar::Bool(true)]),
        ]);
        assert_eq!(both.values(of(r#"{"port":2,"rx":[{"ok":true}],"a":1,"b":2}"#)), [1.0, 2.0]);
        assert_eq!(both.values(of(r#"{"port":2.0,"rx":[{"ok":true}],"a":1,"b":2}"#)), [1.0, 2.0]);
        for other in [r#"{"port":1,"rx":[{"ok":true}]}"#, r#"{"port":2,"rx":[{"ok":false}]}"#] {
            assert_eq!(both.read(of(other)).unwrap().skipped, 1, "{other}");
        }
        assert_eq!(
            both.code([0xff, b'{']),
            if format == Format::Cbor { "syntax" } else { "not-utf8" }
        );
        assert_eq!(one.code(of(r#"{"type":"env","a":1}"#)), "missing-field");
        let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
        assert!(one.read(of(&deep)).is_err());
    }
    assert_eq!(json().code("{\"type\""), "syntax");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Level::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Level::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn compressed(compression: Compression) -> Case {
    json().reading(|reading| reading.compression = compression)
}

#[test]
fn compressed_payloads_are_decompressed_within_bounds() {
    let text = br#"{"a":1,"b":2}"#;
    for (compression, bytes) in [
        (Compression::Gzip, gzip(text)),
        (Compression::Zlib, zlib(text)),
        (Compression::Auto, gzip(text)),
        (Compression::Auto, zlib(text)),
        (Compression::Auto, text.to_vec()),
        (Compression::Gzip, [gzip(&text[..5]), gzip(&text[5..])].concat()),
    ] {
        assert_eq!(compressed(compression).values(bytes), [1.0, 2.0], "{compression:?}");
    }
    assert_eq!(compressed(Compression::Gzip).code(text), "syntax");
    assert_eq!(compressed(Compression::Zlib).code(gzip(text)), "syntax");
    let cut = gzip(text);
    assert_eq!(compressed(Compression::Gzip).code(&cut[..cut.len() - 4]), "syntax");
    let bomb = gzip(&vec![b' '; 1 << 20]);
    let mut decoder = compressed(Compression::Auto).decoder();
    let mut out = Decoded::default();
    assert_eq!(decoder.decode(&bomb, &mut out).unwrap_err().code(), "too-large");
    assert!(json().message(gzip(text)).contains("payload.compression"));
    assert!(json().message(zlib(text)).contains("payload.compression"));
}

#[test]
fn times_have_the_forms_that_are_configured() {
    let of = |case: &Case, time: &str| {
        case.read(format!(r#"{{"a":1,"b":2,"t":{time}}}"#)).map(|read| read.times[0])
    };
    let plain = json().time("t");
    for time in [
        "\"2026-11-22 10:00:00 UTC\"",
        "\"Sun, 22 Nov 2026 10:00:00 +0000\"",
        "{\"$date\":\"2026-11-22T10:00:00Z\"}",
        "{\"$date\":{\"$numberLong\":\"1795341600000\"}}",
        "\"2026-11-22T11:00:00+01\"",
        "\"2026-11-22T10:00:00,000Z\"",
    ] {
        assert_eq!(of(&plain, time).unwrap(), Some(SECOND), "{time}");
    }
    let local = ["\"2026-11-22T11:00:00\"", "\"2026/11/22 11:00:00\"", "\"22.11.2026 11:00:00\""];
    let zoned = json().time("t").reading(|reading| {
        reading.times.zone = Some(Zone::parse("+01:00").unwrap());
    });
    for time in local {
        assert_eq!(of(&zoned, time).unwrap(), Some(SECOND), "{time}");
        let refused = of(&plain, time).unwrap_err();
        assert!(refused.to_string().contains("payload.zone"), "{refused}");
    }
    let split = json().time("t").reading(|reading| {
        reading.times.zone = Some(Zone::UTC);
        reading.times.time_of_day = Some("/clock/at".into());
    });
    for payload in [
        r#"{"a":1,"b":2,"t":"2026-11-22","clock":{"at":"10:00:00"}}"#,
        r#"{"clock":{"at":"10:00:00"},"a":1,"b":2,"t":"22.11.2026"}"#,
    ] {
        assert_eq!(split.read(payload).unwrap().times, [Some(SECOND)]);
    }
    assert_eq!(split.code(r#"{"a":1,"b":2,"t":"2026-11-22"}"#), "missing-field");
    assert_eq!(split.code(r#"{"a":1,"b":2,"t":3,"clock":{"at":"10:00"}}"#), "bad-time");
    let mut lines = case(Format::Csv).time("t");
    lines.reading = split.reading;
    assert_eq!(lines.read("2026-11-22,10:00:00,1,2").unwrap().times, [Some(SECOND)]);
}

#[test]
fn a_clock_of_the_devices_own_is_left_as_it_is() {
    let own = json().time("t").reading(|reading| {
        reading.times.clock = crate::config::DeviceClock::Own;
        reading.times.unit = Some(TimeUnit::Millis);
    });
    let read = own.read(r#"{"a":1,"b":2,"t":1500}"#).unwrap();
    assert_eq!(read.times, [Some(Timestamp(1_500_000))]);
    assert!(json().time("t").message(r#"{"a":1,"b":2,"t":1500}"#).contains("payload.clock"));
}

proptest! {
    #[test]
    fn any_bytes_are_decompressed_or_rejected(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        head in prop_oneof![Just(&[][..]), Just(&[0x1f, 0x8b, 8, 0][..]), Just(&[0x78, 0x9c][..])],
        compression in prop_oneof![
            Just(Compression::Gzip), Just(Compression::Zlib), Just(Compression::Auto),
        ],
    ) {
        let _read = compressed(compression).read([head, &bytes].concat());
    }

    #[test]
    fn any_value_is_of_the_stream_or_not(
        value in super::value(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for format in [Format::Json, Format::Cbor] {
            let filtered = case(format).reading(|reading| {
                reading.filter = vec![("/s/a".into(), vec![Scalar::Number(1.0)])];
            });
            let _read = filtered.read(value.to_string());
            let _read = filtered.read(&bytes);
        }
    }

    #[test]
    fn any_text_is_read_or_rejected_leniently(
        text in ".{0,40}",
        delimiter in prop_oneof![Just(b';'), Just(b' '), Just(b'\t')],
    ) {
        let csv = lenient(case(Format::Csv)).reading(|reading| {
            (reading.csv.delimiter, reading.csv.comment) = (delimiter, Some(b'#'));
        });
        let one = lenient(json().fields(&["v"]));
        for case in [csv, lenient(json()), one, lenient(case(Format::JsonLines))] {
            if let Ok(samples) = case.read(&text) {
                prop_assert!(samples.values.iter().all(|value| value.is_finite()));
            }
        }
    }
}

#[test]
fn lines_with_another_value_in_a_column_are_passed_over() {
    use super::configured::configured;
    let named = configured(
        "format = \"csv\"\nfields = [\"t\", \"h\"]\nwhere = { kind = \"env\", port = [1, 2] }",
    );
    let samples = named.read("t,kind,h,port\n21.5,env,40,1\n1,gps,2,1\n22,env,41,3\n23,env,42,2");
    let samples = samples.unwrap();
    assert_eq!((samples.values.as_slice(), samples.skipped), (&[21.5, 40.0, 23.0, 42.0][..], 2));
    let none = named.read("t,kind,h,port\n1,gps,2,1").unwrap();
    assert_eq!((none.values.len(), none.skipped), (0, 1));
    let without = named.read("t,h,port\n1,2,1").unwrap();
    assert_eq!((without.values.len(), without.skipped), (0, 1), "a column that is missing");
    assert!(named.message("21.5,40").contains("no header"));
    let placed = configured(
        "format = \"csv\"\nfields = [\"/1\", \"/2\"]\nwhere = { \"/0\" = \"T\", \"/3\" = true }",
    );
    let samples = placed.read("T,21.5,40,true\nX,1,2,true\nT,3,4,false\nT,5,6").unwrap();
    assert_eq!((samples.values.as_slice(), samples.skipped), (&[21.5, 40.0][..], 3));
    let whole = configured("format = \"csv\"\nfields = [\"/1\"]\nwhere = { \"/0\" = 1 }").whole(2);
    assert_eq!(whole.values("2,9\n1,5\n2,9\n1,6"), [5.0, 6.0]);
}

#[test]
fn samples_of_a_message_with_one_time_are_an_interval_apart() {
    use super::configured::configured;
    let batch = |option: &str| {
        configured(&format!("fields = [\"a\"]\ntime = \"ts\"\nsamples = \"s\"\n{option}"))
    };
    let times = |option: &str| {
        let samples = batch(option).read(r#"{"ts":1795341600,"s":[[1],[2],[3]]}"#).unwrap();
        samples.times.iter().map(|time| time.unwrap().0 - SECOND.0).collect::<Vec<_>>()
    };
    assert_eq!(times(""), [0, 0, 0]);
    assert_eq!(times("interval = \"10ms\""), [-20_000, -10_000, 0]);
    assert_eq!(times("interval = \"10ms\"\ninterval_from = \"first\""), [0, 10_000, 20_000]);
    assert_eq!(times("interval = \"16kHz\"\ninterval_from = \"first\""), [0, 63, 125]);
    assert_eq!(times("interval = \"62.5us\"\ninterval_from = \"first\""), [0, 63, 125]);
    let own = configured("fields = [\"a\"]\ntime = \"ts\"\ninterval = \"1s\"");
    let told = own.message(r#"[{"ts":1795341600,"a":1},{"ts":1795341601,"a":2}]"#);
    assert!(told.contains("payload.interval"), "{told}");
    let csv = configured("format = \"csv\"\nfields = [\"a\"]\ntime = \"ts\"\ninterval = \"1s\"");
    let samples = csv.read("ts,a\n1795341600,1\n1795341600,2").unwrap();
    assert_eq!(samples.times, [Some(Timestamp(SECOND.0 - 1_000_000)), Some(SECOND)]);
}
