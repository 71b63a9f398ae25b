//! Types and bounds that options share.

use std::time::Duration;

use super::schema::Kind;

pub(super) const MILLISECOND: u64 = 1;
pub(super) const SECOND: u64 = 1000 * MILLISECOND;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

pub(super) const fn duration(min: u64, max: u64) -> Kind {
    Kind::Duration { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const TIB: u64 = 1 << 40;

/// MQTT allows topics of 65535 bytes; most brokers allow far less.
pub(super) const fn topic(form: &'static str) -> Kind {
    Kind::Text { max: 1024, form }
}

pub(super) const fn name(form: &'static str) -> Kind {
    Kind::Text { max: 64, form }
}

pub(super) const NAME: &str = "1 to 64 of a-z A-Z 0-9 . _ -, not starting with a dot";
pub(super) const QOS: Kind = Kind::Int { min: 0, max: 1 };
pub(super) const FORMAT: Kind = Kind::Choice(&[
    "json",
    "ndjson",
    "cbor",
    "msgpack",
    "protobuf",
    "csv",
    "senml",
    "influx",
    "sparkplug",
    "bytes",
    "f32le",
    "f64le",
    "i8",
    "u8",
    "i16le",
    "u16le",
    "i32le",
    "i16be",
    "u16be",
    "i24le",
    "i24be",
    "u24le",
    "u24be",
    "i32be",
    "u32le",
    "u32be",
    "i64le",
    "i64be",
    "u64le",
    "u64be",
    "f16le",
    "f16be",
    "f32be",
    "f64be",
    "i32cdab",
    "u32cdab",
    "f32cdab",
    "i64cdab",
    "u64cdab",
    "f64cdab",
    "i32badc",
    "u32badc",
    "f32badc",
    "i64badc",
    "u64badc",
    "f64badc",
]);
pub(super) const FIELDS: Kind =
    Kind::Strings { max: 4096, form: "names, or JSON pointers such as /imu/ax" };
pub(super) const FIELD: Kind = Kind::Text { max: 256, form: "a name or a JSON pointer" };
pub(super) const SCORE: Kind = Kind::Float { min: f64::MIN, max: f64::MAX };
