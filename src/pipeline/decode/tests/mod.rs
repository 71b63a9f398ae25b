mod bad;
mod binary_formats;
mod bytes;
mod configured;
mod devices;
mod holes;
mod mistakes;
mod protobuf;
mod records;
mod sparkplug;
mod texts;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::config::{Format, Payload, Reading};
use crate::pipeline::reject::Reject;
use crate::tensor::Dtype;

/// A stream of two channels, `a` and `b`, unless changed.
#[derive(Debug)]
struct Case {
    format: Format,
    fields: Vec<&'static str>,
    time: Option<&'static str>,
    samples: Option<&'static str>,
    device: Vec<&'static str>,
    width: usize,
    whole: bool,
    reading: Reading,
}

fn case(format: Format) -> Case {
    let (fields, device) = (vec!["a", "b"], Vec::new());
    let (samples, reading) = (None, Reading::default());
    Case { format, fields, time: None, samples, device, width: 2, whole: false, reading }
}

fn json() -> Case {
    case(Format::Json)
}

impl Case {
    fn fields(mut self, fields: &[&'static str]) -> Self {
        (self.fields, self.width) = (fields.to_vec(), fields.len());
        self
    }

    fn time(self, time: &'static str) -> Self {
        Self { time: Some(time), ..self }
    }

    fn samples(self, samples: &'static str) -> Self {
        Self { samples: Some(samples), ..self }
    }

    fn device(self, device: &[&'static str]) -> Self {
        Self { device: device.to_vec(), ..self }
    }

    fn whole(self, width: usize) -> Self {
        Self { whole: true, width, ..self }
    }

    fn reading(mut self, set: impl FnOnce(&mut Reading)) -> Self {
        set(&mut self.reading);
        self
    }

    fn decoder(&self) -> Box<dyn PayloadDecoder> {
        let payload = Payload {
            time: self.time.map(str::to_owned),
            earliest: Timestamp::parse("2020-01-01T00:00:00Z").unwrap(),
            samples: self.samples.map(str::to_owned),
            device: self.device.iter().map(|name| (*name).to_owned()).collect(),
            reading: self.reading.clone(),
            ..Payload::of(self.format)
        };
        let fields = self.fields.iter().map(|f| (*f).to_owned()).collect();
        decoder_for(PayloadSchema::new(&payload, fields, self.width, self.whole, None))
    }

    fn read(&self, payload: impl AsRef<[u8]>) -> Result<Samples, Reject> {
        let mut out = Decoded::default();
        self.decoder().decode(payload.as_ref(), &mut out)?;
        Ok(out.samples_mut().clone())
    }

    fn values(&self, payload: impl AsRef<[u8]>) -> Vec<f64> {
        self.read(payload).unwrap().values
    }

    fn code(&self, payload: impl AsRef<[u8]>) -> &'static str {
        self.read(payload).unwrap_err().code()
    }

    fn message(&self, payload: impl AsRef<[u8]>) -> String {
        self.read(payload).unwrap_err().to_string()
    }
}

/// The CBOR of a JSON text.
fn cbor(json: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).unwrap();
    bytes
}

const SECOND: Timestamp = Timestamp(1_795_341_600_000_000);

#[test]
fn every_shape_of_samples_gives_the_same_rows_in_json_and_cbor() {
    let pointers: &[&str] = &["/imu/a", "/imu/v/1"];
    let table: Vec<(Case, &str, &[f64])> = vec![
        (json(), r#"{"b":2,"a":1.5}"#, &[1.5, 2.0]),
        (json(), r#"{"x":{"a":9},"a":1,"s":"t","b":-2e3,"l":[[1],null,true]}"#, &[1.0, -2e3]),
        (json(), r#"{"a":1,"b":2,"a":3}"#, &[3.0, 2.0]),
        (json(), r#"{"a":true,"b":false}"#, &[1.0, 0.0]),
        (json(), r#"[{"a":1,"b":2},{"b":4,"a":3}]"#, &[1.0, 2.0, 3.0, 4.0]),
        (json(), "[[1,2],[3,4]]", &[1.0, 2.0, 3.0, 4.0]),
        (json(), "[1,2]", &[1.0, 2.0]),
        (json().fields(pointers), r#"{"imu":{"v":[7,8,9],"a":1}}"#, &[1.0, 8.0]),
        (json().fields(&["/2", "/0"]), "[5,6,7]", &[7.0, 5.0]),
        (json().fields(&["/2", "/0"]), r#"[[5,6,7],[8,"x",9]]"#, &[7.0, 5.0, 9.0, 8.0]),
        (json().fields(&["a"]), "21.5", &[21.5]),
        (json().fields(&["a"]), "[1,2,3]", &[1.0, 2.0, 3.0]),
        (json().fields(&["a"]), "[[1],[2]]", &[1.0, 2.0]),
        (json().samples("/d/s"), r#"{"d":{"s":[[1,2],{"a":3,"b":4}]}}"#, &[1.0, 2.0, 3.0, 4.0]),
        (json().samples("s"), r#"{"s":[1,2],"n":0}"#, &[1.0, 2.0]),
        (json().samples("s"), "[[1,2]]", &[1.0, 2.0]),
    ];
    for (mut case, payload, rows) in table {
        assert_eq!(case.values(payload), rows, "{payload}");
        case.format = Format::Cbor;
        // serde_json keeps the last of two members of one name, as we do.
        assert_eq!(case.values(cbor(payload)), rows, "{payload} as CBOR");
    }
}

#[test]
fn a_time_is_found_in_the_sample_or_around_the_samples() {
    let later = Timestamp(SECOND.0 + 500_000);
    let timed = || json().time("ts");
    let table: Vec<(Case, &str, Vec<Timestamp>)> = vec![
        (timed(), r#"{"ts":1795341600,"a":1,"b":2}"#, vec![SECOND]),
        (timed(), r#"{"a":1,"b":2,"ts":"2026-11-22T10:00:00Z"}"#, vec![SECOND]),
        (timed(), "[1795341600000,1,2]", vec![SECOND]),
        (timed(), r#"[["2026-11-22T10:00:00Z",1,2],[1795341600.5,3,4]]"#, vec![SECOND, later]),
        (
            timed().samples("s"),
            r#"{"s":[{"a":1,"b":2},{"ts":1795341600.5,"a":1,"b":2}],"ts":1795341600}"#,
            vec![SECOND, later],
        ),
        (timed().samples("s"), r#"{"ts":1795341600,"s":[[1,2],[3,4]]}"#, vec![SECOND, SECOND]),
        (json().fields(&["/1", "/2"]).time("/0"), "[1795341600,1,2]", vec![SECOND]),
        (json().time("/meta/t"), r#"{"meta":{"t":1795341600},"a":1,"b":2}"#, vec![SECOND]),
        (timed().whole(2), r#"{"ts":1795341600,"a":1,"b":2}"#, vec![SECOND]),
        (timed().whole(3), "[1795341600,1,2,3]", vec![SECOND]),
    ];
    for (mut case, payload, times) in table {
        let times: Vec<_> = times.into_iter().map(Some).collect();
        assert_eq!(case.read(payload).unwrap().times, times, "{payload}");
        case.format = Format::Cbor;
        assert_eq!(case.read(cbor(payload)).unwrap().times, times, "{payload} as CBOR");
    }
    assert_eq!(json().read("[1,2]").unwrap().times, [None]);
}

#[test]
fn a_whole_input_comes_flat_or_by_field_or_in_rows() {
    let whole = || json().whole(6);
    let flat = |payload: &str| {
        let read = whole().read(payload).unwrap();
        assert_eq!((read.order, read.times.len()), (ValueOrder::Flat, 1));
        read.values
    };
    let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(flat("[1,2,3,4,5,6]"), numbers);
    assert_eq!(flat("[[[1,2],[3,4]],[5,6]]"), numbers);

    let columns = whole().read(r#"{"b":[[4],[5,6]],"n":"x","a":[1,2,3]}"#).unwrap();
    assert_eq!(columns.order, ValueOrder::Columns);
    assert_eq!(columns.values[columns.spans[0].clone()], [1.0, 2.0, 3.0]);
    assert_eq!(columns.values[columns.spans[1].clone()], [4.0, 5.0, 6.0]);

    let rows = whole().read(r#"[{"a":1,"b":2},{"a":3,"b":4},{"a":5,"b":6}]"#).unwrap();
    assert_eq!((rows.order, rows.values), (ValueOrder::Rows, numbers.to_vec()));

    let wrapped = whole().samples("data").read(r#"{"data":[1,2,3,4,5,6]}"#).unwrap();
    assert_eq!((wrapped.order, wrapped.values), (ValueOrder::Flat, numbers.to_vec()));
}

#[test]
fn csv_has_lines_by_position_or_under_a_header() {
    let csv = || case(Format::Csv);
    assert_eq!(csv().values("1,2\n3,4\r\n\n"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(csv().values("n,b, a\nx,2,1\ny,\"4\",3"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(csv().fields(&["/2", "/0"]).values("5,x,7"), [7.0, 5.0]);
    let timed = csv().time("t").read("2026-11-22T10:00:00Z,1,2\n1795341600,3,4").unwrap();
    assert_eq!(timed.times, [Some(SECOND), Some(SECOND)]);
    assert_eq!(timed.values, [1.0, 2.0, 3.0, 4.0]);
    let named = csv().time("t").read("a,t,b\n1,1795341600,2").unwrap();
    assert_eq!((named.times, named.values), (vec![Some(SECOND)], vec![1.0, 2.0]));
    assert_eq!(csv().whole(4).values("1,2\n3,4"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(csv().whole(4).values("a,b\n1,2\n3,4"), [1.0, 2.0, 3.0, 4.0]);
    let many = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(csv().whole(100).values(&many).len(), 100);

    assert_eq!(csv().code(""), "wrong-length");
    assert_eq!(csv().code("1"), "wrong-length");
    assert_eq!(csv().code("1,2,3"), "wrong-length");
    assert_eq!(csv().code("1,x"), "not-a-number");
    assert_eq!(csv().code("a,b\n1,x"), "not-a-number");
    assert_eq!(csv().code("a,b\n1,"), "missing-field");
    assert_eq!(csv().code("a,c\n1,2"), "missing-field");
    assert_eq!(csv().code("nan,1"), "not-finite");
    assert_eq!(csv().time("t").code("noon,1,2"), "bad-time");
    assert_eq!(csv().code(b"1,\xff"), "not-utf8");
    assert_eq!(csv().whole(3).code("1,2\n3,4"), "wrong-length");
}

#[test]
fn raw_elements_are_little_endian() {
    let raw = |dtype| case(Format::Raw(dtype));
    assert_eq!(raw(Dtype::I8).values([1, 0xff]), [1.0, -1.0]);
    assert_eq!(raw(Dtype::U8).values([1, 0xff, 3, 4]), [1.0, 255.0, 3.0, 4.0]);
    assert_eq!(raw(Dtype::I16).values([1, 0, 0, 0x80]), [1.0, -32768.0]);
    assert_eq!(raw(Dtype::U16).values([1, 0, 0, 0x80]), [1.0, 32768.0]);
    assert_eq!(raw(Dtype::I32).values([1, 0, 0, 0, 0, 0, 0, 0x80]), [1.0, -2_147_483_648.0]);
    let floats: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(raw(Dtype::F32).values(floats), [0.5, -2.0]);
    let doubles: Vec<u8> = [0.1_f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(raw(Dtype::F64).values(doubles), [0.1, -2.0]);
    assert_eq!(raw(Dtype::I8).read([1, 2, 3, 4]).unwrap().times.len(), 2);

    assert_eq!(raw(Dtype::I8).code([]), "wrong-length");
    assert_eq!(raw(Dtype::I8).code([1, 2, 3]), "wrong-length");
    assert_eq!(raw(Dtype::I16).code([1, 2, 3, 4, 5]), "wrong-length");
    assert_eq!(raw(Dtype::I8).whole(4).code([1, 2]), "wrong-length");
    let nan: Vec<u8> = [0.5, f32::NAN].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(raw(Dtype::F32).code(&nan), "not-finite");
    assert_eq!(
        raw(Dtype::I16).message([1, 2, 3]),
        "bytes of payload: got 3, the model takes 4 or a multiple (2 elements of i16)"
    );
}

/// JSON values of the kinds that devices send, and of those they should not.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let number = prop_oneof![
        any::<i32>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(|n| serde_json::Value::from(f64::from(n) / 64.0)),
    ];
    let leaf = prop_oneof![
        8 => number,
        1 => any::<bool>().prop_map(serde_json::Value::from),
        1 => "[a-z0-9]{0,4}".prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[abst]", inner, 0..5)
                .prop_map(|m| m.into_iter().collect()),
        ]
    })
}

fn any_case() -> impl Strategy<Value = Case> {
    let fields = prop_oneof![
        Just(vec!["a", "b"]),
        Just(vec!["a"]),
        Just(vec!["/0", "/1"]),
        Just(vec!["/s/a", "/b/1"]),
        Just(vec![]),
    ];
    let time = prop_oneof![Just(None), Just(Some("t")), Just(Some("/s/t"))];
    let samples = prop_oneof![Just(None), Just(Some("s"))];
    (fields, time, samples, any::<bool>()).prop_map(|(fields, time, samples, whole)| {
        let width = fields.len().max(1);
        Case { fields, time, samples, width, whole, ..json() }
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_rejected(
        case in any_case(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        format in prop_oneof![
            Just(Format::Json), Just(Format::Cbor), Just(Format::Csv),
            Just(Format::Raw(Dtype::F32)), Just(Format::Raw(Dtype::I16)),
        ],
    ) {
        let case = Case { format, ..case };
        if let Ok(samples) = case.read(&bytes) {
            prop_assert!(samples.values.iter().all(|v| v.is_finite()));
            prop_assert!(!samples.times.is_empty());
            prop_assert!(case.whole || samples.values.len() == samples.times.len() * case.width);
        }
    }

    #[test]
    fn any_text_is_read_or_rejected_as_csv(case in any_case(), text in "[0-9,.\n\"ab-]{0,40}") {
        let case = Case { format: Format::Csv, ..case };
        if let Ok(samples) = case.read(&text) {
            prop_assert!(case.whole || samples.values.len() == samples.times.len() * case.width);
        }
    }

    #[test]
    fn json_and_cbor_of_one_value_are_one(mut case in any_case(), value in value()) {
        let as_json = case.read(value.to_string());
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        case.format = Format::Cbor;
        prop_assert_eq!(as_json, case.read(&bytes));
    }
}
