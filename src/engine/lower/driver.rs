//! The walk over the graph, which decides for each node whether it is lowered, joins the float
//! region, or waits for it.

use super::context::{LowerResult, Lowering, NotLowered, run_in_float};
use super::float::{has_kernel, is_recurrent};
use crate::engine::error::LoadError;
use crate::engine::explain::NodePlacement;
use crate::engine::lower::value::Value;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use std::rc::Rc;

impl Lowering<'_> {
    /// Lowers what can be lowered, compiles a region of the rest, and repeats this with the nodes
    /// that waited for the region.
    pub(super) fn walk(&mut self) -> Result<(), LoadError> {
        let mut todo: Vec<usize> = (0..self.nodes.len()).collect();
        loop {
            let (mut waiting, count) = (Vec::new(), todo.len());
            for i in todo {
                if self.visit(i)? == Visit::Waits {
                    waiting.push(i);
                }
            }
            if waiting.is_empty() {
                return Ok(());
            }
            // Each region makes at least the values of the first waiting node.
            let stuck = (waiting.len() == count).then(|| waiting.first()).flatten();
            if let Some(node) = stuck.and_then(|&i| self.nodes.get(i)) {
                return Err(self.refuse(node, "it waits for a value that no node makes"));
            }
            let wanted = waiting.iter().filter_map(|&i| self.nodes.get(i));
            let wanted = wanted.flat_map(|n| n.reads()).map(str::to_owned);
            let wanted = wanted.chain(self.results.iter().cloned()).collect();
            self.close_region(&wanted)?;
            todo = waiting;
        }
    }

    fn visit(&mut self, i: usize) -> Result<Visit, LoadError> {
        let Some(node) = self.nodes.get(i).cloned() else { return Ok(Visit::Done) };
        let is = |this: &Self, test: fn(&Value) -> bool| {
            node.reads().into_iter().any(|n| this.values.get(n).is_some_and(test))
        };
        let pending = is(self, |v| matches!(v, Value::Pending));
        let blocked = is(self, |v| matches!(v, Value::Blocked));
        let kernel = self.float_kernels && has_kernel(&node.op) && !self.reads_others(&node);
        let kernel = kernel || is_recurrent(&node.op);
        let waits = starts_integers(&node.op) || Self::reads_memory(&node) || kernel;
        if blocked || (pending && waits) {
            self.set_outputs(&node, &Value::Blocked);
            return Ok(Visit::Waits);
        }
        let result = match pending {
            true => run_in_float("it works on floats"),
            false => self.lower_node(&node),
        };
        match result {
            Ok(()) if self.leaves_out(&node) => self.add_node(i, "it has more outputs than one")?,
            Ok(()) => {}
            Err(NotLowered::Refuse(error)) => return Err(error),
            Err(NotLowered::RunInFloat(reason)) if self.certain => {
                return Err(self.refuse(&node, reason));
            }
            Err(NotLowered::RunInFloat(reason)) => self.add_node(i, &reason)?,
        }
        Ok(Visit::Done)
    }

    /// Whether lowering left out an output that is used.
    fn leaves_out(&self, node: &ExpandedNode) -> bool {
        let unmade = |n: &&String| matches!(self.values.get(*n), None | Some(Value::Blocked));
        let missing = |n: &&String| !n.is_empty() && unmade(n);
        node.outputs.iter().filter(missing).any(|n| self.used.contains(n))
    }

    fn lower_node(&mut self, node: &Rc<ExpandedNode>) -> LowerResult {
        if self.classical(node)? {
            return Ok(());
        }
        if node.op == "Constant" || self.all_constant(node) {
            return self.fold(node);
        }
        if self.float_kernels {
            return self.float_node(node);
        }
        match node.op.as_str() {
            "DequantizeLinear" => self.dequantize(node)?,
            "QuantizeLinear" => self.quantize(node)?,
            "DynamicQuantizeLinear" => self.dynamic_quantize(node)?,
            "MatMulInteger" => self.matmul_integer(node)?,
            "ConvInteger" => self.conv_integer(node)?,
            "Cast" => self.cast(node)?,
            "Conv" => self.conv(node)?,
            "MatMul" => self.matmul(node)?,
            "Gemm" => self.gemm(node)?,
            "Add" | "Sub" | "Mul" => self.add_or_mul(node)?,
            "Relu" | "Clip" => self.clamp(node)?,
            "MaxPool" | "GlobalMaxPool" => self.max_pool(node)?,
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => self.average_pool(node)?,
            "Softmax" => self.softmax(node)?,
            "Transpose" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Identity"
            | "Dropout" => self.movement(node)?,
            "Slice" => self.slice(node)?,
            "Split" => self.split(node)?,
            "Concat" => self.concat(node)?,
            "Pad" => self.pad(node)?,
            "Shape" => return self.shape_of(node),
            op if is_recurrent(op) => return self.recurrent(node),
            _ => self.function(node)?,
        }
        self.record_placement(node, NodePlacement::Integer);
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Visit {
    Done,
    Waits,
}

/// Operators that are lowered even if their input comes from a float region.
pub(super) fn starts_integers(op: &str) -> bool {
    matches!(
        op,
        "QuantizeLinear"
            | "DequantizeLinear"
            | "DynamicQuantizeLinear"
            | "MatMulInteger"
            | "ConvInteger"
    )
}
