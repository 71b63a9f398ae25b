//! The TensorFlow Lite front end: files to graphs of ONNX operators.
//!
//! Each operator becomes ONNX operators between a DequantizeLinear of what it reads and a
//! QuantizeLinear of what it makes, with the scales and zero points of the file. The lowering makes
//! kernels of integers of them, which round once; the reference kernels of TensorFlow Lite round
//! products twice, and halves away from zero, so that a result may be another by one step.
//! Pictures are `[batch, height, width, channels]` in these files, and transpositions around the
//! ONNX operators change their views only.

mod file;
mod flatbuffer;
mod graph_builder;
mod operator_names;
mod operators;
mod refusal;

use super::error::LoadError;
use super::graph::{Graph, OperatorSets};
use graph_builder::GraphBuilder;
use refusal::Refusal;

/// The operator set of the graphs made here.
const OPSET: i64 = 17;

/// Decodes a file with its first graph.
///
/// # Errors
/// Bytes that are not such a file, or an operator that is not supported, with the name of its
/// output.
pub(super) fn decode(bytes: &[u8]) -> Result<(OperatorSets, Graph), LoadError> {
    let subgraph = file::read(bytes).map_err(LoadError::Tflite)?;
    let mut builder = GraphBuilder::new(&subgraph, bytes.len());
    for operator in &subgraph.operators {
        builder.start(operator)?;
        operators::convert(&mut builder, operator).map_err(|refusal| match refusal {
            Refusal::Unsupported => builder.unsupported(operator),
            Refusal::Because(reason) => builder.refused(operator, reason),
        })?;
    }
    let graph = builder.finish()?;
    Ok((OperatorSets(vec![(String::new(), OPSET)]), graph))
}
