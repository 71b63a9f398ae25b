//! Typed arrays of CBOR (RFC 8746): byte strings of numbers, whose tag says which.

use std::marker::PhantomData;

use serde::de::value::F64Deserializer;
use serde::de::{DeserializeSeed, Error, IntoDeserializer, SeqAccess};

use super::binary;
use crate::config::{BinaryNumber, NumberKind};

/// The numbers of a typed array with this tag; `None` for other tags, and for 128-bit floats.
pub(super) fn number(tag: u64) -> Option<BinaryNumber> {
    // Section 2.1: 0b010_f_s_e_ll, where f is float, s is signed, e is little-endian and ll is
    // the length.
    if !(64..=87).contains(&tag) {
        return None;
    }
    let kind = match (tag & 0b10000 != 0, tag & 0b1000 != 0, tag & 0b11) {
        (false, false, 0) => NumberKind::U8,
        (false, false, 1) => NumberKind::U16,
        (false, false, 2) => NumberKind::U32,
        (false, false, _) => NumberKind::U64,
        (false, true, 0) if tag & 0b100 == 0 => NumberKind::I8,
        (false, true, 1) => NumberKind::I16,
        (false, true, 2) => NumberKind::I32,
        (false, true, 3) => NumberKind::I64,
        (true, _, 0) => NumberKind::F16,
        (true, _, 1) => NumberKind::F32,
        (true, _, 2) => NumberKind::F64,
        _ => return None,
    };
    let is_little = tag & 0b100 != 0;
    Some(if is_little { BinaryNumber::little(kind) } else { BinaryNumber::big(kind) })
}

/// The numbers of a typed array, as a sequence.
pub(super) struct Numbers<'b, E> {
    number: BinaryNumber,
    rest: &'b [u8],
    error: PhantomData<E>,
}

impl<'b, E> Numbers<'b, E> {
    /// `None` for bytes that are no whole number of numbers.
    pub(super) fn new(number: BinaryNumber, bytes: &'b [u8]) -> Option<Self> {
        let whole = bytes.len().is_multiple_of(number.size());
        whole.then_some(Self { number, rest: bytes, error: PhantomData })
    }
}

impl<'de, E: Error> SeqAccess<'de> for Numbers<'_, E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, E> {
        let Some((bytes, rest)) = self.rest.split_at_checked(self.number.size()) else {
            return Ok(None);
        };
        self.rest = rest;
        let value: F64Deserializer<E> =
            binary::read(self.number, bytes).as_f64().into_deserializer();
        seed.deserialize(value).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_their_numbers() {
        // RFC 8746, table 4.
        let table = [
            (64, "u8"),
            (65, "u16be"),
            (66, "u32be"),
            (67, "u64be"),
            (68, "u8"),
            (69, "u16le"),
            (70, "u32le"),
            (71, "u64le"),
            (72, "i8"),
            (73, "i16be"),
            (74, "i32be"),
            (75, "i64be"),
            (77, "i16le"),
            (78, "i32le"),
            (79, "i64le"),
            (80, "f16be"),
            (81, "f32be"),
            (82, "f64be"),
            (84, "f16le"),
            (85, "f32le"),
            (86, "f64le"),
        ];
        for (tag, name) in table {
            assert_eq!(number(tag).unwrap().to_string(), name, "{tag}");
        }
        for none in [0, 40, 63, 76, 83, 87, 88, u64::MAX] {
            assert_eq!(number(none), None, "{none}");
        }
    }
}
