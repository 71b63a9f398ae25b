//! Views of tensors: a buffer, the shape in the graph, and the order of the axes in memory.
//!
//! The kernels take channels last, ONNX has channels first, and models contain many transpositions
//! and reshapes. Because a view has an order of axes beside its shape, most of them move nothing.

use inferd_kernels::StridedView;

/// A reference to a buffer of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum BufferRef {
    /// A working buffer, by its number.
    Buffer(usize),
    /// A model input.
    Input(usize),
    /// A constant of the plan.
    Constant(usize),
    /// A model output; only complete plans have these.
    Output(usize),
}

/// A dense tensor in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorView {
    pub buffer: BufferRef,
    pub shape: Vec<usize>,
    /// The axes from the outermost to the innermost in memory.
    pub order: Vec<usize>,
}

impl TensorView {
    /// Returns a view of a tensor whose axes are in memory in the order of its shape.
    pub(super) fn plain(buffer: BufferRef, shape: &[usize]) -> Self {
        Self { buffer, shape: shape.to_vec(), order: (0..shape.len()).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    fn size(&self, axis: usize) -> usize {
        self.shape.get(axis).copied().unwrap_or(1)
    }

    /// Whether the axes are in memory in this order; axes of size one may be anywhere.
    pub(super) fn has_axis_order(&self, order: &[usize]) -> bool {
        let real = |order: &[usize]| -> Vec<usize> {
            order.iter().copied().filter(|&a| self.size(a) != 1).collect()
        };
        real(&self.order) == real(order)
    }

    pub(super) fn is_plain(&self) -> bool {
        self.has_axis_order(&(0..self.shape.len()).collect::<Vec<_>>())
    }

    /// Returns the same tensor with its axes permuted by `perm`.
    pub(super) fn transposed(&self, perm: &[usize]) -> Self {
        let shape = perm.iter().map(|&p| self.size(p)).collect();
        let place_of = |axis: &usize| perm.iter().position(|p| p == axis).unwrap_or(0);
        let order = self.order.iter().map(place_of).collect();
        Self { buffer: self.buffer, shape, order }
    }

    /// Returns the same elements with another shape of the same volume, if no element has to move.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        if self.is_plain() {
            return Some(Self::plain(self.buffer, shape));
        }
        let mut order: Vec<usize> =
            (0..shape.len()).filter(|&a| shape.get(a) == Some(&1)).collect();
        let blocks = blocks(&self.shape, shape);
        let mut memory = self.order.iter().copied().filter(|&a| self.size(a) != 1);
        while let Some(first) = memory.next() {
            let (old, new) = blocks.iter().find(|(old, _)| old.first() == Some(&first))?;
            if !old.iter().skip(1).all(|a| memory.next() == Some(*a)) {
                return None;
            }
            order.extend(new);
        }
        Some(Self { buffer: self.buffer, shape: shape.to_vec(), order })
    }

    /// Returns the number of elements between neighbours along each axis of the shape.
    pub(super) fn strides(&self) -> Vec<usize> {
        let mut strides = vec![0; self.shape.len()];
        let mut step = 1;
        for &axis in self.order.iter().rev() {
            if let Some(stride) = strides.get_mut(axis) {
                *stride = step;
            }
            step *= self.size(axis);
        }
        strides
    }

    /// Returns the whole tensor as a source or destination of a copy.
    pub(super) fn side(&self) -> StridedView {
        StridedView {
            start: 0,
            strides: self.strides().into_iter().map(usize::cast_signed).collect(),
        }
    }
}

/// Returns runs of old axes and of new axes with equal volume, as short as possible, without axes
/// of size one. The volumes of both shapes must agree.
fn blocks(old: &[usize], new: &[usize]) -> Vec<(Vec<usize>, Vec<usize>)> {
    let real = |shape: &[usize]| -> Vec<(usize, usize)> {
        shape.iter().copied().enumerate().filter(|&(_, d)| d != 1).collect()
    };
    let (old, new) = (real(old), real(new));
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    let mut blocks = Vec::new();
    while let (Some((a, mut va)), Some((b, mut vb))) = (old.next(), new.next()) {
        let (mut block_a, mut block_b) = (vec![a], vec![b]);
        while va != vb {
            let shorter = if va < vb {
                (&mut old, &mut va, &mut block_a)
            } else {
                (&mut new, &mut vb, &mut block_b)
            };
            let Some((axis, size)) = shorter.0.next() else { break };
            *shorter.1 *= size;
            shorter.2.push(axis);
        }
        blocks.push((block_a, block_b));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[usize], order: &[usize]) -> TensorView {
        TensorView { buffer: BufferRef::Buffer(0), shape: shape.to_vec(), order: order.to_vec() }
    }

    /// Index in memory of every element in the order of the shape.
    fn walk(v: &TensorView) -> Vec<usize> {
        let strides = v.strides();
        let mut all = vec![0];
        for (&size, &stride) in v.shape.iter().zip(&strides) {
            all = all.iter().flat_map(|&at| (0..size).map(move |i| at + i * stride)).collect();
        }
        all
    }

    #[test]
    fn reshapes_that_move_nothing_are_found_and_others_are_not() {
        let nhwc = view(&[1, 64, 25, 5], &[0, 2, 3, 1]);
        let joined = nhwc.reshaped(&[1, 64, 125]).unwrap();
        assert_eq!(walk(&joined), walk(&nhwc));
        assert_eq!(joined.order, [0, 2, 1]);
        assert!(nhwc.reshaped(&[1, 64 * 125]).is_none());
        let pooled = view(&[1, 64, 1, 1], &[0, 2, 3, 1]);
        assert_eq!(pooled.reshaped(&[64]).unwrap().order, [0]);
        let split = view(&[6, 4], &[1, 0]).reshaped(&[2, 3, 1, 4]).unwrap();
        assert_eq!(walk(&split), walk(&view(&[6, 4], &[1, 0])));
        assert!(view(&[6, 4], &[1, 0]).reshaped(&[3, 8]).is_none());
    }

    #[test]
    fn transpositions_keep_every_element_in_its_place() {
        let v = view(&[2, 3, 4], &[0, 1, 2]);
        let t = v.transposed(&[2, 0, 1]);
        assert_eq!(t.shape, [4, 2, 3]);
        assert_eq!(t.strides(), [1, 12, 4]);
        assert!(t.transposed(&[1, 2, 0]).is_plain());
        assert!(view(&[1, 1, 49, 10], &[0, 1, 2, 3]).has_axis_order(&[0, 2, 3, 1]));
    }
}
