//! Pools, means and softmax.

use super::context::{LowerResult, Lowering, run_in_float};
use super::conv::{affine, channels_last_result, window};
use super::plan_builder::ElementKind;
use super::value::{
    Affine, Average, Deferred, DeferredOp, OpKind, QuantizedTensor, ResultLayout, Value,
};
use crate::engine::explain::NodePlacement;
use crate::engine::graph::element_count;
use crate::engine::plan::Operation;
use crate::engine::qoperator_to_qdq::ExpandedNode;
use crate::engine::shapes::axis;
use crate::engine::tensor_view::TensorView;
use inferd_kernels::ConvGeometry;

impl Lowering<'_> {
    /// Lowers a MaxPool. The largest stored integer is that of the largest real number.
    pub(super) fn max_pool(&mut self, node: &ExpandedNode) -> LowerResult {
        if node.outputs.iter().skip(1).any(|o| !o.is_empty()) {
            return run_in_float("its indices are used");
        }
        let value = match self.value(node, 0)?.clone() {
            Value::Quantized(stored) => Value::Quantized(QuantizedTensor {
                view: self.largest(node, &stored.view)?,
                ..stored
            }),
            Value::Deferred(Deferred::Affine(a)) => Value::Deferred(Deferred::Affine(Affine {
                view: self.largest(node, &a.view)?,
                ..a
            })),
            _ => return run_in_float("its input is not quantized"),
        };
        self.set(node, value);
        Ok(())
    }

    fn largest(&mut self, node: &ExpandedNode, view: &TensorView) -> LowerResult<TensorView> {
        let (window, batch) = self.pool_window(node, view, "GlobalMaxPool")?;
        let view = self.channels_last(view);
        let result = channels_last_result(batch, window.channels, &window, view.shape.len());
        let operation = Operation::MaxPool { window, batch };
        Ok(self.builder.emit_step(
            operation,
            &[&view],
            ElementKind::Bytes,
            &result.shape,
            &result.order,
        ))
    }

    fn pool_window(
        &self,
        node: &ExpandedNode,
        view: &TensorView,
        global: &str,
    ) -> LowerResult<(ConvGeometry, usize)> {
        let [batch, channels, spatial @ ..] = view.shape.as_slice() else {
            return run_in_float("its input has no channels");
        };
        if element_count(&view.shape).is_ok_and(|v| v == 0) {
            return run_in_float("its input is empty");
        }
        let kernel = match node.ints("kernel_shape") {
            _ if node.op == global => spatial.to_vec(),
            Some(sizes) => sizes.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect(),
            None => return run_in_float("it has no kernel_shape"),
        };
        if kernel.len() != spatial.len() {
            return run_in_float("its kernel has another rank than its input");
        }
        Ok((window(node, spatial, &kernel, *channels)?, *batch))
    }

    pub(super) fn average_pool(&mut self, node: &ExpandedNode) -> LowerResult {
        let value = self.value(node, 0)?;
        let Some(input) = affine(value).cloned() else {
            return run_in_float("its input is not quantized");
        };
        let average = if node.op == "AveragePool" {
            let (window, batch) = self.pool_window(node, &input.view, "")?;
            let view = self.channels_last(&input.view);
            let result = channels_last_result(batch, window.channels, &window, view.shape.len());
            let include_pad = node.int("count_include_pad").unwrap_or(0) != 0;
            Average { input: Affine { view, ..input }, window, include_pad, batch, result }
        } else {
            self.mean(node, input)?
        };
        let shape = average.result.shape.clone();
        self.set(
            node,
            Value::Deferred(Deferred::Op(DeferredOp::new(OpKind::AveragePool(average), shape))),
        );
        Ok(())
    }

    /// The mean over some axes as one window over them all. In memory they must be between the axes
    /// that were outside of them (the batch) and all others (the channels).
    fn mean(&mut self, node: &ExpandedNode, input: Affine) -> LowerResult<Average> {
        let rank = input.view.shape.len();
        let global = node.op == "GlobalAveragePool";
        let axes = match self.axes(node, 1, rank)? {
            _ if global => (2..rank).collect(),
            Some(axes) if !axes.is_empty() => axes,
            _ => (0..rank).collect(),
        };
        let size = |axes: &[usize]| -> usize {
            axes.iter().filter_map(|&a| input.view.shape.get(a)).product()
        };
        let order = &input.view.order;
        let is_mean = |a: &usize| axes.contains(a) && input.view.shape.get(*a) != Some(&1);
        let outer: Vec<usize> = order.iter().copied().take_while(|a| !is_mean(a)).collect();
        let (means, inner): (Vec<usize>, Vec<usize>) =
            order.iter().copied().skip(outer.len()).partition(|a| axes.contains(a));
        let count = size(&means);
        if count == 0 || count > 1 << 20 || size(&inner) == 0 || size(&outer) == 0 {
            return run_in_float("it averages too few or too many");
        }
        let wanted: Vec<usize> = [&outer, &means, &inner].into_iter().flatten().copied().collect();
        let view = self.builder.ordered(&input.view, &wanted, ElementKind::Bytes);
        let mean = |a: &usize| axes.contains(a);
        let result = if global || node.int("keepdims").unwrap_or(1) != 0 {
            let shape = input.view.shape.iter().enumerate();
            let shape = shape.map(|(a, &d)| if mean(&a) { 1 } else { d }).collect();
            ResultLayout { shape, order: wanted }
        } else {
            let kept: Vec<usize> = (0..rank).filter(|a| !mean(a)).collect();
            let place = |a: &usize| kept.iter().position(|k| k == a);
            let shape = kept.iter().filter_map(|&a| input.view.shape.get(a).copied()).collect();
            ResultLayout { shape, order: wanted.iter().filter_map(place).collect() }
        };
        let window = ConvGeometry {
            input: [count, 1],
            channels: size(&inner),
            output: [1, 1],
            kernel: [count, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
        };
        let input = Affine { view, ..input };
        Ok(Average { input, window, include_pad: false, batch: size(&outer), result })
    }

    /// Lowers a Softmax. Its exponentials come from a table, but sum and quotient are floats, so
    /// that the node counts as float.
    pub(super) fn softmax(&mut self, node: &ExpandedNode) -> LowerResult {
        let value = self.value(node, 0)?;
        let Some(input) = affine(value).cloned() else {
            return run_in_float("its input is not quantized");
        };
        let opset = node.int("opset").unwrap_or(self.opset);
        let rank = input.view.shape.len();
        let given = node.int("axis").unwrap_or(if opset < 13 { 1 } else { -1 });
        let Some(axis) = axis(given, rank) else { return run_in_float("its axis is out of range") };
        let view = if opset < 13 {
            // Then a softmax went over all axes from the one given on.
            self.builder.plain(&input.view, ElementKind::Bytes)
        } else {
            let mut order: Vec<usize> =
                input.view.order.iter().copied().filter(|&a| a != axis).collect();
            order.push(axis);
            self.builder.ordered(&input.view, &order, ElementKind::Bytes)
        };
        let row = match opset < 13 {
            true => view.shape.iter().skip(axis).product(),
            false => view.shape.get(axis).copied().unwrap_or(1),
        };
        if row == 0 {
            return run_in_float("its input is empty");
        }
        let shape = view.shape.clone();
        let op = OpKind::Softmax(Affine { view, ..input }, row);
        self.set(node, Value::Deferred(Deferred::Op(DeferredOp::new(op, shape))));
        self.record_placement(
            node,
            NodePlacement::float("sum and quotient of a softmax are floats"),
        );
        Ok(())
    }
}
