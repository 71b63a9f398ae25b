//! The wire format of Protocol Buffers (<https://protobuf.dev/programming-guides/encoding/>): the
//! fields of a message one after the other, without copies.

/// The fields of a message.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'p> {
    rest: &'p [u8],
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'p> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'p [u8]),
}

/// Why bytes are no message.
pub(crate) type Malformed = &'static str;

const TOO_SHORT: Malformed = "it ends too early";

impl<'p> Fields<'p> {
    pub(crate) fn of(message: &'p [u8]) -> Self {
        Self { rest: message }
    }

    /// The number and the value of the next field; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value<'p>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| TOO_SHORT)?;
                let (bytes, rest) = self.rest.split_at_checked(len).ok_or(TOO_SHORT)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(self.array()?),
            3 | 4 => {
                return Err("it has a group of proto2, which is not read, or is of another format");
            }
            _ => return Err("a field has an unknown wire type"),
        };
        Ok(Some((tag >> 3, value)))
    }

    /// The next number of a packed field.
    pub(crate) fn next_varint(&mut self) -> Result<Option<u64>, Malformed> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    /// The next number of a packed field, of `N` bytes.
    pub(crate) fn next_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Malformed> {
        if self.rest.is_empty() { Ok(None) } else { self.array().map(Some) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(TOO_SHORT)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number has more than 64 bits")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_have_numbers_and_values() {
        let message = [
            0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0xc0, 0x3f, 0x21, 1, 2, 3, 4, 5, 6,
            7, 8,
        ];
        let mut fields = Fields::of(&message);
        assert_eq!(fields.next(), Ok(Some((1, Value::Varint(150)))));
        assert_eq!(fields.next(), Ok(Some((2, Value::Bytes(b"hi")))));
        assert_eq!(fields.next(), Ok(Some((3, Value::Fixed32([0, 0, 0xc0, 0x3f])))));
        assert_eq!(fields.next(), Ok(Some((4, Value::Fixed64([1, 2, 3, 4, 5, 6, 7, 8])))));
        assert_eq!(fields.next(), Ok(None));
        let max = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Fields::of(&max).next(), Ok(Some((1, Value::Varint(u64::MAX)))));
    }

    proptest! {
        #[test]
        fn any_bytes_end(message in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut fields = Fields::of(&message);
            let mut count = 0;
            while let Ok(Some(_)) = fields.next() {
                count += 1;
            }
            prop_assert!(count * 2 <= message.len());
        }
    }
}
