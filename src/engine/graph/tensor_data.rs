//! Constants of a model.

use super::element_type::ElementType;
use crate::tensor::{Data, Dtype, Tensor};

/// The most elements a tensor of a model may have: a hostile file must not exhaust the memory.
pub(in crate::engine) const MAX_TENSOR_ELEMENTS: usize = 1 << 26;

/// A constant of the model. The number of its values agrees with its shape if the element type has
/// a size.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct TensorData {
    pub name: String,
    pub element: ElementType,
    pub shape: Vec<usize>,
    /// The elements in little-endian order; empty for texts.
    pub bytes: Vec<u8>,
    /// The elements of a tensor of texts.
    pub texts: Vec<Vec<u8>>,
}

impl TensorData {
    /// A constant of `bytes`.
    ///
    /// # Errors
    /// A number of elements that is too large, or not that of `bytes`.
    pub(in crate::engine) fn new(
        name: String,
        element: ElementType,
        shape: Vec<usize>,
        bytes: Vec<u8>,
    ) -> Result<Self, String> {
        if let Some(size) = element.size() {
            let expected = element_count(&shape)?;
            let found = bytes.len() / size;
            if bytes.len() != expected * size {
                return Err(format!("shape {shape:?} needs {expected} elements, found {found}"));
            }
        }
        Ok(Self { name, element, shape, bytes, texts: Vec::new() })
    }

    /// The constant that holds `tensor`.
    pub(in crate::engine) fn from_tensor(name: String, tensor: &Tensor) -> Self {
        let bytes = match &tensor.data {
            Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I8(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::U8(v) => v.clone(),
            Data::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::U16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::I64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Data::Bool(v) => v.iter().map(|&x| u8::from(x)).collect(),
        };
        let (element, shape) = (tensor.dtype().into(), tensor.shape.clone());
        Self { name, element, shape, bytes, texts: Vec::new() }
    }

    pub(in crate::engine) fn is_single(&self) -> bool {
        self.shape.iter().all(|&d| d == 1)
    }

    /// The tensor; none if the engine does not compute with its element type.
    pub(in crate::engine) fn to_tensor(&self) -> Option<Tensor> {
        let dtype = self.element.dtype().ok()?;
        Some(Tensor { shape: self.shape.clone(), data: decoded(&self.bytes, dtype) })
    }
}

fn decoded(bytes: &[u8], dtype: Dtype) -> Data {
    fn all<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|c| read(*c)).collect()
    }
    match dtype {
        Dtype::F32 => Data::F32(all(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(all(bytes, f64::from_le_bytes)),
        Dtype::I8 => Data::I8(all(bytes, i8::from_le_bytes)),
        Dtype::U8 => Data::U8(bytes.to_vec()),
        Dtype::I16 => Data::I16(all(bytes, i16::from_le_bytes)),
        Dtype::U16 => Data::U16(all(bytes, u16::from_le_bytes)),
        Dtype::I32 => Data::I32(all(bytes, i32::from_le_bytes)),
        Dtype::I64 => Data::I64(all(bytes, i64::from_le_bytes)),
        Dtype::Bool => Data::Bool(all(bytes, |[b]| b != 0)),
    }
}

/// The number of elements of a tensor of this shape.
///
/// # Errors
/// A number beyond [`MAX_TENSOR_ELEMENTS`].
pub(in crate::engine) fn element_count(shape: &[usize]) -> Result<usize, String> {
    let product = shape.iter().try_fold(1usize, |v, &d| v.checked_mul(d));
    product
        .filter(|&v| v <= MAX_TENSOR_ELEMENTS)
        .ok_or_else(|| format!("shape {shape:?} has more than {MAX_TENSOR_ELEMENTS} elements"))
}

/// The values of a tensor of floats; none for other types.
pub(in crate::engine) fn reals(tensor: &Tensor) -> Option<Vec<f64>> {
    match &tensor.data {
        Data::F32(v) => Some(v.iter().map(|&x| f64::from(x)).collect()),
        Data::F64(v) => Some(v.clone()),
        _ => None,
    }
}

/// The values of a tensor of integers; none for other types.
pub(in crate::engine) fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match &tensor.data {
        Data::I8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::U8(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::I16(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::U16(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::I32(v) => Some(v.iter().map(|&x| i64::from(x)).collect()),
        Data::I64(v) => Some(v.clone()),
        _ => None,
    }
}
