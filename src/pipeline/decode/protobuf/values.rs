//! Messages and the values of their fields.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::vec;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::error::ProtobufError;
use super::scalars::{MapKey, bytes_of, is_of, scalar};
use crate::clock::Timestamp;
use crate::pipeline::decode::time::precise;
use crate::protobuf::wire::{Fields, Value};
use crate::protobuf::{FieldKind, FieldType, MessageType, MessageTypes};

/// Values of known fields in one message; each takes 40 bytes of memory while it is read.
const MAX_VALUES: usize = 1 << 18;

/// A message that is read.
#[derive(Clone, Copy)]
pub(super) struct Message<'m> {
    types: &'m MessageTypes,
    of: &'m MessageType,
    bytes: &'m [u8],
}

/// The place of a field in its type, and one of its values.
type Found<'m> = (usize, Value<'m>);

impl<'m> Message<'m> {
    pub(super) fn new(types: &'m MessageTypes, of: &'m MessageType, bytes: &'m [u8]) -> Self {
        Self { types, of, bytes }
    }

    /// The values of the known fields, in the order of the type.
    fn values(&self) -> Result<Vec<Found<'m>>, ProtobufError> {
        let (mut values, mut has_unknown) = (Vec::new(), false);
        let mut fields = Fields::of(self.bytes);
        while let Some((number, value)) = fields.next()? {
            let Some(place) = self.of.find(number) else {
                has_unknown = true;
                continue;
            };
            if let Some(field) = self.of.fields.get(place).filter(|it| !is_of(it, value)) {
                let name = format!("{}.{}", self.of.name, field.name);
                return Err(ProtobufError(format!(
                    "field {name} is written as another type than payload.descriptors says"
                )));
            }
            if values.len() >= MAX_VALUES {
                return Err(ProtobufError(format!("it has more than {MAX_VALUES} values")));
            }
            values.push((place, value));
        }
        if values.is_empty() && has_unknown {
            let name = &self.of.name;
            return Err(ProtobufError(format!("it has fields, and none that {name} has")));
        }
        self.keep_last_of_oneofs(&mut values);
        values.sort_by_key(|(place, _)| *place);
        Ok(values)
    }

    /// A member of a `oneof` clears the others: only the values after the last change of the member
    /// count.
    fn keep_last_of_oneofs(&self, values: &mut Vec<Found<'m>>) {
        let oneof = |place: usize| self.of.fields.get(place).and_then(|field| field.oneof);
        if !values.iter().any(|(place, _)| oneof(*place).is_some()) {
            return;
        }
        // The last member of each, and whether another one came before.
        let mut last: HashMap<u64, (usize, bool)> = HashMap::new();
        values.reverse();
        values.retain(|(place, _)| {
            let Some(oneof) = oneof(*place) else { return true };
            let (member, is_over) = last.entry(oneof).or_insert((*place, false));
            *is_over |= *member != *place;
            !*is_over
        });
        values.reverse();
    }

    /// The time that the message is, if it is the well-known type of one.
    fn timestamp(&self) -> Result<Option<Timestamp>, ProtobufError> {
        if !self.of.is_timestamp() {
            return Ok(None);
        }
        let (mut seconds, mut nanos) = (0_i64, 0_i64);
        let mut fields = Fields::of(self.bytes);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Varint(value)) => seconds = value.cast_signed(),
                (2, Value::Varint(value)) => nanos = value.cast_signed(),
                _ => {}
            }
        }
        // The years 1 to 9999.
        if !(-62_135_596_800..=253_402_300_799).contains(&seconds) {
            return Err("a time is out of range".into());
        }
        Ok(Some(Timestamp(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000))))
    }
}

impl<'de> Deserializer<'de> for Message<'_> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        if let Some(time) = self.timestamp()? {
            return visitor.visit_str(&precise(time));
        }
        let values = self.values()?;
        visitor.visit_map(Members { message: self, values: &values, next: 0 })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The members of a message: those that are there, and those whose absence is a value.
struct Members<'m, 'v> {
    message: Message<'m>,
    values: &'v [Found<'m>],
    /// The place of the next field.
    next: usize,
}

impl<'de> MapAccess<'de> for Members<'_, '_> {
    type Error = ProtobufError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ProtobufError> {
        while let Some(field) = self.message.of.fields.get(self.next) {
            let is_there = self.values.first().is_some_and(|(place, _)| *place == self.next);
            if is_there || !(field.is_repeated || field.has_presence) {
                let name: StrDeserializer<'_, ProtobufError> =
                    field.name.as_str().into_deserializer();
                return seed.deserialize(name).map(Some);
            }
            self.next = self.next.saturating_add(1);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ProtobufError> {
        let count = self.values.iter().take_while(|(place, _)| *place == self.next).count();
        let (own, rest) = self.values.split_at(count);
        let field = self.message.of.fields.get(self.next).ok_or("a member without a name")?;
        self.values = rest;
        self.next = self.next.saturating_add(1);
        seed.deserialize(Member { types: self.message.types, field, values: own })
    }
}

/// The values of a field.
#[derive(Clone, Copy)]
struct Member<'m, 'v> {
    types: &'m MessageTypes,
    field: &'m FieldType,
    values: &'v [Found<'m>],
}

impl<'de> Deserializer<'de> for Member<'_, '_> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        let of = self.types.of(self.field.kind);
        match of {
            Some(entry) if entry.is_map_entry => visitor.visit_map(self.entries(entry)?),
            _ if self.field.is_repeated => {
                visitor.visit_seq(Elements { member: self, packed: None })
            }
            Some(of) => Message::new(self.types, of, &self.merged()).deserialize_any(visitor),
            None => {
                let last = self.values.last().map(|(_, value)| *value);
                scalar(self.field.kind, last, visitor)
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

impl<'m> Member<'m, '_> {
    /// The bytes of a message. One that is written in several parts is their concatenation.
    fn merged(&self) -> Cow<'m, [u8]> {
        match self.values {
            [] => Cow::Borrowed(&[]),
            [(_, value)] => Cow::Borrowed(bytes_of(*value)),
            parts => {
                Cow::Owned(parts.iter().flat_map(|(_, part)| bytes_of(*part)).copied().collect())
            }
        }
    }

    /// The entries of a map. The last one of a key counts.
    fn entries(&self, entry: &'m MessageType) -> Result<Entries<'m>, ProtobufError> {
        let mut entries = BTreeMap::new();
        for (_, value) in self.values {
            let message = Message::new(self.types, entry, bytes_of(*value));
            let found = message.values()?;
            let last = |wanted: usize| {
                found.iter().rev().find(|(place, _)| *place == wanted).map(|(_, value)| *value)
            };
            let key = entry.fields.first().ok_or("a map without a key")?;
            let key = scalar(key.kind, last(0), MapKey)?;
            _ = entries.insert(key, last(1));
        }
        let value = entry.fields.get(1).ok_or("a map without values")?;
        Ok(Entries {
            types: self.types,
            field: value,
            entries: entries.into_iter().collect::<Vec<_>>().into_iter(),
            value: None,
        })
    }
}

/// The elements of a repeated field, packed or not.
struct Elements<'m, 'v> {
    member: Member<'m, 'v>,
    /// The rest of the values that are packed into one.
    packed: Option<Fields<'m>>,
}

impl<'m> Elements<'m, '_> {
    fn next(&mut self) -> Result<Option<Value<'m>>, ProtobufError> {
        let kind = self.member.field.kind;
        loop {
            if let Some(packed) = &mut self.packed {
                let value = match kind {
                    FieldKind::Double | FieldKind::Fixed64 | FieldKind::Sfixed64 => {
                        packed.next_array()?.map(Value::Fixed64)
                    }
                    FieldKind::Float | FieldKind::Fixed32 | FieldKind::Sfixed32 => {
                        packed.next_array()?.map(Value::Fixed32)
                    }
                    _ => packed.next_varint()?.map(Value::Varint),
                };
                if value.is_some() {
                    return Ok(value);
                }
                self.packed = None;
            }
            let Some(((_, value), rest)) = self.member.values.split_first() else {
                return Ok(None);
            };
            self.member.values = rest;
            match value {
                Value::Bytes(bytes) if kind.is_packable() => self.packed = Some(Fields::of(bytes)),
                value => return Ok(Some(*value)),
            }
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = ProtobufError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ProtobufError> {
        let Some(value) = self.next()? else { return Ok(None) };
        let Member { types, field, .. } = self.member;
        seed.deserialize(Single { types, kind: field.kind, value: Some(value) }).map(Some)
    }
}

/// The entries of a map.
struct Entries<'m> {
    types: &'m MessageTypes,
    /// Of the values.
    field: &'m FieldType,
    entries: vec::IntoIter<(String, Option<Value<'m>>)>,
    value: Option<Value<'m>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ProtobufError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ProtobufError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = value;
        let key: StrDeserializer<'_, ProtobufError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, ProtobufError> {
        let (types, kind) = (self.types, self.field.kind);
        seed.deserialize(Single { types, kind, value: self.value.take() })
    }
}

/// One value, or the one that its absence stands for.
struct Single<'m> {
    types: &'m MessageTypes,
    kind: FieldKind,
    value: Option<Value<'m>>,
}

impl<'de> Deserializer<'de> for Single<'_> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        match self.types.of(self.kind) {
            Some(of) => {
                let bytes = self.value.map(bytes_of).unwrap_or_default();
                Message::new(self.types, of, bytes).deserialize_any(visitor)
            }
            None => scalar(self.kind, self.value, visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}
