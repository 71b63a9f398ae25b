//! Numbers in binary payloads: their types, and the layout of records of them.

use std::fmt;

use crate::tensor::Dtype;

/// A binary number: its type and its byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryNumber {
    pub kind: NumberKind,
    pub order: ByteOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberKind {
    I8,
    U8,
    I16,
    U16,
    I24,
    U24,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    Little,
    Big,
    /// Big-endian words of 16 bits, the lowest first: `CDAB` of Modbus devices.
    WordSwapped,
    /// Little-endian words of 16 bits, the highest first: `BADC`.
    ByteSwapped,
}

/// The ends of names that tell the byte order.
const ORDERS: [(&str, ByteOrder); 4] = [
    ("le", ByteOrder::Little),
    ("be", ByteOrder::Big),
    ("cdab", ByteOrder::WordSwapped),
    ("badc", ByteOrder::ByteSwapped),
];

const KINDS: [(&str, NumberKind); 13] = [
    ("i8", NumberKind::I8),
    ("u8", NumberKind::U8),
    ("i16", NumberKind::I16),
    ("u16", NumberKind::U16),
    ("i24", NumberKind::I24),
    ("u24", NumberKind::U24),
    ("i32", NumberKind::I32),
    ("u32", NumberKind::U32),
    ("i64", NumberKind::I64),
    ("u64", NumberKind::U64),
    ("f16", NumberKind::F16),
    ("f32", NumberKind::F32),
    ("f64", NumberKind::F64),
];

impl NumberKind {
    /// Bytes of a number.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I24 | Self::U24 => 3,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

impl BinaryNumber {
    #[must_use]
    pub const fn little(kind: NumberKind) -> Self {
        Self { kind, order: ByteOrder::Little }
    }

    #[must_use]
    pub const fn big(kind: NumberKind) -> Self {
        Self { kind, order: ByteOrder::Big }
    }

    /// Bytes of the number.
    #[must_use]
    pub fn size(self) -> usize {
        self.kind.size()
    }

    /// Parses `u8`, `i16le`, `f32be`, `f32cdab`; only numbers of one byte have no byte order, and
    /// words are swapped in numbers of two or four.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let of = |name: &str| KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        if let Some(kind) = of(name).filter(|kind| kind.size() == 1) {
            return Some(Self::little(kind));
        }
        ORDERS.iter().find_map(|(end, order)| {
            let kind = name.strip_suffix(end).and_then(of)?;
            let least = match order {
                ByteOrder::Little | ByteOrder::Big => 2,
                ByteOrder::WordSwapped | ByteOrder::ByteSwapped => 4,
            };
            (kind.size() >= least).then_some(Self { kind, order: *order })
        })
    }

    /// The element type of tensors whose elements lie in memory as these numbers do.
    pub(super) fn dtype(self) -> Option<Dtype> {
        let dtype = match self.kind {
            NumberKind::I8 => Dtype::I8,
            NumberKind::U8 => Dtype::U8,
            NumberKind::I16 => Dtype::I16,
            NumberKind::U16 => Dtype::U16,
            NumberKind::I32 => Dtype::I32,
            NumberKind::I64 => Dtype::I64,
            NumberKind::F32 => Dtype::F32,
            NumberKind::F64 => Dtype::F64,
            NumberKind::I24 | NumberKind::U24 | NumberKind::U32 => return None,
            NumberKind::U64 | NumberKind::F16 => return None,
        };
        (self.order == ByteOrder::Little).then_some(dtype)
    }
}

impl fmt::Display for BinaryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        let end = ORDERS.iter().find(|(_, order)| *order == self.order).map_or("", |(end, _)| end);
        write!(f, "{name}{}", if self.size() == 1 { "" } else { end })
    }
}

/// `payload.bytes`: numbers in bytes, either the payload as a whole or a field of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bytes {
    /// The field with the bytes; `None` where the payload as a whole is the bytes.
    pub at: Option<String>,
    /// How the bytes are written as text; `None` where they are bytes.
    pub encoding: Option<BytesEncoding>,
    /// A record, number after number. It repeats until the end of the bytes.
    pub layout: Vec<LayoutItem>,
}

impl Bytes {
    /// Bytes of a record.
    #[must_use]
    pub fn record_size(&self) -> usize {
        self.layout.iter().map(LayoutItem::size).sum()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesEncoding {
    Base64,
    Hex,
}

/// A number of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct LayoutItem {
    pub number: BinaryNumber,
    /// Only what is skipped may be several numbers.
    pub count: usize,
    /// `None` for what is skipped.
    pub name: Option<String>,
    /// What is done to the number, in order.
    pub steps: Vec<ScalingStep>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScalingStep {
    Multiply(f64),
    Divide(f64),
    Add(f64),
    Subtract(f64),
}

/// The name for numbers that are not used.
const SKIP: &str = "skip";

/// Steps of a number.
const MAX_STEPS: usize = 4;

/// Numbers that one item skips.
const MAX_SKIPPED: usize = 65_536;

impl LayoutItem {
    /// Bytes of the item.
    #[must_use]
    pub fn size(&self) -> usize {
        self.number.size().saturating_mul(self.count)
    }

    /// Parses `i16be t / 10 - 40`, `u8 skip` or `u8[5] skip`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let (kind, count) = kind_and_count(words.next().unwrap_or_default())?;
        let number = BinaryNumber::parse(kind).ok_or_else(|| {
            format!(
                "{kind:?} is no type: u8, i8, or one of 16 to 64 bits with its byte order, as in \
                 i16be, u24le, f32be or f32cdab"
            )
        })?;
        let name = words.next().ok_or("the name is missing; \"skip\" passes a number over")?;
        if name.contains(['*', '/', '+']) {
            return Err(format!("{name:?} is no name: put spaces around * / + -"));
        }
        let name = (name != SKIP).then(|| name.to_owned());
        let mut steps = Vec::new();
        while let Some(sign) = words.next() {
            steps.push(step(sign, words.next())?);
        }
        if name.is_none() && !steps.is_empty() {
            return Err("what is skipped has no scale".to_owned());
        }
        if name.is_some() && count != 1 {
            return Err("only what is skipped may be several numbers".to_owned());
        }
        if steps.len() > MAX_STEPS {
            return Err(format!("more than {MAX_STEPS} steps"));
        }
        Ok(Self { number, count, name, steps })
    }
}

/// `u8` or `u8[5]`
fn kind_and_count(word: &str) -> Result<(&str, usize), String> {
    let Some((kind, rest)) = word.split_once('[') else { return Ok((word, 1)) };
    let count = rest.strip_suffix(']').and_then(|count| count.parse().ok());
    let count = count.filter(|count| (1..=MAX_SKIPPED).contains(count));
    count.map(|count| (kind, count)).ok_or_else(|| format!("{word:?} is no count of numbers"))
}

fn step(sign: &str, number: Option<&str>) -> Result<ScalingStep, String> {
    let number = number.ok_or_else(|| format!("a number is missing after {sign}"))?;
    let value: f64 = number.parse().map_err(|_| format!("{number:?} is no number"))?;
    if !value.is_finite() || (value == 0.0 && matches!(sign, "*" | "/")) {
        return Err(format!("{sign} {number} gives no reading"));
    }
    match sign {
        "*" => Ok(ScalingStep::Multiply(value)),
        "/" => Ok(ScalingStep::Divide(value)),
        "+" => Ok(ScalingStep::Add(value)),
        "-" => Ok(ScalingStep::Subtract(value)),
        other => Err(format!("{other:?} is none of * / + - (with spaces around it)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_written_as_it_is_read() {
        let mut all = 0;
        for (_, kind) in KINDS {
            for (_, order) in ORDERS.into_iter().filter(|(end, _)| kind.size() >= end.len()) {
                let number = BinaryNumber { kind, order };
                let read = BinaryNumber::parse(&number.to_string()).unwrap();
                assert_eq!((read.kind, read.to_string()), (kind, number.to_string()));
                all += 1;
            }
        }
        assert_eq!(all, 34);
        for name in ["i8", "u8"] {
            assert_eq!(BinaryNumber::parse(name).unwrap().to_string(), name);
        }
        for bad in ["", "i16", "u8be", "i8le", "f8", "i24", "le", "i16ble", "i16cdab"] {
            assert_eq!(BinaryNumber::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_item_has_a_type_a_name_and_steps() {
        let item = LayoutItem::parse("i16be t / 10 - 40").unwrap();
        assert_eq!(item.number, BinaryNumber::big(NumberKind::I16));
        assert_eq!(item.name.as_deref(), Some("t"));
        assert_eq!(item.steps, [ScalingStep::Divide(10.0), ScalingStep::Subtract(40.0)]);
        let skipped = LayoutItem::parse("u24le[3] skip").unwrap();
        assert_eq!((skipped.size(), skipped.name), (9, None));
    }

    #[test]
    fn a_bad_item_says_why() {
        let table = [
            ("", "is no type"),
            ("i16 t", "is no type"),
            ("u8", "name is missing"),
            ("u8 t /", "number is missing"),
            ("u8 t / ten", "is no number"),
            ("u8 t / 0", "gives no reading"),
            ("u8 t * inf", "gives no reading"),
            ("u8 t/10", "put spaces"),
            ("u8 t ^ 2", "none of"),
            ("u8 skip / 10", "no scale"),
            ("u8[2] t", "only what is skipped"),
            ("u8[0] skip", "no count"),
            ("u8[99999999] skip", "no count"),
            ("u8 t + 1 + 1 + 1 + 1 + 1", "more than 4"),
        ];
        for (text, why) in table {
            let reason = LayoutItem::parse(text).unwrap_err();
            assert!(reason.contains(why), "{text}: {reason}");
        }
    }
}
