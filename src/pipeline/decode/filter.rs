//! Messages that are passed over because a field has another value than the stream asks for.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::cbor::ByteString;
use super::decoder::{Decoded, PayloadDecoder};
use super::field_tree::{Node, Slot};
use super::key::Key;
use super::payload_visitor::MAX_NESTING;
use super::schema::PayloadSchema;
use super::structured::{self, Structure};
use crate::clock::Timestamp;
use crate::config::Format;
use crate::config::tree::Scalar;
use crate::pipeline::reject::Reject;

/// What a stream asks of its messages.
#[derive(Debug)]
pub(super) struct Filter {
    structure: Structure,
    /// Where in a message each condition looks.
    tree: Node,
    /// The values that each allows.
    allowed: Vec<Vec<Scalar>>,
}

impl Filter {
    /// `None` where every message is of the stream, or lines are passed over rather than messages.
    pub(super) fn new(schema: &PayloadSchema) -> Option<Self> {
        if schema.filter.is_empty() || schema.format == Format::Csv {
            return None;
        }
        let mut tree = Node::default();
        for (condition, (field, _)) in schema.filter.iter().enumerate() {
            tree.add(field, Slot::Condition(condition));
        }
        let allowed = schema.filter.iter().map(|(_, values)| values.clone()).collect();
        Some(Self { structure: Structure::of(schema), tree, allowed })
    }

    /// Whether a message is of the stream. One that cannot be read is, so that it is rejected with
    /// its reason.
    fn is_met(&self, payload: &[u8]) -> bool {
        let mut met = vec![false; self.allowed.len()];
        let search = Search { node: Some(&self.tree), filter: self, met: &mut met, depth: 0 };
        let is_read = structured::read(&self.structure, payload, search).is_ok();
        !is_read || met.iter().all(|met| *met)
    }
}

/// Gives messages of the stream to another decoder.
#[derive(Debug)]
pub(super) struct FilterDecoder {
    decoder: Box<dyn PayloadDecoder>,
    filter: Filter,
}

impl FilterDecoder {
    pub(super) fn new(decoder: Box<dyn PayloadDecoder>, filter: Filter) -> Self {
        Self { decoder, filter }
    }
}

impl PayloadDecoder for FilterDecoder {
    fn begin(&mut self, topic: &str, received: Timestamp) {
        self.decoder.begin(topic, received);
    }

    fn decode(&mut self, payload: &[u8], out: &mut Decoded) -> Result<(), Reject> {
        if self.filter.is_met(payload) {
            return self.decoder.decode(payload, out);
        }
        let samples = out.samples_mut();
        samples.clear();
        samples.skipped = 1;
        Ok(())
    }
}

/// A value in which conditions look for theirs.
struct Search<'f, 'm> {
    /// Where the value is; `None` where no condition looks.
    node: Option<&'f Node>,
    filter: &'f Filter,
    met: &'m mut [bool],
    depth: usize,
}

impl<'f> Search<'f, '_> {
    fn note(self, is_value: impl Fn(&Scalar) -> bool) {
        let Some(Slot::Condition(condition)) = self.node.and_then(|node| node.slot) else { return };
        let allowed = self.filter.allowed.get(condition);
        let met = allowed.is_some_and(|values| values.iter().any(is_value));
        if let Some(place) = self.met.get_mut(condition) {
            *place = met;
        }
    }

    fn number(self, number: f64) {
        #[expect(clippy::float_cmp, reason = "a value that was written is meant as written")]
        self.note(|value| matches!(value, Scalar::Number(wanted) if *wanted == number));
    }

    fn within<E: Error>(&mut self, node: Option<&'f Node>) -> Result<Search<'f, '_>, E> {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_NESTING {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Search { node, filter: self.filter, met: self.met, depth })
    }
}

impl<'de> DeserializeSeed<'de> for Search<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.node {
            // A message of another type may be there, which the decoder reads or refuses.
            None if matches!(self.filter.structure, Structure::Protobuf(_)) => {
                deserializer.deserialize_ignored_any(self)
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Search<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.note(|value| *value == Scalar::Bool(flag));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(number);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of a configuration are smaller")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(number as f64);
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of a configuration are smaller")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(number as f64);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.note(|value| matches!(value, Scalar::Text(wanted) if wanted == text));
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bytes<E: Error>(self, _bytes: &[u8]) -> Result<(), E> {
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        ByteString::deserialize(value).map(|_| ())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        static NOTHING: Node = Node::EMPTY;
        let node = self.node.unwrap_or(&NOTHING);
        let mut next = 0;
        while let Some(found) = map.next_key_seed(Key { node, next })? {
            let child = found.and_then(|place| node.child(place));
            next = found.map_or(next, |place| place.saturating_add(1));
            map.next_value_seed(self.within(child)?)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let node = self.node;
        for index in 0.. {
            let place = node.and_then(|node| node.find_index(index));
            let child = node.zip(place).and_then(|(node, place)| node.child(place));
            if seq.next_element_seed(self.within(child)?)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}
