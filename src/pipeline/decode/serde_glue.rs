//! Serde's side of the walk: every kind of value is handed to the [`PayloadVisitor`] that it is read for.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::cbor::ByteString;
use super::payload_visitor::PayloadVisitor;
use super::typed_array::{self, Numbers};
use crate::pipeline::reject::Got;

impl<'de> DeserializeSeed<'de> for PayloadVisitor<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PayloadVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample")
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        let result = match self.device() {
            Some(part) => self.device_number(part, value),
            None => self.number(value),
        };
        self.stop(result)
    }

    #[expect(clippy::cast_precision_loss, reason = "readings above 2^53 are none")]
    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        let result = match self.device() {
            Some(part) => self.device_name(part, &value.to_string()),
            None => self.number(value as f64),
        };
        self.stop(result)
    }

    #[expect(clippy::cast_precision_loss, reason = "readings below -2^53 are none")]
    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        let result = match self.device() {
            Some(part) => self.device_name(part, &value.to_string()),
            None => self.number(value as f64),
        };
        self.stop(result)
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        let result = self.boolean(value);
        self.stop(result)
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        let result = self.text(text);
        self.stop(result)
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        let result = self.hole(Got::Null);
        self.stop(result)
    }

    fn visit_bytes<E: Error>(mut self, bytes: &[u8]) -> Result<(), E> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let result = self.not_a_number(Got::Bytes { len, tag: None });
        self.stop(result)
    }

    /// A byte string of CBOR with its tag: the numbers of a typed array, or no number.
    fn visit_newtype_struct<D: Deserializer<'de>>(mut self, value: D) -> Result<(), D::Error> {
        let ByteString { tag, bytes } = ByteString::deserialize(value)?;
        let numbers = tag.and_then(typed_array::number);
        if let Some(numbers) = numbers.and_then(|number| Numbers::new(number, &bytes)) {
            self.begin_typed_array();
            return self.visit_seq(numbers);
        }
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let result = self.not_a_number(Got::Bytes { len, tag });
        self.stop(result)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        match self.enter_map() {
            Ok((node, depth)) => self.members(node, depth, &mut map)?,
            Err(reject) => return self.stop(Err(reject)),
        }
        let result = self.leave_map();
        self.stop(result)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        match self.enter_seq() {
            Ok((role, depth)) => self.elements(role, depth, &mut seq)?,
            Err(reject) => return self.stop(Err(reject)),
        }
        let result = self.leave_seq();
        self.stop(result)
    }
}
