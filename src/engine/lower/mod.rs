//! From a graph to a plan: quantized parts in integers, the rest as regions of the float runtime.
//!
//! The graph is walked in order ([`driver`]), and each value is described ([`value`]). Real
//! numbers between a dequantization and the next quantization are not computed but described, so
//! that the quantization can turn operator, clamp and rounding into one kernel. A node that cannot
//! be described joins the float region under construction, together with what it reads; nodes that
//! depend on the region wait for the next walk.

mod concat;
mod constant_folding;
mod context;
mod conv;
mod decompose_qdq;
mod driver;
mod dynamic;
mod elementwise;
mod emit;
mod float_region;
mod lookup_tables;
mod matmul;
mod optimize;
mod outputs;
mod plan_builder;
mod pool;
mod quant_params;
mod quantization;
mod shape_ops;
mod slice_pad;
mod slices;
mod target;
mod value;
mod weights;

pub(super) use outputs::Lowered;
pub(super) use plan_builder::PlanBuilder;

use super::classifier;
use super::error::LoadError;
use super::explain::NodePlacement;
use super::graph::{Graph, Node};
use super::qoperator_to_qdq::is_qoperator;
use super::tract::FloatCompiler;
use crate::tensor::{Dtype, TensorSpec};
use context::Lowering;

/// Lowers `graph`, whose inputs have fixed shapes. Records in `inputs` how they are quantized.
///
/// # Errors
/// A graph that is malformed, or that the float runtime refuses.
pub(super) fn lower(
    mut graph: Graph,
    inputs: &mut [TensorSpec],
    float: &FloatCompiler,
    builder: PlanBuilder,
) -> Result<Lowered, LoadError> {
    if !graph.nodes.iter().any(is_quantized) {
        return whole(graph, inputs, float, builder);
    }
    let mut lowering = Lowering::new(&mut graph, inputs, float, builder)?;
    lowering.walk()?;
    lowering.finish(&graph)
}

/// Operators that only quantized models have.
fn is_quantized(node: &Node) -> bool {
    driver::starts_integers(&node.op) || is_qoperator(node)
}

/// Lowers a model that is not quantized to one region.
fn whole(
    mut graph: Graph,
    inputs: &[TensorSpec],
    float: &FloatCompiler,
    builder: PlanBuilder,
) -> Result<Lowered, LoadError> {
    let nodes: Vec<_> = graph.nodes.iter().map(Node::without_attributes).collect();
    let names: Vec<String> = graph.outputs.iter().map(|o| o.name.clone()).collect();
    decompose_qdq::decompose(&mut graph, &|_| None);
    classifier::decompose(&mut graph);
    let region = float.compile(graph)?;
    let spec = |(name, (dtype, shape)): (String, &(Dtype, Vec<usize>))| TensorSpec {
        name,
        dtype: *dtype,
        shape: shape.clone(),
        quant: None,
    };
    let outputs: Vec<TensorSpec> = names.into_iter().zip(&region.outputs).map(spec).collect();
    let reason = "the model is not quantized".to_owned();
    let placements = vec![NodePlacement::Float { reason, region: Some(0) }; nodes.len()];
    let plan = optimize::whole(builder, region, inputs);
    Ok(Lowered { plan, outputs, nodes, placements })
}
