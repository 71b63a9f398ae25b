//! Weights of 2, 4 or 8 bits with a scale for each block of elements, as floats.

use super::Rewriter;
use super::builder::{only_attributes, only_inputs, output};
use crate::engine::error::LoadError;
use crate::engine::graph::{
    ElementType, MAX_TENSOR_ELEMENTS, Node, TensorData, element_count, integers, reals,
};
use crate::engine::shapes;
use crate::tensor::Data;

/// The attributes of MatMulNBits. How exactly to multiply is a hint for speed.
const ATTRIBUTES: &[&str] = &["K", "N", "bits", "block_size", "accuracy_level"];

impl Rewriter<'_, '_> {
    /// A dequantization of constants of 4 bits is one of 8 bits. One with a scale for each block is
    /// computed now.
    pub(super) fn dequantize(&mut self, mut node: Node) -> Result<(), LoadError> {
        let block = node.int("block_size").unwrap_or(0);
        if block == 0 {
            for i in [0, 2] {
                let name = node.input(i).to_owned();
                let Some(wide) = self.in_8_bits(&name).map_err(|reason| node.refusal(reason))?
                else {
                    continue;
                };
                if let Some(input) = node.inputs.get_mut(i) {
                    *input = wide;
                }
            }
            return self.keep(node);
        }
        only_attributes(&node, &["axis", "block_size", "output_dtype"])?;
        only_inputs(&node, 3)?;
        let values = self.dequantized(&node, block).map_err(|reason| node.refusal(reason))?;
        let shape = self.constants.get(node.input(0)).map(|t| t.shape.clone()).unwrap_or_default();
        let y = output(&node)?.to_owned();
        self.constant(y, shape, Data::F32(values));
        Ok(())
    }

    /// A node that gives a constant of 4 bits becomes that constant.
    pub(super) fn constant_node(&mut self, node: Node) -> Result<(), LoadError> {
        let tensor = node.tensor("value").filter(|tensor| tensor.element.is_4_bit_integer());
        let (Some(tensor), Some(name)) = (tensor, node.outputs.first()) else {
            return self.keep(node);
        };
        self.add_constant(TensorData { name: name.clone(), ..tensor.clone() });
        Ok(())
    }

    /// Adds the constant in 8 bits and returns its name. None for a constant of another type.
    fn in_8_bits(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(tensor) = self.constants.get(name) else { return Ok(None) };
        if !tensor.element.is_4_bit_integer() {
            return Ok(None);
        }
        let (values, shape) = (whole(tensor)?, tensor.shape.clone());
        let data = if is_signed(tensor) {
            Data::I8(values.into_iter().filter_map(|v| i8::try_from(v).ok()).collect())
        } else {
            Data::U8(values.into_iter().filter_map(|v| u8::try_from(v).ok()).collect())
        };
        Ok(Some(self.constant(format!("{name}#8bits"), shape, data)))
    }

    fn dequantized(&self, node: &Node, block: i64) -> Result<Vec<f32>, String> {
        let constant = |i: usize| self.constants.get(node.input(i));
        let (Some(x), Some(scale)) = (constant(0), constant(1)) else {
            return Err(
                "its input or its scale is not a constant: quantize to 8 bits, per tensor \
                        or per channel"
                    .into(),
            );
        };
        let stored = whole(x)?;
        let scales =
            scale.to_tensor().as_ref().and_then(reals).ok_or("its scales are no floats")?;
        let zeros = match node.input(2) {
            "" => vec![0; scales.len()],
            _ => whole(constant(2).ok_or("its zero point is not a constant")?)?,
        };
        if zeros.len() != scales.len() {
            return Err(format!("{} zero points for {} scales", zeros.len(), scales.len()));
        }
        let groups = Groups::of(node, &x.shape, &scale.shape, block)?;
        let value = |(i, &q): (usize, &i64)| {
            let at = groups.at(i);
            let (scale, zero) = (scales.get(at)?, zeros.get(at)?);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "8 bits, and the nearest float"
            )]
            Some(((q - zero) as f64 * scale) as f32)
        };
        let values = stored.iter().enumerate().map(value).collect::<Option<Vec<_>>>();
        values.ok_or_else(|| format!("{} scales do not fit {:?}", scales.len(), x.shape))
    }

    /// A product with weights that are stored in blocks of columns.
    pub(super) fn matmul_n_bits(&mut self, node: &Node) -> Result<(), LoadError> {
        only_attributes(node, ATTRIBUTES)?;
        if !node.input(4).is_empty() {
            return Err(node.refusal("its input g_idx is not supported: quantize without it"));
        }
        only_inputs(node, 6)?;
        let y = output(node)?;
        let (shape, weights) = self.unpacked(node).map_err(|reason| node.refusal(reason))?;
        let weights = self.constant(format!("{y}#weights"), shape, Data::F32(weights));
        let (x, bias) = (node.input(0), node.input(5));
        if bias.is_empty() {
            return self.emit(node, "MatMul", &[x, &weights], y, Vec::new());
        }
        let product = format!("{y}#product");
        self.emit(node, "MatMul", &[x, &weights], &product, Vec::new())?;
        self.emit(node, "Add", &[&product, bias], y, Vec::new())
    }

    /// The weights of a MatMulNBits as a matrix of K rows and N columns.
    fn unpacked(&self, node: &Node) -> Result<(Vec<usize>, Vec<f32>), String> {
        let size = |name: &str| {
            let value = node.int(name).and_then(|value| usize::try_from(value).ok());
            let value = value.filter(|value| (1..=1 << 24).contains(value));
            value.ok_or_else(|| format!("its attribute {name} is missing or out of range"))
        };
        let (rows, columns, block) = (size("K")?, size("N")?, size("block_size")?);
        let bits = node.int("bits").unwrap_or(4);
        let bits = usize::try_from(bits).ok().filter(|bits| matches!(bits, 2 | 4 | 8));
        let bits = bits.ok_or("its attribute bits is not 2, 4 or 8")?;
        let elements = rows.checked_mul(columns).filter(|&n| n <= MAX_TENSOR_ELEMENTS);
        let elements = elements.ok_or("its weights are too large")?;
        let blocks = rows.div_ceil(block);
        let constant = |i: usize, what: &str| {
            let tensor = self.constants.get(node.input(i));
            tensor.ok_or_else(|| format!("its {what} are not constants"))
        };
        let packed = &constant(1, "weights")?.bytes;
        let scales = constant(2, "scales")?.to_tensor().as_ref().and_then(reals);
        let scales = scales.ok_or("its scales are no floats")?;
        let in_block = (block * bits).div_ceil(8);
        let expected = columns.checked_mul(blocks);
        let fits = expected.is_some_and(|n| scales.len() == n && packed.len() == n * in_block);
        if !fits {
            return Err(format!("its weights or scales do not fit {rows} x {columns}"));
        }
        let zeros = match node.input(3) {
            "" => None,
            _ => Some(constant(3, "zero points")?),
        };
        let middle = f64::from(1u8 << (bits - 1));
        let mut weights = vec![0f32; elements];
        for column in 0..columns {
            for row in 0..rows {
                let group = column * blocks + row / block;
                let bytes = packed.get(group * in_block..).unwrap_or_default();
                let q = field(bytes, row % block, bits).ok_or("its weights are cut off")?;
                let zero = match zeros {
                    None => middle,
                    Some(zeros) => zero_point(zeros, (column, row / block), blocks, bits)?,
                };
                let scale = scales.get(group).copied().unwrap_or(0.0);
                if let Some(to) = weights.get_mut(row * columns + column) {
                    #[expect(clippy::cast_possible_truncation, reason = "the nearest float")]
                    let value = ((f64::from(q) - zero) * scale) as f32;
                    *to = value;
                }
            }
        }
        Ok((vec![rows, columns], weights))
    }
}

/// The zero point of a block: packed as the weights are, each column in whole bytes, or a float.
fn zero_point(
    zeros: &TensorData,
    (column, block): (usize, usize),
    blocks: usize,
    bits: usize,
) -> Result<f64, String> {
    let missing = || "its zero points do not fit its weights".to_owned();
    if zeros.element != ElementType::U8 {
        let (floats, _) = zeros.bytes.as_chunks::<4>();
        let is_float = zeros.element == ElementType::F32;
        let at = floats.get(column * blocks + block).filter(|_| is_float).ok_or_else(missing)?;
        return Ok(f64::from(f32::from_le_bytes(*at)));
    }
    let width = (blocks * bits).div_ceil(8);
    let bytes = zeros.bytes.get(column * width..).unwrap_or_default();
    field(bytes, block, bits).map(f64::from).ok_or_else(missing)
}

/// The unsigned number at `index` in packed numbers of `bits` bits, the lowest bits first.
fn field(bytes: &[u8], index: usize, bits: usize) -> Option<u8> {
    let at = index * bits;
    let byte = bytes.get(at / 8)?;
    let mask = u8::try_from((1u16 << bits) - 1).ok()?;
    Some((byte >> (at % 8)) & mask)
}

/// The integers of a constant of 4 or more bits.
fn whole(tensor: &TensorData) -> Result<Vec<i64>, String> {
    if !tensor.element.is_4_bit_integer() {
        let values = tensor.to_tensor().as_ref().and_then(integers);
        return values.ok_or_else(|| "its input has no integers".to_owned());
    }
    let count = element_count(&tensor.shape)?;
    if tensor.bytes.len() != count.div_ceil(2) {
        return Err(format!("{} bytes for {count} numbers of 4 bits", tensor.bytes.len()));
    }
    let signed = is_signed(tensor);
    let number = |i: usize| {
        let value = i64::from(field(&tensor.bytes, i, 4)?);
        Some(if signed && value > 7 { value - 16 } else { value })
    };
    let values = (0..count).map(number).collect::<Option<Vec<_>>>();
    values.ok_or_else(|| "its numbers of 4 bits are cut off".to_owned())
}

/// Whether a constant of 4 bits is signed.
fn is_signed(tensor: &TensorData) -> bool {
    tensor.element.name() == Some("INT4")
}

/// Which scale belongs to an element: one for each of `blocks` blocks of an axis, at every position
/// of the other axes.
struct Groups {
    /// The elements behind a step along the axis.
    inner: usize,
    size: usize,
    block: usize,
    blocks: usize,
}

impl Groups {
    fn of(node: &Node, shape: &[usize], scales: &[usize], block: i64) -> Result<Self, String> {
        let misfit = || format!("its axis or block_size does not fit {shape:?} and {scales:?}");
        let axis = shapes::axis(node.int("axis").unwrap_or(1), shape.len()).ok_or_else(misfit)?;
        let size = *shape.get(axis).ok_or_else(misfit)?;
        let inner = shape.get(axis + 1..).unwrap_or_default().iter().product();
        let block = usize::try_from(block).ok().filter(|&block| block > 0).ok_or_else(misfit)?;
        let blocks = size.div_ceil(block);
        let mut expected = shape.to_vec();
        if let Some(to) = expected.get_mut(axis) {
            *to = blocks;
        }
        if scales == expected { Ok(Self { inner, size, block, blocks }) } else { Err(misfit()) }
    }

    /// The index of the scale of element `i`. The tensor has elements, so that no size is 0.
    fn at(&self, i: usize) -> usize {
        let (outer, along) = (i / (self.inner * self.size), i / self.inner % self.size);
        (outer * self.blocks + along / self.block) * self.inner + i % self.inner
    }
}
