//! MessagePack payloads (<https://github.com/msgpack/msgpack/blob/master/spec.md>), given to serde's
//! data model so that the walks of JSON and CBOR serve them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::decoder::{Decoded, PayloadDecoder};
use super::payload_visitor::PayloadVisitor;
use super::sample_builder::SampleBuilder;
use super::scalar_seed::ScalarSeed;
use super::schema::PayloadSchema;
use super::time::precise;
use crate::clock::Timestamp;
use crate::pipeline::reject::Reject;

/// Decodes MessagePack.
#[derive(Debug)]
pub(super) struct MsgpackDecoder {
    schema: PayloadSchema,
}

impl MsgpackDecoder {
    pub(super) fn new(schema: PayloadSchema) -> Self {
        Self { schema }
    }
}

impl PayloadDecoder for MsgpackDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        let mut builder = SampleBuilder::new(&self.schema, out.samples_mut());
        read(payload, PayloadVisitor::new(&mut builder))
            .map_err(|malformed| builder.reject.take().unwrap_or(malformed))?;
        builder.finish()
    }
}

/// Reads a payload with any seed.
///
/// # Errors
/// What the reader stumbled over; a seed that stops it keeps its own reason.
pub(super) fn read<'p, S: DeserializeSeed<'p, Value = ()>>(
    payload: &'p [u8],
    seed: S,
) -> Result<(), Reject> {
    let mut items = Items { rest: payload };
    let read = seed.deserialize(&mut items).and_then(|()| match items.rest.len() {
        0 => Ok(()),
        left => Err(MsgpackError(format!("{left} bytes follow it"))),
    });
    read.map_err(|error| {
        let at = payload.len().saturating_sub(items.rest.len());
        let problem = format!("{} (at byte {at} of {})", error.0, payload.len());
        Reject::Syntax { format: "MessagePack", problem }
    })
}

/// The values of a payload; `None` if it is no MessagePack, or has bytes in it.
pub(in crate::pipeline) fn value(payload: &[u8]) -> Option<serde_json::Value> {
    /// Reads into the place that it borrows.
    struct Place<'v>(&'v mut serde_json::Value);

    impl<'de> DeserializeSeed<'de> for Place<'_> {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            *self.0 = serde::Deserialize::deserialize(deserializer)?;
            Ok(())
        }
    }

    /// Reads to the end, within the bound on nesting.
    struct Bounded;

    impl<'de> DeserializeSeed<'de> for Bounded {
        type Value = ();

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            ScalarSeed::default().deserialize(deserializer).map(|_scalar| ())
        }
    }

    read(payload, Bounded).ok()?;
    let mut value = serde_json::Value::Null;
    read(payload, Place(&mut value)).is_ok().then_some(value)
}

/// Items one after the other.
struct Items<'p> {
    rest: &'p [u8],
}

#[derive(Debug)]
struct MsgpackError(String);

impl fmt::Display for MsgpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MsgpackError {}

impl serde::de::Error for MsgpackError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

fn too_short() -> MsgpackError {
    MsgpackError("it ends too early".to_owned())
}

/// The type of extensions that are timestamps.
const TIMESTAMP: i8 = -1;

impl<'p> Items<'p> {
    fn take(&mut self, len: usize) -> Result<&'p [u8], MsgpackError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MsgpackError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A length of 1, 2 or 4 bytes, as the lowest bits of a marker say.
    fn length(&mut self, size: u8) -> Result<usize, MsgpackError> {
        let length = match size {
            0 => u32::from(u8::from_be_bytes(self.array()?)),
            1 => u32::from(u16::from_be_bytes(self.array()?)),
            _ => u32::from_be_bytes(self.array()?),
        };
        usize::try_from(length).map_err(|_| too_short())
    }

    fn text<V: Visitor<'p>>(&mut self, len: usize, visitor: V) -> Result<V::Value, MsgpackError> {
        let text = std::str::from_utf8(self.take(len)?);
        visitor.visit_str(text.map_err(|_| MsgpackError("a text is not UTF-8".to_owned()))?)
    }

    fn list<V: Visitor<'p>>(&mut self, left: usize, visitor: V) -> Result<V::Value, MsgpackError> {
        visitor.visit_seq(Within { items: self, left })
    }

    fn map<V: Visitor<'p>>(&mut self, left: usize, visitor: V) -> Result<V::Value, MsgpackError> {
        visitor.visit_map(Within { items: self, left })
    }

    /// An extension: a timestamp as a text, others as their bytes.
    fn extension<V: Visitor<'p>>(
        &mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, MsgpackError> {
        let kind = i8::from_be_bytes(self.array()?);
        let bytes = self.take(len)?;
        match timestamp(bytes).filter(|_| kind == TIMESTAMP) {
            Some(time) => visitor.visit_str(&precise(time)),
            None => visitor.visit_bytes(bytes),
        }
    }
}

/// The time of a timestamp extension.
fn timestamp(bytes: &[u8]) -> Option<Timestamp> {
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, i64::try_from(both >> 34).ok()?)
        }
        12 => {
            let (nanos, seconds) = bytes.split_first_chunk::<4>()?;
            let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
            (seconds, i64::from(u32::from_be_bytes(*nanos)))
        }
        _ => return None,
    };
    Some(Timestamp(seconds.checked_mul(1_000_000)?.checked_add(nanos / 1000)?))
}

impl<'de> Deserializer<'de> for &mut Items<'de> {
    type Error = MsgpackError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, MsgpackError> {
        let [marker] = self.array()?;
        match marker {
            0x00..=0x7f => visitor.visit_u64(u64::from(marker)),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f), visitor),
            0x90..=0x9f => self.list(usize::from(marker & 0x0f), visitor),
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f), visitor),
            0xc0 => visitor.visit_unit(),
            0xc1 => Err(MsgpackError("0xc1 begins no item".to_owned())),
            0xc2 | 0xc3 => visitor.visit_bool(marker == 0xc3),
            0xc4..=0xc6 => {
                let len = self.length(marker - 0xc4)?;
                visitor.visit_bytes(self.take(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.length(marker - 0xc7)?;
                self.extension(len, visitor)
            }
            0xca => visitor.visit_f64(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            0xcc => visitor.visit_u64(u64::from(u8::from_be_bytes(self.array()?))),
            0xcd => visitor.visit_u64(u64::from(u16::from_be_bytes(self.array()?))),
            0xce => visitor.visit_u64(u64::from(u32::from_be_bytes(self.array()?))),
            0xcf => visitor.visit_u64(u64::from_be_bytes(self.array()?)),
            0xd0 => visitor.visit_i64(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => visitor.visit_i64(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => visitor.visit_i64(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => visitor.visit_i64(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4), visitor),
            0xd9..=0xdb => {
                let len = self.length(marker - 0xd9)?;
                self.text(len, visitor)
            }
            0xdc | 0xdd => {
                let len = self.length(marker - 0xdb)?;
                self.list(len, visitor)
            }
            0xde | 0xdf => {
                let len = self.length(marker - 0xdd)?;
                self.map(len, visitor)
            }
            0xe0..=0xff => visitor.visit_i64(i64::from(i8::from_be_bytes([marker]))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// The rest of an array or map.
struct Within<'i, 'p> {
    items: &'i mut Items<'p>,
    left: usize,
}

impl Within<'_, '_> {
    fn more(&mut self) -> bool {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        more
    }
}

impl<'p> SeqAccess<'p> for Within<'_, 'p> {
    type Error = MsgpackError;

    fn next_element_seed<T: DeserializeSeed<'p>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, MsgpackError> {
        if self.more() { seed.deserialize(&mut *self.items).map(Some) } else { Ok(None) }
    }
}

impl<'p> MapAccess<'p> for Within<'_, 'p> {
    type Error = MsgpackError;

    fn next_key_seed<K: DeserializeSeed<'p>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, MsgpackError> {
        if self.more() { seed.deserialize(&mut *self.items).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'p>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, MsgpackError> {
        seed.deserialize(&mut *self.items)
    }
}
