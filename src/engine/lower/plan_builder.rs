//! The plan under construction: steps over any number of buffers.

use super::slices::set_at;
use crate::engine::plan::{BufferSlice, Operation, Step};
use crate::engine::view::{Place, View};
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
            dynamic_ranges: 0,
            opaque_values: 0,
        }
    }

    pub(super) fn buffer(&mut self, kind: ElementKind, len: usize) -> Place {
        self.buffers.push(Buffer { kind, len });
        Place::Buffer(self.buffers.len() - 1)
    }

    pub(super) fn constant(&mut self, values: Vec<i8>) -> Place {
        self.constants.push(values);
        Place::Constant(self.constants.len() - 1)
    }

    /// Adds a step that makes a tensor of this shape and order in a new buffer.
    pub(super) fn emit_step(
        &mut self,
        operation: Operation,
        from: &[&View],
        kind: ElementKind,
        shape: &[usize],
        order: &[usize],
    ) -> View {
        let len = shape.iter().product();
        let place = self.buffer(kind, len);
        self.push(operation, from, place, len);
        View { place, shape: shape.to_vec(), order: order.to_vec() }
    }

    /// Adds a step that makes a tensor with the shape and order of the first of `from`.
    pub(super) fn emit_step_like(
        &mut self,
        operation: Operation,
        from: &[&View],
        kind: ElementKind,
    ) -> View {
        let (shape, order) = match from.first() {
            Some(view) => (view.shape.clone(), view.order.clone()),
            None => (Vec::new(), Vec::new()),
        };
        self.emit_step(operation, from, kind, &shape, &order)
    }

    pub(super) fn push(&mut self, operation: Operation, from: &[&View], place: Place, len: usize) {
        let from = from.iter().map(|v| BufferSlice { place: v.place, len: v.len() }).collect();
        self.steps.push(Step { operation, from, to: BufferSlice { place, len } });
    }

    /// The tensor with its axes in this order in memory, copied if needed.
    pub(super) fn ordered(&mut self, view: &View, order: &[usize], kind: ElementKind) -> View {
        if view.is_in(order) {
            return View { order: order.to_vec(), ..view.clone() };
        }
        let to = View { order: order.to_vec(), ..view.clone() };
        self.copied(view, &view.shape, view.side(), &to, kind)
    }

    /// The tensor with its axes in the order of its shape, copied if needed.
    pub(super) fn plain(&mut self, view: &View, kind: ElementKind) -> View {
        let order: Vec<usize> = (0..view.shape.len()).collect();
        self.ordered(view, &order, kind)
    }

    /// The tensor in another shape of the same volume, copied if needed.
    pub(super) fn reshaped(&mut self, view: &View, shape: &[usize], kind: ElementKind) -> View {
        match view.reshaped(shape) {
            Some(view) => view,
            None => View::plain(self.plain(view, kind).place, shape),
        }
    }

    /// Copies the box `from` of `source` to a new tensor of the shape and order of `to`.
    pub(super) fn copied(
        &mut self,
        source: &View,
        shape: &[usize],
        from: StridedView,
        to: &View,
        kind: ElementKind,
    ) -> View {
        let strided = Strided::new(shape, &from, &to.side());
        let operation = match kind {
            ElementKind::Bytes => Operation::Copy { strided, table: None },
            ElementKind::Floats => Operation::CopyFloat(strided),
        };
        self.emit_step(operation, &[source], kind, &to.shape, &to.order)
    }

    /// Concatenates tensors along `axis`, each mapped through its table.
    pub(super) fn concat(&mut self, parts: &[(View, Option<Table>)], axis: usize) -> View {
        let Some((first, _)) = parts.first() else { return View::plain(Place::Constant(0), &[0]) };
        let total: usize = parts.iter().filter_map(|(v, _)| v.shape.get(axis)).sum();
        let mut shape = first.shape.clone();
        set_at(&mut shape, axis, total);
        let len = shape.iter().product();
        let place = self.buffer(ElementKind::Bytes, len);
        let whole = View { place, shape, order: first.order.clone() };
        let mut side = whole.side();
        for (view, table) in parts {
            let strided = Strided::new(&view.shape, &view.side(), &side);
            let table = table.clone().map(Box::new);
            self.push(Operation::Copy { strided, table }, &[view], place, len);
            let step = side.strides.get(axis).copied().unwrap_or(0).unsigned_abs();
            side.start += step * view.shape.get(axis).copied().unwrap_or(0);
        }
        whole
    }
}
