//! Copies between tensors whose axes lie differently in memory: transpositions, slices, parts of a
//! concatenation, padding, broadcasts. One kind of copy serves them all.

use super::view::View;

/// A copy of a box of elements, each side with its own start and strides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strided {
    /// Size of the box, outermost axis first; never empty.
    axes: Vec<Axis>,
    from: usize,
    to: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    size: usize,
    /// Elements to the next along this axis; zero repeats one, negative walks backwards.
    from: isize,
    to: isize,
}

/// One side of a copy: where the box begins, and the strides of its axes.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub start: usize,
    pub strides: Vec<isize>,
}

impl Side {
    /// The whole of a view.
    pub(super) fn of(view: &View) -> Self {
        Self { start: 0, strides: view.strides().into_iter().map(usize::cast_signed).collect() }
    }
}

impl Strided {
    /// A copy of a box of this shape. `to` must be a dense layout or part of one: its strides give
    /// the order of the walk.
    pub(super) fn new(shape: &[usize], from: &Side, to: &Side) -> Self {
        let strides = from.strides.iter().zip(&to.strides);
        let mut axes: Vec<Axis> = shape
            .iter()
            .zip(strides)
            .map(|(&size, (&from, &to))| Axis { size, from, to })
            .filter(|a| a.size != 1)
            .collect();
        axes.sort_by_key(|a| std::cmp::Reverse(a.to));
        let mut joined: Vec<Axis> = Vec::new();
        for axis in axes {
            match joined.last_mut() {
                Some(outer) if joins(*outer, axis) => {
                    *outer = Axis { size: outer.size * axis.size, ..axis };
                }
                _ => joined.push(axis),
            }
        }
        if joined.is_empty() {
            joined.push(Axis { size: 1, from: 1, to: 1 });
        }
        Self { axes: joined, from: from.start, to: to.start }
    }

    /// Copies every element through `map`.
    ///
    /// # Panics
    /// When a buffer is smaller than the strides say.
    pub(super) fn run<T: Copy>(&self, from: &[T], to: &mut [T], map: impl Fn(T) -> T + Copy) {
        walk(&self.axes, from, self.from.cast_signed(), to, self.to.cast_signed(), map);
    }
}

fn joins(outer: Axis, inner: Axis) -> bool {
    let size = inner.size.cast_signed();
    outer.to == inner.to * size && outer.from == inner.from * size
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_sign_loss,
    reason = "the strides were made for buffers of these lengths; a slip must panic, not wrap"
)]
fn walk<T: Copy>(
    axes: &[Axis],
    from: &[T],
    mut f: isize,
    to: &mut [T],
    mut t: isize,
    map: impl Fn(T) -> T + Copy,
) {
    match *axes {
        [] => to[t as usize] = map(from[f as usize]),
        [Axis { size, from: 1, to: 1 }] => {
            let (f, t) = (f as usize, t as usize);
            let pairs = to[t..t + size].iter_mut().zip(&from[f..f + size]);
            pairs.for_each(|(y, &x)| *y = map(x));
        }
        [axis, ref rest @ ..] => {
            for _ in 0..axis.size {
                walk(rest, from, f, to, t, map);
                (f, t) = (f + axis.from, t + axis.to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::Place;

    fn view(shape: &[usize], order: &[usize]) -> View {
        View { place: Place::Buffer(0), shape: shape.to_vec(), order: order.to_vec() }
    }

    #[test]
    fn transposes() {
        let (from, to) = (view(&[2, 3, 2], &[0, 1, 2]), view(&[2, 3, 2], &[0, 2, 1]));
        let copy = Strided::new(&[2, 3, 2], &Side::of(&from), &Side::of(&to));
        let x: Vec<i8> = (0..12).collect();
        let mut y = vec![0; 12];
        copy.run(&x, &mut y, |x| x);
        assert_eq!(y, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }

    #[test]
    fn joins_axes_that_stay_together() {
        let plain = view(&[4, 5, 6], &[0, 1, 2]);
        let copy = Strided::new(&[4, 5, 6], &Side::of(&plain), &Side::of(&plain));
        assert_eq!(copy.axes, [Axis { size: 120, from: 1, to: 1 }]);
    }

    #[test]
    fn slices_backwards_and_repeats() {
        let x: Vec<i8> = (0..6).collect();
        let mut y = vec![0; 6];
        let back = Side { start: 5, strides: vec![-2] };
        Strided::new(&[3], &back, &Side { start: 1, strides: vec![1] }).run(&x, &mut y, |x| x * 2);
        assert_eq!(y, [0, 10, 6, 2, 0, 0]);
        let row = Side { start: 4, strides: vec![0, 1] };
        Strided::new(&[3, 2], &row, &Side { start: 0, strides: vec![2, 1] }).run(&x, &mut y, |x| x);
        assert_eq!(y, [4, 5, 4, 5, 4, 5]);
    }
}
