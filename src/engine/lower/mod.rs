//! From a graph to a plan: quantized parts in integers, the rest as regions of the float runtime.
//!
//! The graph is walked in order ([`driver`]), and each value is described ([`value`]). Real
//! numbers between a dequantization and the next quantization are not computed but described, so
//! that the quantization can turn operator, clamp and rounding into one kernel. A node that cannot
//! be described joins the float region under construction, together with what it reads; nodes that
//! depend on the region wait for the next walk.

mod classical;
mod concat;
mod constant_folding;
mod context;
mod conv;
mod decompose_qdq;
mod driver;
mod dynamic;
mod elementwise;
mod emit;
mod float;
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

use super::classical::is_classical;
use super::error::LoadError;
use super::explain::NodePlacement;
use super::graph::{Graph, Node};
use super::qoperator_to_qdq::is_qoperator;
use super::tract::FloatCompiler;
use crate::tensor::{Dtype, TensorSpec};
use context::Lowering;
use inferd_kernels::Isa;
use plan_builder::PlanBuilder;
use std::collections::BTreeSet;

/// Lowers `graph`, whose inputs have fixed shapes. Records in `inputs` how they are quantized.
/// `again` reads the graph a second time: a copy kept for that would hold the weights twice.
///
/// # Errors
/// A graph that is malformed, or that the float runtime refuses.
pub(super) fn lower(
    isa: Isa,
    graph: Graph,
    inputs: &mut [TensorSpec],
    float: &FloatCompiler,
    again: &dyn Fn() -> Result<Graph, LoadError>,
) -> Result<Lowered, LoadError> {
    let builder = || PlanBuilder::new(isa);
    let mut certain = false;
    let has_classical = graph.nodes.iter().any(is_classical);
    if is_quantized(&graph) {
        return in_parts(graph, inputs, float, builder(), false, &mut certain);
    }
    match in_parts(graph, inputs, float, builder(), true, &mut certain) {
        Ok(lowered) => Ok(lowered),
        Err(error) if certain => Err(error),
        // The float runtime does not have these operators.
        Err(error) if has_classical => Err(error),
        // Some graphs are understood as a whole only: a part of them has a shape that depends on
        // the values, or an output does not depend on the inputs.
        Err(_) => whole(again()?, inputs, float, builder()),
    }
}

/// Lowers node by node. `certain` tells whether an error means that the model is invalid.
fn in_parts(
    mut graph: Graph,
    inputs: &mut [TensorSpec],
    float: &FloatCompiler,
    builder: PlanBuilder,
    float_kernels: bool,
    certain: &mut bool,
) -> Result<Lowered, LoadError> {
    let mut lowering = Lowering::new(&mut graph, inputs, float, builder, float_kernels)?;
    let walked = lowering.walk();
    *certain = lowering.certain;
    walked?;
    lowering.finish(&graph)
}

/// Whether activations of the graph are quantized. Weights alone may be in a float model too.
fn is_quantized(graph: &Graph) -> bool {
    let constants: BTreeSet<&str> = graph.initializers.iter().map(|i| i.name.as_str()).collect();
    let quantizes = |node: &Node| {
        let weights = node.op == "DequantizeLinear" && constants.contains(node.input(0));
        (driver::starts_integers(&node.op) && !weights) || is_qoperator(node)
    };
    graph.nodes.iter().any(quantizes)
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
