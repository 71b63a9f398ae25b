//! Nodes that work on floats, lowered to float kernels.
//!
//! Floats are in memory as every other tensor is: a view has an order of axes beside its shape, and
//! kernels of pictures take and give channels last, so that most transpositions move nothing.
//! Products are drafts ([`draft`]) until a node reads them that cannot join them: scales, biases,
//! residuals and activations become part of the kernel. A node that is not lowered here runs in a
//! region of the float runtime, with the reason.

mod conv;
mod conv_transpose;
mod draft;
mod elementwise;
mod emit;
mod join;
mod movement;
mod normalize;
mod operands;
mod pool;
mod product;
mod recurrent;
mod reduce;
mod types;

pub(super) use draft::FloatDraft;
pub(super) use recurrent::is_recurrent;
pub(super) use types::has_kernel;

use super::context::{LowerResult, Lowering, run_in_float};
use crate::engine::explain::NodePlacement;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use inferd_kernels::float::ReduceOp;
use std::rc::Rc;

impl Lowering<'_> {
    /// Lowers a node of a model that is not quantized.
    pub(super) fn float_node(&mut self, node: &Rc<ExpandedNode>) -> LowerResult {
        if !matches!(node.domain.as_str(), "" | "ai.onnx" | "com.microsoft") {
            return run_in_float("the operator has no float kernel");
        }
        match node.op.as_str() {
            op if is_recurrent(op) => return self.recurrent(node),
            "DequantizeLinear" => self.dequantize(node)?,
            "Shape" => return self.shape_of(node),
            "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Identity"
            | "Dropout" => self.float_movement(node)?,
            "Slice" => self.float_part(node, Self::slice)?,
            "Split" => self.float_part(node, Self::split)?,
            "Concat" => self.float_concat(node)?,
            "Pad" => self.float_pad(node)?,
            "Gather" => self.float_gather(node)?,
            "Expand" => self.float_expand(node)?,
            "Cast" => self.float_cast(node)?,
            "Conv" => self.float_conv(node)?,
            "ConvTranspose" => self.float_conv_transpose(node)?,
            "MatMul" => self.float_matmul(node)?,
            "Gemm" => self.float_gemm(node)?,
            "BatchNormalization" => self.float_batch_norm(node)?,
            "LayerNormalization" | "RMSNormalization" => self.float_layer_norm(node)?,
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "PRelu" => self.float_binary(node)?,
            "Min" | "Max" | "Sum" | "Mean" => self.float_variadic(node)?,
            "MaxPool" | "AveragePool" => self.float_pool(node)?,
            "GlobalAveragePool" | "ReduceMean" => self.float_reduce(node, ReduceOp::Mean)?,
            "GlobalMaxPool" | "ReduceMax" => self.float_reduce(node, ReduceOp::Max)?,
            "ReduceMin" => self.float_reduce(node, ReduceOp::Min)?,
            "ReduceSum" => self.float_reduce(node, ReduceOp::Sum)?,
            "ReduceProd" => self.float_reduce(node, ReduceOp::Product)?,
            "ReduceL1" => self.float_reduce(node, ReduceOp::L1)?,
            "ReduceL2" => self.float_reduce(node, ReduceOp::L2)?,
            "ReduceSumSquare" => self.float_reduce(node, ReduceOp::SumSquare)?,
            "Softmax" | "LogSoftmax" => self.float_softmax(node)?,
            _ => self.float_unary(node)?,
        }
        self.record_placement(node, NodePlacement::float("it works on floats"));
        Ok(())
    }

    /// Lowers a node that takes parts of its first input, which is computed first.
    fn float_part(
        &mut self,
        node: &ExpandedNode,
        lower: fn(&mut Self, &ExpandedNode) -> LowerResult,
    ) -> LowerResult {
        self.float_view(node, 0)?;
        lower(self, node)
    }

    /// Forgets a constant that this node alone reads, so that it is not kept beside its packed copy.
    fn release_constant(&mut self, node: &ExpandedNode, i: usize) {
        let name = node.input(i);
        if self.readers.get(name) == Some(&1) {
            self.values.remove(name);
        }
    }
}
