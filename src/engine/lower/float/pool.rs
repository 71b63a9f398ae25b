//! Pools of floats.

use crate::engine::graph::element_count;
use crate::engine::lower::context::{LowerResult, Lowering, run_in_float};
use crate::engine::lower::conv::{channels_last_order, channels_last_result, window};
use crate::engine::lower::plan_builder::ElementKind;
use crate::engine::lower::value::Value;
use crate::engine::plan::{FloatStep, Operation};
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::window_attributes::{WindowAttributes, sizes};
use inferd_kernels::float::{Pool, PoolKind};

impl Lowering<'_> {
    /// `MaxPool` and `AveragePool`.
    pub(super) fn float_pool(&mut self, node: &ExpandedNode) -> LowerResult {
        if node.outputs.iter().skip(1).any(|o| !o.is_empty()) {
            return run_in_float("its indices are used");
        }
        let input = self.float_view(node, 0)?;
        let rank = input.shape.len();
        let [batch, channels, spatial @ ..] = input.shape.as_slice() else {
            return run_in_float("its input has no channels");
        };
        let Some(kernel) = sizes(node, "kernel_shape").or_else(run_in_float)? else {
            return run_in_float("it has no kernel_shape");
        };
        if kernel.len() != spatial.len() {
            return run_in_float("its kernel has another rank than its input");
        }
        let (batch, channels) = (*batch, *channels);
        let window = window(node, spatial, &kernel, channels)?;
        let kind = match (node.op.as_str(), node.int("count_include_pad").unwrap_or(0)) {
            ("MaxPool", _) => PoolKind::Max,
            (_, 0) => PoolKind::Average,
            _ => {
                let attributes = WindowAttributes::read(node, spatial.len());
                let attributes = attributes.or_else(run_in_float)?;
                let axes = spatial.iter().zip(&kernel).enumerate();
                let after = axes.map(|(i, (&size, &k))| attributes.padding(i, size, k).1);
                match *after.collect::<Vec<_>>() {
                    [right] => PoolKind::AverageWithPadding { after: [0, right] },
                    [below, right] => PoolKind::AverageWithPadding { after: [below, right] },
                    _ => return run_in_float("it has too many spatial axes"),
                }
            }
        };
        let pool = match Pool::new(self.builder.isa, &window, kind) {
            Ok(pool) => pool,
            Err(error) => return run_in_float(error.to_string()),
        };
        let result = channels_last_result(batch, channels, &window, rank);
        if element_count(&result.shape).is_err() {
            return run_in_float("its result is too large");
        }
        let view = self.builder.ordered(&input, &channels_last_order(rank), ElementKind::Floats);
        let operation = Operation::Float(Box::new(FloatStep::Pool { pool, batch }));
        let (shape, order) = (&result.shape, &result.order);
        let made = self.builder.emit_step(operation, &[&view], ElementKind::Floats, shape, order);
        self.set(node, Value::Float(made));
        Ok(())
    }
}
