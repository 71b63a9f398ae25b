//! Models of 16-bit floats, computed in 32 bits.
//!
//! Every value of 16 bits is one of 32 bits, so that constants keep their values. Results are those
//! of the graph without the rounding to 16 bits after each operator.

use crate::engine::graph::{AttributeValue, ElementType, Graph, Node, TensorData, ValueInfo};
use crate::tensor::f32_of_f16;

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
