//! Operators of TensorFlow Lite as ONNX operators.

mod elementwise;
mod layers;
mod movement;
mod pictures;
mod recurrent;
mod reductions;
mod steps;
mod weights;

use super::file::Operator;
use super::graph_builder::{Converted, GraphBuilder};
use super::refusal::Refusal;

/// Adds the nodes of an operator to the graph.
pub(super) fn convert(b: &mut GraphBuilder<'_>, op: &Operator<'_>) -> Converted {
    let one_output = !matches!(op.kind.as_str(), "SPLIT" | "SPLIT_V" | "UNPACK" | "TOPK_V2");
    if one_output && op.outputs.len() != 1 {
        return Err(format!("it has {} outputs", op.outputs.len()).into());
    }
    match op.kind.as_str() {
        "CONV_2D" => layers::conv(b, op),
        "DEPTHWISE_CONV_2D" => layers::depthwise(b, op),
        "TRANSPOSE_CONV" => layers::transpose_conv(b, op),
        "FULLY_CONNECTED" => layers::fully_connected(b, op),
        "BATCH_MATMUL" => layers::batch_matmul(b, op),
        "AVERAGE_POOL_2D" => pictures::pool(b, op, "AveragePool"),
        "MAX_POOL_2D" => pictures::pool(b, op, "MaxPool"),
        "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR" => pictures::resize(b, op),
        "DEPTH_TO_SPACE" | "SPACE_TO_DEPTH" => pictures::depth_and_space(b, op),
        "UNIDIRECTIONAL_SEQUENCE_LSTM" => recurrent::lstm(b, op),
        "MEAN" | "SUM" | "REDUCE_MAX" | "REDUCE_MIN" | "REDUCE_PROD" => reductions::reduce(b, op),
        "ARG_MAX" | "ARG_MIN" => reductions::arg(b, op),
        "SOFTMAX" | "LOG_SOFTMAX" => reductions::softmax(b, op),
        "L2_NORMALIZATION" => reductions::l2_normalization(b, op),
        "CUMSUM" => reductions::cumulative_sum(b, op),
        _ if elementwise::convert(b, op)? => Ok(()),
        _ if movement::convert(b, op)? => Ok(()),
        _ => Err(Refusal::Unsupported),
    }
}
