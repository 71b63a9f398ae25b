//! Dense tensors as modules exchange them: owned, row-major, with one of a few element types.

use std::fmt;

/// An element type that a model input or output may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    F32,
    F64,
    I8,
    U8,
    I16,
    U16,
    I32,
    I64,
    Bool,
}

/// The real numbers that an integer tensor stands for: `real = scale * (stored - zero)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quant {
    pub scale: f32,
    pub zero: i32,
}

/// The name, type and shape of a model's input or output. `shape` has no unknown dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Known if the graph dequantizes this input first, or quantizes this output last.
    pub quant: Option<Quant>,
}

/// The elements of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
}

/// A dense row-major tensor; `data.len()` is the product of `shape`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Data,
}

impl Tensor {
    /// Creates a tensor of zeros (false for [`Dtype::Bool`]).
    #[must_use]
    pub fn zeros(dtype: Dtype, shape: &[usize]) -> Self {
        let n = shape.iter().product();
        Self { shape: shape.to_vec(), data: Data::zeros(dtype, n) }
    }

    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.data.dtype()
    }
}

impl TensorSpec {
    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Runs `$body` for the element type of `$data`, with `$v` bound to the vector inside.
#[macro_export]
macro_rules! each_dtype {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            $crate::tensor::Data::F32($v) => $body,
            $crate::tensor::Data::F64($v) => $body,
            $crate::tensor::Data::I8($v) => $body,
            $crate::tensor::Data::U8($v) => $body,
            $crate::tensor::Data::I16($v) => $body,
            $crate::tensor::Data::U16($v) => $body,
            $crate::tensor::Data::I32($v) => $body,
            $crate::tensor::Data::I64($v) => $body,
            $crate::tensor::Data::Bool($v) => $body,
        }
    };
}

impl Data {
    #[must_use]
    pub fn zeros(dtype: Dtype, n: usize) -> Self {
        match dtype {
            Dtype::F32 => Self::F32(vec![0.0; n]),
            Dtype::F64 => Self::F64(vec![0.0; n]),
            Dtype::I8 => Self::I8(vec![0; n]),
            Dtype::U8 => Self::U8(vec![0; n]),
            Dtype::I16 => Self::I16(vec![0; n]),
            Dtype::U16 => Self::U16(vec![0; n]),
            Dtype::I32 => Self::I32(vec![0; n]),
            Dtype::I64 => Self::I64(vec![0; n]),
            Dtype::Bool => Self::Bool(vec![false; n]),
        }
    }

    #[must_use]
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::I8(_) => Dtype::I8,
            Self::U8(_) => Dtype::U8,
            Self::I16(_) => Dtype::I16,
            Self::U16(_) => Dtype::U16,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
            Self::Bool(_) => Dtype::Bool,
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        each_dtype!(self, v => v.len())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Dtype {
    /// Returns the size of one element, in bytes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::Bool => "bool",
        })
    }
}

/// The value of a 16-bit float: a sign, 5 bits of exponent, 10 of fraction (IEEE 754 binary16).
pub(crate) fn f32_of_f16(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 0x1f, u32::from(bits) & 0x3ff);
    let magnitude = match exponent {
        // Zero and subnormal numbers: fractions of 2^-24.
        0 => {
            #[expect(clippy::cast_precision_loss, reason = "at most 10 bits")]
            let value = fraction as f32 * f32::from_bits((127 - 24) << 23);
            value.to_bits()
        }
        0x1f => 0xff << 23 | fraction << 13,
        _ => (exponent + 127 - 15) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::f32_of_f16;

    #[test]
    fn every_half_has_its_value() {
        let table = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in table {
            assert_eq!(f32_of_f16(bits).to_bits(), f32::to_bits(value), "{bits:#x}");
        }
        assert!(f32_of_f16(0x7e00).is_nan());
    }
}
