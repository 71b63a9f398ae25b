//! Sparkplug B.

use super::configured::configured;
use super::*;

const T: u64 = 1_796_021_554_250;
const DATA: &str = "spBv1.0/g/DDATA/n/d";
const BIRTH: &str = "spBv1.0/g/DBIRTH/n/d";

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend(value);
}

/// A metric: its name, alias, type, and what its fields of a value and time are.
#[derive(Clone, Default)]
struct M(Vec<u8>);

impl M {
    fn name(mut self, name: &str) -> Self {
        bytes(1, name.as_bytes(), &mut self.0);
        self
    }

    /// A field that is a number: 2 alias, 3 time, 4 type, 7 null, 10 to 14 values.
    fn with(mut self, field: u64, value: u64) -> Self {
        number(field, value, &mut self.0);
        self
    }

    fn double(mut self, value: f64) -> Self {
        varint(13 << 3 | 1, &mut self.0);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn float(mut self, value: f32) -> Self {
        varint(12 << 3 | 5, &mut self.0);
        self.0.extend(value.to_le_bytes());
        self
    }
}

fn payload(metrics: &[M]) -> Vec<u8> {
    let mut out = Vec::new();
    number(1, T, &mut out);
    metrics.iter().for_each(|metric| bytes(2, &metric.0, &mut out));
    number(3, 7, &mut out);
    out
}

struct Node(Box<dyn PayloadDecoder>);

fn node(more: &str) -> Node {
    let fields = "fields = [\"Inputs/t\", \"h\"]";
    Node(configured(&format!("format = \"sparkplug\"\n{fields}\n{more}")).decoder())
}

impl Node {
    fn read(&mut self, topic: &str, payload: &[u8]) -> Result<Samples, Reject> {
        let mut out = Decoded::default();
        self.0.begin(topic, Timestamp(0));
        self.0.decode(payload, &mut out)?;
        Ok(out.samples_mut().clone())
    }

    fn values(&mut self, topic: &str, payload: &[u8]) -> Vec<f64> {
        self.read(topic, payload).unwrap().values
    }
}

fn birth() -> Vec<u8> {
    payload(&[
        M::default().name("h").with(2, 1).with(4, 3).with(10, 40),
        M::default().name("other").with(2, 3).with(4, 12),
        M::default().name("Inputs/t").with(2, 2).with(4, 10).double(20.0),
    ])
}

#[test]
fn metrics_have_the_names_of_the_birth() {
    let mut node = node("");
    let born = node.read(BIRTH, &birth()).unwrap();
    assert_eq!(born.values, [20.0, 40.0]);
    assert_eq!(born.times, [Some(Timestamp(1_796_021_554_250_000))]);
    // -5 as 32 bits, whose type only the birth has.
    let data = payload(&[
        M::default().with(2, 2).with(3, T + 1000).double(21.5),
        M::default().with(2, 1).with(10, 0xffff_fffb),
        M::default().with(2, 3).with(10, 9),
    ]);
    let read = node.read(DATA, &data).unwrap();
    assert_eq!(read.values, [21.5, -5.0]);
    assert_eq!(read.times, [Some(Timestamp(1_796_021_555_250_000))]);
    // Another device has metrics of its own.
    let message = node.read("spBv1.0/g/DDATA/n/e", &data).unwrap_err().to_string();
    assert!(message.contains("no birth certificate") && message.contains("alias"), "{message}");
    // The names survive another decoder.
    let names = node.0.take_names().unwrap();
    let mut next = self::node("");
    next.0.set_names(names);
    assert_eq!(next.values(DATA, &data), [21.5, -5.0]);
    // A new birth replaces the aliases.
    let other = payload(&[
        M::default().name("h").with(2, 2).with(4, 9).float(1.5),
        M::default().name("Inputs/t").with(2, 1).with(4, 9).float(2.5),
    ]);
    assert_eq!(node.values(BIRTH, &other), [2.5, 1.5]);
    let swapped =
        payload(&[M::default().with(2, 1).float(3.0), M::default().with(2, 2).float(4.0)]);
    assert_eq!(node.values(DATA, &swapped), [3.0, 4.0]);
}

#[test]
fn metrics_may_have_names_in_the_data() {
    let data = payload(&[
        M::default().name("Inputs/t").with(4, 2).with(10, 0xffff_ff38),
        M::default().name("h").with(4, 11).with(14, 1),
    ]);
    assert_eq!(node("").values("spBv1.0/g/NDATA/n", &data), [-200.0, 1.0]);
    assert_eq!(node("").values("site/spBv1.0/g/NDATA/n", &data), [-200.0, 1.0]);
    let types = [
        (1, 0xfb, -5.0),
        (1, 0xffff_fffb, -5.0),
        (2, 0xfffb, -5.0),
        (3, u64::MAX - 4, -5.0),
        (5, 251, 251.0),
        (6, 65_531, 65_531.0),
        (7, 0xffff_fffb, 4_294_967_291.0),
    ];
    for (datatype, value, expected) in types {
        let both = [
            M::default().name("Inputs/t").with(4, datatype).with(10, value),
            M::default().name("h").with(4, 4).with(11, (-7_i64).cast_unsigned()),
        ];
        assert_eq!(node("").values(DATA, &payload(&both)), [expected, -7.0], "type {datatype}");
    }
}

#[test]
fn several_values_of_a_metric_are_samples_by_time() {
    let metric = |name: &str, t: u64, v: f32| M::default().name(name).with(3, T + t).float(v);
    let data = payload(&[
        metric("Inputs/t", 0, 1.0),
        metric("Inputs/t", 100, 2.0),
        metric("h", 0, 3.0),
        metric("h", 100, 4.0),
    ]);
    assert_eq!(node("").values(DATA, &data), [1.0, 3.0, 2.0, 4.0]);
}

#[test]
fn what_is_not_reported_or_null_is_missing() {
    let partial = payload(&[M::default().name("h").with(4, 3).with(10, 41)]);
    let null = payload(&[
        M::default().name("h").with(4, 3).with(10, 41),
        M::default().name("Inputs/t").with(7, 1),
    ]);
    let mut strict = node("");
    assert!(strict.read(DATA, &partial).unwrap_err().to_string().contains("Inputs/t is missing"));
    assert!(strict.read(DATA, &null).unwrap_err().to_string().contains("Inputs/t is null"));
    assert_eq!(strict.read(BIRTH, &partial).unwrap().skipped, 1, "no value at the birth");
    let mut holds = node("missing = \"hold\"\nhold = \"1h\"");
    for message in [partial, null] {
        let read = holds.read(DATA, &message).unwrap();
        assert!(read.has_holes && read.values[0].is_nan() && read.values[1] == 41.0);
    }
    let other = payload(&[M::default().name("x").with(4, 3).with(10, 1)]);
    assert_eq!(holds.read(DATA, &other).unwrap().skipped, 1);
}

#[test]
fn deaths_and_commands_are_passed_over() {
    for kind in ["NDEATH", "DDEATH", "NCMD", "DCMD", "STATE"] {
        let read = node("").read(&format!("spBv1.0/g/{kind}/n/d"), b"anything").unwrap();
        assert_eq!((read.values.len(), read.skipped), (0, 1), "{kind}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let unknown_type = payload(&[M::default().name("h").with(10, 0xffff_fffb)]);
    let mut compressed = Vec::new();
    bytes(4, b"SPBV1.0_COMPRESSED", &mut compressed);
    let mut text = M::default().name("h").0;
    bytes(15, b"high", &mut text);
    let table = [
        (unknown_type, "the type of an integer that may be negative is not known"),
        (compressed, "it is compressed"),
        (payload(&[M(text)]), "h is the text \"high\""),
        (b"{}".to_vec(), "is not Sparkplug B: it has a group of proto2"),
        (vec![0x12, 0x50], "is not Sparkplug B: it ends too early"),
        (payload(&[M(vec![0x0a, 1, 0xff])]), "a name is not UTF-8"),
        // The case of the specification's time alone.
        (vec![0x08, 0xd8, 0xa9, 0xe2, 0xa0, 0xa4, 0x34], "Inputs/t and h are missing"),
    ];
    for (payload, why) in table {
        let message = node("").read(DATA, &payload).unwrap_err().to_string();
        assert!(message.contains(why), "{why}: {message}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_samples_or_refused(
        messages in prop::collection::vec((0_usize..4, any::<Vec<u8>>()), 0..8),
    ) {
        let mut node = node("missing = \"skip\"");
        for (kind, payload) in messages {
            let topic = format!("spBv1.0/g/{}/n", ["NBIRTH", "NDATA", "NDEATH", "x"][kind]);
            let _read = node.read(&topic, &payload);
        }
    }

    #[test]
    fn metrics_of_any_birth_are_known_in_the_data(
        aliases in prop::collection::hash_set(any::<u64>(), 2),
        values in (any::<i16>(), any::<i16>()),
    ) {
        let aliases: Vec<u64> = aliases.into_iter().collect();
        let of = |value: i16| u64::from(i32::from(value).cast_unsigned());
        let metric = |alias: u64, value: i16| M::default().with(2, alias).with(10, of(value));
        let named = |name: &str, alias| metric(alias, 0).name(name).with(4, 3);
        let born = payload(&[named("Inputs/t", aliases[0]), named("h", aliases[1])]);
        let data = payload(&[metric(aliases[1], values.1), metric(aliases[0], values.0)]);
        let mut node = node("");
        prop_assert_eq!(node.values(BIRTH, &born), [0.0, 0.0]);
        prop_assert_eq!(node.values(DATA, &data), [f64::from(values.0), f64::from(values.1)]);
    }
}
