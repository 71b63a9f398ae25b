//! Binary numbers of every type and byte order.

use crate::config::{BinaryNumber, ByteOrder, NumberKind};

/// A binary number as it was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Whole(i128),
    Real(f64),
}

impl Value {
    #[expect(clippy::cast_precision_loss, reason = "integers above 2^53 are no readings")]
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Real(value) => value,
        }
    }
}

/// Reads a number; bytes beyond its size are none of it, and missing ones count as zero.
pub(super) fn read(number: BinaryNumber, bytes: &[u8]) -> Value {
    let size = number.size();
    let mut bits = 0_u64;
    let mut take = |byte: &u8| bits = (bits << 8) | u64::from(*byte);
    let bytes = bytes.get(..size).unwrap_or(bytes);
    match number.order {
        ByteOrder::Big => bytes.iter().for_each(&mut take),
        ByteOrder::Little => bytes.iter().rev().for_each(&mut take),
        ByteOrder::WordSwapped => bytes.chunks(2).rev().flatten().for_each(&mut take),
        ByteOrder::ByteSwapped => {
            bytes.chunks(2).flat_map(|word| word.iter().rev()).for_each(&mut take);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "the number has so many bits")]
    match number.kind {
        NumberKind::U8 | NumberKind::U16 | NumberKind::U24 | NumberKind::U32 | NumberKind::U64 => {
            Value::Whole(i128::from(bits))
        }
        NumberKind::I8 | NumberKind::I16 | NumberKind::I24 | NumberKind::I32 | NumberKind::I64 => {
            // The sign bit is moved to the top and back.
            let unused = 64_usize.saturating_sub(size.saturating_mul(8));
            Value::Whole(i128::from((bits << unused).cast_signed() >> unused))
        }
        NumberKind::F16 => Value::Real(half(bits as u16)),
        NumberKind::F32 => Value::Real(f64::from(f32::from_bits(bits as u32))),
        NumberKind::F64 => Value::Real(f64::from_bits(bits)),
    }
}

/// A half-precision number (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

/// Appends every number of `bytes`.
pub(super) fn append(number: BinaryNumber, bytes: &[u8], values: &mut Vec<f64>) {
    let each = bytes.chunks_exact(number.size().max(1));
    values.extend(each.map(|bytes| read(number, bytes).as_f64()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(name: &str, bytes: &[u8]) -> f64 {
        read(BinaryNumber::parse(name).unwrap(), bytes).as_f64()
    }

    #[test]
    fn numbers_of_every_type_have_their_values() {
        let table: &[(&str, &[u8], f64)] = &[
            ("i8", &[0xff], -1.0),
            ("u8", &[0xff], 255.0),
            ("i16be", &[0xff, 0x38], -200.0),
            ("u16be", &[1, 0x90], 400.0),
            ("i24le", &[0, 0, 0x80], -8_388_608.0),
            ("i24be", &[0xff, 0xff, 0xfe], -2.0),
            ("u24be", &[1, 0, 2], 65_538.0),
            ("i32be", &[0x80, 0, 0, 0], -2_147_483_648.0),
            ("u32le", &[0, 0, 0, 0x80], 2_147_483_648.0),
            ("i64be", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb], -5.0),
            ("u64le", &[0, 0, 0, 0, 0, 0, 0, 0x80], 9_223_372_036_854_775_808.0),
            ("f32be", &[0x3f, 0xc0, 0, 0], 1.5),
            ("f64be", &[0xc0, 0, 0, 0, 0, 0, 0, 0], -2.0),
            ("f32cdab", &[0, 0, 0x3f, 0xc0], 1.5),
            ("f32badc", &[0xc0, 0x3f, 0, 0], 1.5),
            ("u32cdab", &[3, 4, 1, 2], 16_909_060.0),
            ("u32badc", &[2, 1, 4, 3], 16_909_060.0),
            ("i64cdab", &[0xff, 0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -5.0),
            ("f64badc", &[0, 0xc0, 0, 0, 0, 0, 0, 0], -2.0),
            // RFC 8949, appendix A.
            ("f16be", &[0x00, 0x01], 5.960_464_477_539_063e-8),
            ("f16be", &[0x04, 0x00], 0.000_061_035_156_25),
            ("f16be", &[0xc4, 0x00], -4.0),
            ("f16be", &[0x7b, 0xff], 65_504.0),
            ("f16le", &[0x00, 0x7c], f64::INFINITY),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(value(name, bytes), *expected, "{name} {bytes:?}");
        }
        assert!(value("f16be", &[0x7e, 0]).is_nan());
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_the_language_reads_them(b in any::<[u8; 8]>()) {
            let [b0, b1, b2, b3, ..] = b;
            prop_assert_eq!(value("i16le", &b), f64::from(i16::from_le_bytes([b0, b1])));
            prop_assert_eq!(value("u16be", &b), f64::from(u16::from_be_bytes([b0, b1])));
            prop_assert_eq!(value("i32be", &b), f64::from(i32::from_be_bytes([b0, b1, b2, b3])));
            prop_assert_eq!(value("u32le", &b), f64::from(u32::from_le_bytes([b0, b1, b2, b3])));
            prop_assert_eq!(value("i64le", &b), i64::from_le_bytes(b) as f64);
            prop_assert_eq!(value("u64be", &b), u64::from_be_bytes(b) as f64);
            let real = f64::from_be_bytes(b);
            prop_assert_eq!(value("f64be", &b).to_bits(), real.to_bits());
            let three = i32::from_be_bytes([b0, b1, b2, 0]) >> 8;
            prop_assert_eq!(value("i24be", &b), f64::from(three));
        }
    }
}
