//! The plan under construction: steps over any number of buffers.

use super::slices::set_at;
use crate::engine::plan::{BufferSlice, Operation, Step};
use crate::engine::tensor_view::{BufferRef, TensorView};
use inferd_kernels::{Isa, Strided, StridedView, Table};

/// Type of the elements of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ElementKind {
    Bytes,
    Floats,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Buffer {
    pub kind: ElementKind,
    pub len: usize,
}

#[derive(Debug)]
pub(in crate::engine) struct PlanBuilder {
    pub isa: Isa,
    pub steps: Vec<Step>,
    pub buffers: Vec<Buffer>,
    pub constants: Vec<Vec<i8>>,
    pub float_constants: Vec<Vec<f32>>,
    pub dynamic_ranges: usize,
    pub opaque_values: usize,
}

impl PlanBuilder {
    pub(in crate::engine) fn new(isa: Isa) -> Self {
        Self {
            isa,
            steps: Vec::new(),
            buffers: Vec::new(),
            constants: Vec::new(),
            float_constants: Vec::new(),
            dynamic_ranges: 0,
            opaque_values: 0,
        }
    }

    pub(super) fn buffer(&mut self, kind: ElementKind, len: usize) -> BufferRef {
        self.buffers.push(Buffer { kind, len });
        BufferRef::Buffer(self.buffers.len() - 1)
    }

    pub(super) fn constant(&mut self, values: Vec<i8>) -> BufferRef {
        self.constants.push(values);
        BufferRef::Constant(self.constants.len() - 1)
    }

    pub(super) fn float_constant(&mut self, values: Vec<f32>) -> BufferRef {
        self.float_constants.push(values);
        BufferRef::Constant(self.float_constants.len() - 1)
    }

    /// Adds a step that makes a tensor of this shape and order in a new buffer.
    pub(super) fn emit_step(
        &mut self,
        operation: Operation,
        from: &[&TensorView],
        kind: ElementKind,
        shape: &[usize],
        order: &[usize],
    ) -> TensorView {
        let len = shape.iter().product();
        let buffer = self.buffer(kind, len);
        self.push(operation, from, buffer, len);
        TensorView { buffer, shape: shape.to_vec(), order: order.to_vec() }
    }

    /// Adds a step that makes a tensor with the shape and order of the first of `from`.
    pub(super) fn emit_step_like(
        &mut self,
        operation: Operation,
        from: &[&TensorView],
        kind: ElementKind,
    ) -> TensorView {
        let (shape, order) = match from.first() {
            Some(view) => (view.shape.clone(), view.order.clone()),
            None => (Vec::new(), Vec::new()),
        };
        self.emit_step(operation, from, kind, &shape, &order)
    }

    pub(super) fn push(
        &mut self,
        operation: Operation,
        from: &[&TensorView],
        buffer: BufferRef,
        len: usize,
    ) {
        let from = from.iter().map(|v| BufferSlice { buffer: v.buffer, len: v.len() }).collect();
        self.steps.push(Step { operation, from, to: BufferSlice { buffer, len } });
    }

    /// The tensor with its axes in this order in memory, copied if needed.
    pub(super) fn ordered(
        &mut self,
        view: &TensorView,
        order: &[usize],
        kind: ElementKind,
    ) -> TensorView {
        if view.has_axis_order(order) {
            return TensorView { order: order.to_vec(), ..view.clone() };
        }
        let to = TensorView { order: order.to_vec(), ..view.clone() };
        self.copied(view, &view.shape, view.side(), &to, kind)
    }

    /// The tensor with its axes in the order of its shape, copied if needed.
    pub(super) fn plain(&mut self, view: &TensorView, kind: ElementKind) -> TensorView {
        let order: Vec<usize> = (0..view.shape.len()).collect();
        self.ordered(view, &order, kind)
    }

    /// The tensor in another shape of the same volume, copied if needed.
    pub(super) fn reshaped(
        &mut self,
        view: &TensorView,
        shape: &[usize],
        kind: ElementKind,
    ) -> TensorView {
        match view.reshaped(shape) {
            Some(view) => view,
            None => TensorView::plain(self.plain(view, kind).buffer, shape),
        }
    }

    /// Copies the box `from` of `source` to a new tensor of the shape and order of `to`.
    pub(super) fn copied(
        &mut self,
        source: &TensorView,
        shape: &[usize],
        from: StridedView,
        to: &TensorView,
        kind: ElementKind,
    ) -> TensorView {
        let strided = Strided::new(shape, &from, &to.side());
        let operation = match kind {
            ElementKind::Bytes => Operation::Copy { strided, table: None },
            ElementKind::Floats => Operation::CopyFloat(strided),
        };
        self.emit_step(operation, &[source], kind, &to.shape, &to.order)
    }

    /// Concatenates tensors along `axis`, each mapped through its table.
    pub(super) fn concat(
        &mut self,
        parts: &[(TensorView, Option<Table>)],
        axis: usize,
    ) -> TensorView {
        let Some((first, _)) = parts.first() else {
            return TensorView::plain(BufferRef::Constant(0), &[0]);
        };
        let total: usize = parts.iter().filter_map(|(v, _)| v.shape.get(axis)).sum();
        let mut shape = first.shape.clone();
        set_at(&mut shape, axis, total);
        let len = shape.iter().product();
        let buffer = self.buffer(ElementKind::Bytes, len);
        let whole = TensorView { buffer, shape, order: first.order.clone() };
        let mut side = whole.side();
        for (view, table) in parts {
            let strided = Strided::new(&view.shape, &view.side(), &side);
            let table = table.clone().map(Box::new);
            self.push(Operation::Copy { strided, table }, &[view], buffer, len);
            let step = side.strides.get(axis).copied().unwrap_or(0).unsigned_abs();
            side.start += step * view.shape.get(axis).copied().unwrap_or(0);
        }
        whole
    }
}
