//! Element types of tensors in a model, computable here or not.

use crate::tensor::Dtype;

/// An element type by the number that ONNX gives it, which attributes such as `to` of a Cast carry
/// too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct ElementType(i32);

impl ElementType {
    pub(in crate::engine) const F32: Self = Self(1);
    pub(in crate::engine) const U8: Self = Self(2);
    pub(in crate::engine) const I64: Self = Self(7);
    pub(in crate::engine) const STRING: Self = Self(8);
    pub(in crate::engine) const FLOAT16: Self = Self(10);
    pub(in crate::engine) const F64: Self = Self(11);
    pub(in crate::engine) const UINT32: Self = Self(12);
    pub(in crate::engine) const UINT64: Self = Self(13);
    pub(in crate::engine) const BFLOAT16: Self = Self(16);

    pub(in crate::engine) const fn from_code(code: i32) -> Self {
        Self(code)
    }

    /// The number of the type, as the integer attributes of a node hold it.
    pub(in crate::engine) const fn code(self) -> i32 {
        self.0
    }

    /// The name of the type in the ONNX specification; none if that does not have the number.
    pub(in crate::engine) fn name(self) -> Option<&'static str> {
        let index = usize::try_from(self.0).ok()?;
        NAMES.get(index).copied()
    }

    /// The type as the engine computes with it.
    ///
    /// # Errors
    /// A type that the engine does not compute with, and what to export instead.
    pub(in crate::engine) fn dtype(self) -> Result<Dtype, String> {
        match self.0 {
            1 => Ok(Dtype::F32),
            2 => Ok(Dtype::U8),
            3 => Ok(Dtype::I8),
            4 => Ok(Dtype::U16),
            5 => Ok(Dtype::I16),
            6 => Ok(Dtype::I32),
            7 => Ok(Dtype::I64),
            9 => Ok(Dtype::Bool),
            11 => Ok(Dtype::F64),
            code => Err(match self.name() {
                Some(name) => unsupported(name),
                None => format!("element type {code} is unknown: export the model in float32"),
            }),
        }
    }

    /// Size of an element in bytes; none for types without a whole number of bytes.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Self::FLOAT16 | Self::BFLOAT16 => Some(2),
            Self::UINT32 => Some(4),
            Self::UINT64 => Some(8),
            known => known.dtype().ok().map(Dtype::size),
        }
    }

    pub(in crate::engine) const fn is_half_precision(self) -> bool {
        matches!(self, Self::FLOAT16 | Self::BFLOAT16)
    }

    pub(in crate::engine) const fn is_4_bit_integer(self) -> bool {
        matches!(self.0, 21 | 22)
    }

    /// Whether this is a type of floats with 4 or 8 bits, or newer than those.
    pub(in crate::engine) const fn is_tiny_float(self) -> bool {
        matches!(self.0, 17..=20 | 23..)
    }
}

impl From<Dtype> for ElementType {
    fn from(dtype: Dtype) -> Self {
        Self(match dtype {
            Dtype::F32 => 1,
            Dtype::U8 => 2,
            Dtype::I8 => 3,
            Dtype::U16 => 4,
            Dtype::I16 => 5,
            Dtype::I32 => 6,
            Dtype::I64 => 7,
            Dtype::Bool => 9,
            Dtype::F64 => 11,
        })
    }
}

/// Names by number.
const NAMES: &[&str] = &[
    "UNDEFINED",
    "FLOAT",
    "UINT8",
    "INT8",
    "UINT16",
    "INT16",
    "INT32",
    "INT64",
    "STRING",
    "BOOL",
    "FLOAT16",
    "DOUBLE",
    "UINT32",
    "UINT64",
    "COMPLEX64",
    "COMPLEX128",
    "BFLOAT16",
    "FLOAT8E4M3FN",
    "FLOAT8E4M3FNUZ",
    "FLOAT8E5M2",
    "FLOAT8E5M2FNUZ",
    "UINT4",
    "INT4",
    "FLOAT4E2M1",
];

/// The refusal of an element type, with what to export instead.
pub(in crate::engine) fn unsupported(name: &str) -> String {
    let advice = match name {
        "FLOAT16" | "BFLOAT16" => "export the model in float32, or quantize it to 8 bits",
        "UINT32" | "UINT64" => "export the model with int64",
        "STRING" => "texts are not supported, give their numbers instead",
        _ => "export the model in float32 or with 8-bit integers",
    };
    format!("element type {name} is not supported: {advice}")
}
