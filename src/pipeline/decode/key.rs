//! The names of members, looked up among the wanted ones without keeping them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use super::field_tree::Node;

/// Finds a member's name in a node without keeping it.
pub(super) struct Key<'t> {
    pub(super) node: &'t Node,
    pub(super) next: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.node.find(name, self.next))
    }

    /// CBOR maps may have numbers for names; a field of that number is meant.
    fn visit_u64<E: Error>(self, name: u64) -> Result<Self::Value, E> {
        Ok(usize::try_from(name).ok().and_then(|index| self.node.find_index(index)))
    }

    fn visit_i64<E: Error>(self, _name: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bytes<E: Error>(self, _name: &[u8]) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Self::Value, D::Error> {
        Ok(None)
    }
}
