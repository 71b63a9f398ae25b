//! The `.npy` format: a magic, a version, a Python dictionary as text, and the elements.
//!
//! Source: NEP 1 and `numpy/lib/format.py`. Implemented here because the text has three fields only
//! and the bytes are untrusted: a shape whose product overflows must be an error, not a panic.

use crate::each_dtype;
use crate::tensor::{Data, Dtype, Tensor, f32_of_f16};

const MAGIC: &[u8] = b"\x93NUMPY";
/// numpy writes 118 bytes for an array of a few axes; pickled record types are not read here.
const MAX_HEADER_BYTES: usize = 4096;
const MAX_AXES: usize = 16;

/// The content of the dictionary.
struct Header {
    dtype: Dtype,
    /// The elements are floats of 16 bits, which are read as floats of 32.
    half: bool,
    fortran: bool,
    shape: Vec<usize>,
}

/// Reads one array from the bytes of a `.npy` file.
///
/// # Errors
/// The reason in words: not an array, an element type that tensors do not have, or a shape that
/// does not fit the bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Tensor, String> {
    let (header, body) = split(bytes)?;
    let header = Header::parse(header)?;
    let count = header.shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let size = if header.half { 2 } else { header.dtype.size() };
    let wanted = count.and_then(|n| n.checked_mul(size));
    if wanted != Some(body.len()) {
        let (shape, dtype) = (&header.shape, header.dtype);
        return Err(format!("shape {shape:?} of {dtype} does not fit its {} bytes", body.len()));
    }
    let data = if header.half { halves(body) } else { elements(header.dtype, body) };
    let data = if header.fortran { row_major(&data, &header.shape) } else { data };
    Ok(Tensor { shape: header.shape, data })
}

/// Returns the bytes of a `.npy` file (version 1.0, row-major, little-endian).
pub(super) fn write(tensor: &Tensor) -> Vec<u8> {
    let axes: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
    // A tuple of one needs its comma.
    let comma = if axes.len() == 1 { "," } else { "" };
    let shape = format!("({}{comma})", axes.join(", "));
    let descr = descr(tensor.dtype());
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The elements start at a multiple of 64 bytes, after magic, version and length (10 bytes).
    let padding = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap_or(u16::MAX);
    let mut out = [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes()].concat();
    append(&tensor.data, &mut out);
    out
}

/// Splits a file into the text of its header and the bytes of its elements.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("not an .npy array")?;
    let short = "cut off in its header";
    let (length, rest) = match rest.split_at_checked(2).ok_or(short)? {
        ([1, _], rest) => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        ([2 | 3, _], rest) => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
            (usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX), rest)
        }
        (version, _) => return Err(format!("unknown .npy version {version:?}")),
    };
    if length > MAX_HEADER_BYTES {
        return Err(format!("its header has {length} bytes; at most {MAX_HEADER_BYTES} are read"));
    }
    let (header, body) = rest.split_at_checked(length).ok_or(short)?;
    Ok((std::str::from_utf8(header).map_err(|_| "its header is not text")?, body))
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let field = |key: &str| {
            let found = [format!("'{key}':"), format!("\"{key}\":")]
                .iter()
                .find_map(|quoted| text.split_once(quoted.as_str()).map(|(_, value)| value));
            found.map(str::trim_start).ok_or_else(|| format!("its header has no {key:?}"))
        };
        let quoted = |c| matches!(c, '\'' | '"');
        let descr = field("descr")?;
        let descr = descr.strip_prefix(quoted).and_then(|d| d.split_once(quoted)).map(|(d, _)| d);
        let descr = descr.ok_or("its elements are records, which are not read here")?;
        let fortran = match field("fortran_order")? {
            value if value.starts_with("False") => false,
            value if value.starts_with("True") => true,
            _ => return Err("its fortran_order is neither True nor False".into()),
        };
        let shape = field("shape")?.strip_prefix('(').and_then(|s| s.split_once(')'));
        let (shape, _) = shape.ok_or("its shape is not a tuple")?;
        let half = descr == "<f2";
        let dtype = if half { Dtype::F32 } else { dtype(descr)? };
        Ok(Self { dtype, half, fortran, shape: axes(shape)? })
    }
}

fn axes(text: &str) -> Result<Vec<usize>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let axes = parts
        .map(|part| part.parse().map_err(|_| format!("{part:?} is not an axis")))
        .take(MAX_AXES + 1)
        .collect::<Result<Vec<usize>, _>>()?;
    if axes.len() > MAX_AXES {
        return Err(format!("it has more than {MAX_AXES} axes"));
    }
    Ok(axes)
}

fn dtype(descr: &str) -> Result<Dtype, String> {
    Ok(match descr {
        "<f4" => Dtype::F32,
        "<f8" => Dtype::F64,
        "|i1" => Dtype::I8,
        "|u1" => Dtype::U8,
        "<i2" => Dtype::I16,
        "<u2" => Dtype::U16,
        "<i4" => Dtype::I32,
        "<i8" => Dtype::I64,
        "|b1" => Dtype::Bool,
        other => {
            return Err(format!(
                "its element type is {other:?}; read are little-endian f2 f4 f8 i1 u1 i2 u2 i4 i8 \
                 b1"
            ));
        }
    })
}

fn descr(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "<f4",
        Dtype::F64 => "<f8",
        Dtype::I8 => "|i1",
        Dtype::U8 => "|u1",
        Dtype::I16 => "<i2",
        Dtype::U16 => "<u2",
        Dtype::I32 => "<i4",
        Dtype::I64 => "<i8",
        Dtype::Bool => "|b1",
    }
}

/// Floats of 16 bits as floats of 32.
fn halves(body: &[u8]) -> Data {
    let words = body.as_chunks::<2>().0.iter();
    Data::F32(words.map(|word| f32_of_f16(u16::from_le_bytes(*word))).collect())
}

/// Little-endian elements of a whole number of bytes.
fn elements(dtype: Dtype, body: &[u8]) -> Data {
    macro_rules! words {
        ($variant:ident, $t:ty) => {
            Data::$variant(
                body.as_chunks::<{ size_of::<$t>() }>()
                    .0
                    .iter()
                    .map(|word| <$t>::from_le_bytes(*word))
                    .collect(),
            )
        };
    }
    match dtype {
        Dtype::F32 => words!(F32, f32),
        Dtype::F64 => words!(F64, f64),
        Dtype::I8 => words!(I8, i8),
        Dtype::U8 => words!(U8, u8),
        Dtype::I16 => words!(I16, i16),
        Dtype::U16 => words!(U16, u16),
        Dtype::I32 => words!(I32, i32),
        Dtype::I64 => words!(I64, i64),
        Dtype::Bool => Data::Bool(body.iter().map(|&byte| byte != 0).collect()),
    }
}

fn append(data: &Data, out: &mut Vec<u8>) {
    match data {
        Data::F32(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Data::F64(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Data::I8(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Data::U8(v) => out.extend(v),
        Data::I16(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Data::U16(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Data::I32(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Data::I64(v) => v.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Data::Bool(v) => out.extend(v.iter().map(|&x| u8::from(x))),
    }
}

/// Reorders elements stored with the first axis running fastest into row-major order.
fn row_major(data: &Data, shape: &[usize]) -> Data {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, axis| Some(std::mem::replace(stride, *stride * axis)))
        .collect();
    let place = |mut row_major: usize| {
        let mut at = 0;
        for (axis, stride) in shape.iter().zip(&strides).rev() {
            at += row_major % axis * stride;
            row_major /= axis;
        }
        at
    };
    let order = |n: usize| (0..n).map(place);
    macro_rules! moved {
        ($($variant:ident),*) => {
            match data {
                $(Data::$variant(v) =>
                    Data::$variant(order(v.len()).filter_map(|i| v.get(i).copied()).collect()),)*
            }
        };
    }
    debug_assert_eq!(each_dtype!(data, v => v.len()), shape.iter().product::<usize>());
    moved!(F32, F64, I8, U8, I16, U16, I32, I64, Bool)
}
