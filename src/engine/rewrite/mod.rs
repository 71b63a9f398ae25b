//! Rewrites of a decoded graph before it is checked: element types, operators and control flow that
//! neither the kernels nor the float runtime have, in terms of those that they have.
//!
//! - [`half_precision`]: 16-bit floats become 32-bit floats.
//! - [`control_flow`]: an If with a constant condition becomes its branch, a Loop with a constant
//!   count its turns.
//! - [`fused`], [`transformer`]: operators that ONNX Runtime's optimiser writes.
//! - [`block_weights`]: weights of 4 bits, and weights with a scale for each block.
//! - [`lengths`]: lengths of sequences that depend on the input.
//! - [`standard`]: operators of ONNX itself that have a simple definition.
//!
//! The walk also knows shapes ([`super::shapes`]), and refuses tensors beyond the bounds.

mod block_weights;
mod builder;
mod control_flow;
mod fused;
mod half_precision;
mod lengths;
mod names;
mod standard;
mod transformer;

pub(super) use half_precision::widen;

use super::error::LoadError;
use super::graph::{Graph, Node, TensorData};
use super::shapes::Values;
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most nodes of a graph after conditions and loops are replaced.
const MAX_NODES: usize = 20_000;

const MICROSOFT: &str = "com.microsoft";

/// Rewrites a graph whose inputs have fixed shapes, and the graphs inside it.
///
/// # Errors
/// A node that cannot be rewritten with its meaning, inputs that do not fit each other, a result
/// beyond the bounds, or more nodes than [`MAX_NODES`].
pub(super) fn rewrite(opset: i64, graph: &mut Graph) -> Result<(), LoadError> {
    let mut inlined = Inlined::default();
    lengths::cast_lengths(graph);
    rewrite_graph(opset, graph, None, &mut inlined)?;
    drop_unused(graph);
    Ok(())
}

/// What is counted over all graphs.
#[derive(Debug, Default)]
struct Inlined {
    nodes: usize,
    /// The number of graphs that were inlined, which makes names unique.
    graphs: usize,
}

fn rewrite_graph(
    opset: i64,
    graph: &mut Graph,
    outer: Option<&Values<'_>>,
    inlined: &mut Inlined,
) -> Result<(), LoadError> {
    let values = Values::of(graph, outer);
    let nodes = std::mem::take(&mut graph.nodes);
    let constants = std::mem::take(&mut graph.initializers);
    let order: Vec<String> = constants.iter().map(|c| c.name.clone()).collect();
    let constants = constants.into_iter().map(|c| (c.name.clone(), c)).collect();
    let mut rewriter =
        Rewriter { opset, values, inlined, nodes: Vec::new(), constants, fixed: HashSet::new() };
    for node in nodes {
        rewriter.node(node)?;
    }
    graph.nodes = rewriter.nodes;
    let mut left = rewriter.constants;
    graph.initializers = order.iter().filter_map(|name| left.remove(name)).collect();
    let mut made: Vec<TensorData> = left.into_values().collect();
    made.sort_by(|a, b| a.name.cmp(&b.name));
    graph.initializers.append(&mut made);
    Ok(())
}

/// A graph under construction.
struct Rewriter<'a, 'b> {
    opset: i64,
    values: Values<'a>,
    inlined: &'b mut Inlined,
    nodes: Vec<Node>,
    constants: HashMap<String, TensorData>,
    /// Values that nodes make of constants only.
    fixed: HashSet<String>,
}

impl Rewriter<'_, '_> {
    /// Adds what replaces a node of the model, or the node itself.
    fn node(&mut self, node: Node) -> Result<(), LoadError> {
        match (node.domain.as_str(), node.op.as_str()) {
            ("" | "ai.onnx", "Constant") => self.constant_node(node),
            ("" | "ai.onnx", "If") => self.condition(node),
            ("" | "ai.onnx", "Loop") => self.repetition(node),
            ("" | "ai.onnx", "BatchNormalization") => self.batch_normalization(node),
            ("" | "ai.onnx", "LpPool") => self.lp_pool(&node),
            ("" | "ai.onnx", "GlobalLpPool") => self.global_lp_pool(&node),
            ("" | "ai.onnx", "CenterCropPad") => self.center_crop_pad(&node),
            ("" | "ai.onnx" | MICROSOFT, "DequantizeLinear") => self.dequantize(node),
            (MICROSOFT, "MatMulNBits") => self.matmul_n_bits(&node),
            (MICROSOFT, "FusedConv") => self.fused_conv(&node),
            (MICROSOFT, "FusedGemm") => self.fused_gemm(&node),
            (MICROSOFT, "FusedMatMul") => self.fused_matmul(&node),
            (MICROSOFT, "BiasGelu" | "FastGelu" | "QuickGelu") => self.gelu(&node),
            (MICROSOFT, "DynamicQuantizeMatMul") => self.dynamic_quantize_matmul(&node),
            (MICROSOFT, "MatMulIntegerToFloat") => self.matmul_integer_to_float(&node),
            (MICROSOFT, "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization") => {
                self.skip_normalization(&node)
            }
            ("" | "ai.onnx" | MICROSOFT, "SimplifiedLayerNormalization") => {
                self.simplified_normalization(node)
            }
            _ => self.keep(node),
        }
    }

    /// Adds a node as it is.
    fn keep(&mut self, mut node: Node) -> Result<(), LoadError> {
        self.inlined.nodes += 1;
        if self.inlined.nodes > MAX_NODES {
            let reason = format!("there are more than {MAX_NODES} nodes, loops unrolled");
            return Err(LoadError::TooLarge(reason));
        }
        for graph in node.subgraphs_mut() {
            rewrite_graph(self.opset, graph, Some(&self.values), self.inlined)?;
        }
        self.values.add(self.opset, &node)?;
        let inputs = node.inputs.iter().filter(|name| !name.is_empty());
        if node.subgraphs().next().is_none() && inputs.clone().all(|name| self.is_fixed(name)) {
            self.fixed.extend(node.outputs.iter().cloned());
        }
        self.nodes.push(node);
        Ok(())
    }
}

impl Rewriter<'_, '_> {
    /// Whether a value does not depend on the input of a run.
    fn is_fixed(&self, name: &str) -> bool {
        self.constants.contains_key(name) || self.fixed.contains(name)
    }
}

/// Drops constants that no node reads any more.
fn drop_unused(graph: &mut Graph) {
    let read: BTreeSet<&str> = graph.nodes.iter().flat_map(Node::reads).collect();
    let given: BTreeSet<&str> = graph.outputs.iter().map(|o| o.name.as_str()).collect();
    let used = |tensor: &TensorData| {
        read.contains(tensor.name.as_str()) || given.contains(tensor.name.as_str())
    };
    graph.initializers.retain(used);
}
