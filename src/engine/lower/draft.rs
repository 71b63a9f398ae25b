//! The plan under construction: steps over as many buffers as are wanted.

use crate::engine::plan::{Action, Span, Step};
use crate::engine::view::{Place, View};
use inferd_kernels::{Isa, Strided, StridedView, Table};

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Holds {
    Bytes,
    Floats,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Buffer {
    pub holds: Holds,
    pub len: usize,
}

#[derive(Debug)]
pub(in crate::engine) struct Draft {
    pub isa: Isa,
    pub steps: Vec<Step>,
    pub buffers: Vec<Buffer>,
    pub constants: Vec<Vec<i8>>,
    pub slots: usize,
    pub others: usize,
}

impl Draft {
    pub(in crate::engine) fn new(isa: Isa) -> Self {
        Self {
            isa,
            steps: Vec::new(),
            buffers: Vec::new(),
            constants: Vec::new(),
            slots: 0,
            others: 0,
        }
    }

    pub(super) fn buffer(&mut self, holds: Holds, len: usize) -> Place {
        self.buffers.push(Buffer { holds, len });
        Place::Buffer(self.buffers.len() - 1)
    }

    pub(super) fn constant(&mut self, values: Vec<i8>) -> Place {
        self.constants.push(values);
        Place::Constant(self.constants.len() - 1)
    }

    /// Adds a step that makes a tensor of this shape and order in a new buffer.
    pub(super) fn make(
        &mut self,
        action: Action,
        from: &[&View],
        holds: Holds,
        shape: &[usize],
        order: &[usize],
    ) -> View {
        let len = shape.iter().product();
        let place = self.buffer(holds, len);
        self.push(action, from, place, len);
        View { place, shape: shape.to_vec(), order: order.to_vec() }
    }

    /// Adds a step that makes a tensor that lies as the first of `from` does.
    pub(super) fn make_like(&mut self, action: Action, from: &[&View], holds: Holds) -> View {
        let (shape, order) = match from.first() {
            Some(view) => (view.shape.clone(), view.order.clone()),
            None => (Vec::new(), Vec::new()),
        };
        self.make(action, from, holds, &shape, &order)
    }

    pub(super) fn push(&mut self, action: Action, from: &[&View], place: Place, len: usize) {
        let from = from.iter().map(|v| Span { place: v.place, len: v.len() }).collect();
        self.steps.push(Step { action, from, to: Span { place, len } });
    }

    /// The tensor with its axes in this order in memory, copied where it is not.
    pub(super) fn ordered(&mut self, view: &View, order: &[usize], holds: Holds) -> View {
        if view.is_in(order) {
            return View { order: order.to_vec(), ..view.clone() };
        }
        let to = View { order: order.to_vec(), ..view.clone() };
        self.copied(view, &view.shape, view.side(), &to, holds)
    }

    /// The tensor as its shape says.
    pub(super) fn plain(&mut self, view: &View, holds: Holds) -> View {
        let order: Vec<usize> = (0..view.shape.len()).collect();
        self.ordered(view, &order, holds)
    }

    /// The tensor under another shape of the same volume.
    pub(super) fn reshaped(&mut self, view: &View, shape: &[usize], holds: Holds) -> View {
        match view.reshaped(shape) {
            Some(view) => view,
            None => View::plain(self.plain(view, holds).place, shape),
        }
    }

    /// A new tensor, of the shape and order of `to`, out of the box `from` of `source`.
    pub(super) fn copied(
        &mut self,
        source: &View,
        shape: &[usize],
        from: StridedView,
        to: &View,
        holds: Holds,
    ) -> View {
        let strided = Strided::new(shape, &from, &to.side());
        let action = match holds {
            Holds::Bytes => Action::Copy { strided, table: None },
            Holds::Floats => Action::CopyFloat(strided),
        };
        self.make(action, &[source], holds, &to.shape, &to.order)
    }

    /// The tensors one behind the other along `axis`, each through its table.
    pub(super) fn joined(&mut self, parts: &[(View, Option<Table>)], axis: usize) -> View {
        let Some((first, _)) = parts.first() else { return View::plain(Place::Constant(0), &[0]) };
        let total: usize = parts.iter().filter_map(|(v, _)| v.shape.get(axis)).sum();
        let mut shape = first.shape.clone();
        shape.iter_mut().skip(axis).take(1).for_each(|d| *d = total);
        let len = shape.iter().product();
        let place = self.buffer(Holds::Bytes, len);
        let whole = View { place, shape, order: first.order.clone() };
        let mut side = whole.side();
        for (view, table) in parts {
            let strided = Strided::new(&view.shape, &view.side(), &side);
            let table = table.clone().map(Box::new);
            self.push(Action::Copy { strided, table }, &[view], place, len);
            let step = side.strides.get(axis).copied().unwrap_or(0).unsigned_abs();
            side.start += step * view.shape.get(axis).copied().unwrap_or(0);
        }
        whole
    }
}
