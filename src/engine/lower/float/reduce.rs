//! Means, sums, softmax and normalisations of floats.

use super::operands::floats;
use crate::engine::graph::Node;
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::Value;
use crate::engine::plan::{FloatStep, Operation};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::shapes::axis;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::float::{Normalize, ReduceOp};

impl Lowering<'_> {
    /// A reduction over some axes; in memory they become one block between the others.
    pub(super) fn float_reduce(&mut self, node: &ExpandedNode, op: ReduceOp) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let rank = input.shape.len();
        let global = node.op.starts_with("Global");
        if global && rank < 3 {
            return run_in_float("its input has no spatial axes");
        }
        let axes = match self.axes(node, 1, rank)? {
            _ if global => (2..rank).collect(),
            Some(axes) if !axes.is_empty() => axes,
            _ if node.int("noop_with_empty_axes").unwrap_or(0) != 0 => {
                self.set(node, Value::Float(input));
                return Ok(());
            }
            _ => (0..rank).collect(),
        };
        let keeps = global || node.int("keepdims").unwrap_or(1) != 0;
        let result = self.reduced(&input, &axes, keeps, op);
        self.set(node, Value::Float(result));
        Ok(())
    }

    fn reduced(
        &mut self,
        input: &TensorView,
        axes: &[usize],
        keeps: bool,
        op: ReduceOp,
    ) -> TensorView {
        let rank = input.shape.len();
        let size =
            |axes: &[usize]| -> usize { axes.iter().filter_map(|&a| input.shape.get(a)).product() };
        let is_reduced = |a: &usize| axes.contains(a) && input.shape.get(*a) != Some(&1);
        let outer: Vec<usize> =
            input.order.iter().copied().take_while(|a| !is_reduced(a)).collect();
        let rest = input.order.iter().copied().skip(outer.len());
        let (middle, inner): (Vec<usize>, Vec<usize>) = rest.partition(|a| axes.contains(a));
        let order: Vec<usize> = [&*outer, &*middle, &*inner].concat();
        let view = self.builder.ordered(input, &order, ElementKind::Floats);
        let (shape, order): (Vec<usize>, Vec<usize>) = if keeps {
            let sizes = input.shape.iter().enumerate();
            (sizes.map(|(a, &d)| if axes.contains(&a) { 1 } else { d }).collect(), order)
        } else {
            let kept: Vec<usize> = (0..rank).filter(|a| !axes.contains(a)).collect();
            let place = |a: &usize| kept.iter().position(|k| k == a);
            let shape = kept.iter().filter_map(|&a| input.shape.get(a).copied()).collect();
            (shape, order.iter().filter_map(place).collect())
        };
        let sizes = [size(&outer), size(&middle), size(&inner)];
        let operation = Operation::Float(Box::new(FloatStep::Reduce { op, sizes }));
        self.builder.emit_step(operation, &[&view], ElementKind::Floats, &shape, &order)
    }

    /// Softmax and `LogSoftmax`.
    pub(super) fn float_softmax(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let rank = input.shape.len();
        let given = node.int("axis").unwrap_or(if self.opset < 13 { 1 } else { -1 });
        let Some(axis) = axis(given, rank) else { return run_in_float("its axis is out of range") };
        // Before operator set 13 a softmax went over all axes from the one given on.
        let flattens = self.opset < 13;
        let order: Vec<usize> = match flattens {
            true => (0..rank).collect(),
            false => input.order.iter().copied().filter(|&a| a != axis).chain([axis]).collect(),
        };
        let view = self.builder.ordered(&input, &order, ElementKind::Floats);
        let row = match flattens {
            true => view.shape.iter().skip(axis).product(),
            false => view.shape.get(axis).copied().unwrap_or(1),
        };
        let log = node.op == "LogSoftmax";
        let operation = Operation::Float(Box::new(FloatStep::Softmax { row, log }));
        let made = self.builder.emit_step_like(operation, &[&view], ElementKind::Floats);
        self.set(node, Value::Float(made));
        Ok(())
    }

    pub(super) fn float_layer_norm(&mut self, node: &ExpandedNode) -> LowerResult {
        let input = self.float_view(node, 0)?;
        let rank = input.shape.len();
        let Some(axis) = axis(node.int("axis").unwrap_or(-1), rank) else {
            return run_in_float("its axis is out of range");
        };
        let rows = input.shape.get(axis..).unwrap_or_default();
        let scale = self.row_constant(node, 1, rows)?;
        let bias = match Self::has_input(node, 2) {
            true => self.row_constant(node, 2, rows)?,
            false => Vec::new(),
        };
        let order: Vec<usize> = match rows.len() {
            1 => input.order.iter().copied().filter(|&a| a != axis).chain([axis]).collect(),
            _ => (0..rank).collect(),
        };
        let view = self.builder.ordered(&input, &order, ElementKind::Floats);
        let epsilon = node.float("epsilon").unwrap_or(1e-5);
        let normalize = Normalize { epsilon, center: node.op != "RMSNormalization", scale, bias };
        let operation = Operation::Float(Box::new(FloatStep::Normalize(normalize)));
        let made = self.builder.emit_step_like(operation, &[&view], ElementKind::Floats);
        self.set(node, Value::Float(made));
        Ok(())
    }

    fn row_constant(&self, node: &Node, i: usize, shape: &[usize]) -> LowerResult<Vec<f32>> {
        let row: usize = shape.iter().product();
        match self.float_constant(node, i) {
            Some(tensor) if tensor.shape == shape => Ok(floats(&tensor).to_vec()),
            Some(tensor) if tensor.data.len() == 1 => {
                Ok(vec![floats(&tensor).first().copied().unwrap_or(0.0); row])
            }
            _ => run_in_float("its scale or bias is not a constant of the shape of its rows"),
        }
    }
}
