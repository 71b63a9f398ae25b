//! Models of 16-bit floats, computed in 32 bits.
//!
//! Every value of 16 bits is one of 32 bits, so that constants keep their values. Results are those
//! of the graph without the rounding to 16 bits after each operator.

use crate::engine::graph::{AttributeValue, ElementType, Graph, Node, TensorData, ValueInfo};

/// Attributes that hold an element type.
const TYPES: &[&str] = &["to", "dtype", "output_dtype", "output_datatype"];

/// Makes floats of 32 bits of all constants, inputs, outputs and casts of 16-bit floats, in the
/// graph and the graphs inside it.
pub(in crate::engine) fn widen(graph: &mut Graph) {
    graph.initializers.iter_mut().for_each(widen_tensor);
    graph.inputs.iter_mut().chain(&mut graph.outputs).for_each(widen_info);
    graph.nodes.iter_mut().for_each(widen_node);
}

fn widen_info(info: &mut ValueInfo) {
    if let Some(tensor) = info.tensor.as_mut().filter(|t| t.element.is_half_precision()) {
        tensor.element = ElementType::F32;
    }
}

fn widen_node(node: &mut Node) {
    for attribute in &mut node.attributes {
        match &mut attribute.value {
            AttributeValue::Tensor(tensor) => widen_tensor(tensor),
            AttributeValue::Graph(graph) => widen(graph),
            AttributeValue::Int(code) if TYPES.contains(&attribute.name.as_str()) => {
                let element = i32::try_from(*code).map(ElementType::from_code);
                if element.is_ok_and(ElementType::is_half_precision) {
                    *code = ElementType::F32.code().into();
                }
            }
            _ => {}
        }
    }
}

fn widen_tensor(tensor: &mut TensorData) {
    let widened = match tensor.element {
        ElementType::FLOAT16 => f32_of_f16,
        ElementType::BFLOAT16 => |bits| f32::from_bits(u32::from(bits) << 16),
        _ => return,
    };
    let (halves, _) = tensor.bytes.as_chunks::<2>();
    let floats = halves.iter().map(|&half| widened(u16::from_le_bytes(half)));
    tensor.bytes = floats.flat_map(f32::to_le_bytes).collect();
    tensor.element = ElementType::F32;
}

/// The value of a 16-bit float: a sign, 5 bits of exponent, 10 of fraction (IEEE 754 binary16).
fn f32_of_f16(bits: u16) -> f32 {
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
