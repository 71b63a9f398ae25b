//! Values of fields that are no messages.

use std::fmt;

use serde::de::Visitor;

use super::error::ProtobufError;
use crate::protobuf::wire::Value;
use crate::protobuf::{FieldKind, FieldType};

/// Whether a value is written as the kind of its field is.
pub(super) fn is_of(field: &FieldType, value: Value<'_>) -> bool {
    match (field.kind, value) {
        (FieldKind::Double | FieldKind::Fixed64 | FieldKind::Sfixed64, Value::Fixed64(_))
        | (FieldKind::Float | FieldKind::Fixed32 | FieldKind::Sfixed32, Value::Fixed32(_))
        | (FieldKind::String | FieldKind::Bytes | FieldKind::Message(_), Value::Bytes(_)) => true,
        (kind, Value::Bytes(_)) => field.is_repeated && kind.is_packable(),
        (kind, Value::Varint(_)) => is_varint(kind),
        _ => false,
    }
}

fn is_varint(kind: FieldKind) -> bool {
    kind.is_packable()
        && !matches!(
            kind,
            FieldKind::Double
                | FieldKind::Float
                | FieldKind::Fixed64
                | FieldKind::Fixed32
                | FieldKind::Sfixed64
                | FieldKind::Sfixed32
        )
}

/// The bytes of a value that has a length.
pub(super) fn bytes_of(value: Value<'_>) -> &[u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        _ => &[],
    }
}

/// Gives a scalar to a visitor. An absent one is 0 or empty. Numbers of 32 bits that are written
/// with more are cut, as the language guide says.
#[expect(clippy::cast_possible_truncation, reason = "the encoding defines it")]
pub(super) fn scalar<'de, V: Visitor<'de>>(
    kind: FieldKind,
    value: Option<Value<'_>>,
    visitor: V,
) -> Result<V::Value, ProtobufError> {
    let varint = match value {
        Some(Value::Varint(value)) => value,
        _ => 0,
    };
    let fixed32 = match value {
        Some(Value::Fixed32(value)) => value,
        _ => [0; 4],
    };
    let fixed64 = match value {
        Some(Value::Fixed64(value)) => value,
        _ => [0; 8],
    };
    let bytes = value.map(bytes_of).unwrap_or_default();
    match kind {
        FieldKind::Double => visitor.visit_f64(f64::from_le_bytes(fixed64)),
        FieldKind::Float => visitor.visit_f64(f64::from(f32::from_le_bytes(fixed32))),
        FieldKind::Int64 => visitor.visit_i64(varint.cast_signed()),
        FieldKind::Uint64 => visitor.visit_u64(varint),
        FieldKind::Int32 | FieldKind::Enum => {
            visitor.visit_i64(i64::from((varint as u32).cast_signed()))
        }
        FieldKind::Uint32 => visitor.visit_u64(u64::from(varint as u32)),
        FieldKind::Sint32 => visitor.visit_i64(zigzag(u64::from(varint as u32))),
        FieldKind::Sint64 => visitor.visit_i64(zigzag(varint)),
        FieldKind::Bool => visitor.visit_bool(varint != 0),
        FieldKind::Fixed32 => visitor.visit_u64(u64::from(u32::from_le_bytes(fixed32))),
        FieldKind::Fixed64 => visitor.visit_u64(u64::from_le_bytes(fixed64)),
        FieldKind::Sfixed32 => visitor.visit_i64(i64::from(i32::from_le_bytes(fixed32))),
        FieldKind::Sfixed64 => visitor.visit_i64(i64::from_le_bytes(fixed64)),
        FieldKind::String => {
            visitor.visit_str(std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?)
        }
        FieldKind::Bytes | FieldKind::Message(_) => visitor.visit_bytes(bytes),
    }
}

/// A number whose lowest bit is its sign.
fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The key of a map as the name of a member.
pub(super) struct MapKey;

impl Visitor<'_> for MapKey {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key of a map")
    }

    fn visit_str<E>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }

    fn visit_i64<E>(self, key: i64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_u64<E>(self, key: u64) -> Result<String, E> {
        Ok(key.to_string())
    }

    fn visit_bool<E>(self, key: bool) -> Result<String, E> {
        Ok(key.to_string())
    }
}
