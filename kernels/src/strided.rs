//! Copies between tensors whose axes lie differently in memory: transpositions, slices, parts of a
//! concatenation, padding, broadcasts. One kind of copy serves them all.
use super::arith::Table;

/// A copy of a box of elements, each side with its own start and strides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strided {
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

/// One side of a copy: where the box begins, and the strides of its axes, in elements.
#[derive(Clone, Debug)]
pub struct Side {
    pub start: usize,
    pub strides: Vec<isize>,
}

/// Rows of a transposition that are filled together.
const TILE: usize = 4;

impl Strided {
    /// A copy of a box of this shape. `to` must be a dense layout or part of one: its strides give
    /// the order of the walk.
    #[must_use]
    pub fn new(shape: &[usize], from: &Side, to: &Side) -> Self {
        let strides = from.strides.iter().zip(&to.strides);
        let mut axes: Vec<Axis> = shape
            .iter()
            .zip(strides)
            .map(|(&size, (&from, &to))| Axis { size, from, to })
            .filter(|a| a.size != 1)
            .collect();
        axes.sort_by_key(|a| std::cmp::Reverse(a.to));
        if shape.contains(&0) {
            return Self { axes: vec![Axis { size: 0, from: 1, to: 1 }], from: 0, to: 0 };
        }
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

    /// Copies bytes.
    ///
    /// # Panics
    /// When a buffer is smaller than the strides say.
    #[inline(never)]
    pub fn bytes(&self, from: &[i8], to: &mut [i8]) {
        self.run(from, to, |x| x);
    }

    /// Copies bytes through a table.
    ///
    /// # Panics
    /// As [`Strided::bytes`].
    #[inline(never)]
    pub fn look_up(&self, table: &Table, from: &[i8], to: &mut [i8]) {
        self.run(from, to, |x| table.at(x));
    }

    /// Copies floats.
    ///
    /// # Panics
    /// As [`Strided::bytes`].
    #[inline(never)]
    pub fn floats(&self, from: &[f32], to: &mut [f32]) {
        self.run(from, to, |x| x);
    }

    /// Copies elements of any type through `map`. It is compiled as the caller is: [`Strided::bytes`]
    /// and its like are for runs.
    ///
    /// # Panics
    /// As [`Strided::bytes`].
    pub fn run<T: Copy>(&self, from: &[T], to: &mut [T], map: impl Fn(T) -> T + Copy) {
        walk(&self.axes, (from, self.from as isize), (to, self.to as isize), map);
    }
}

fn joins(outer: Axis, inner: Axis) -> bool {
    let size = inner.size as isize;
    outer.to == inner.to * size && outer.from == inner.from * size
}

/// Copies the box of `axes`; each side is a buffer and the place of the box's first element in it.
fn walk<T: Copy>(
    axes: &[Axis],
    (from, mut f): (&[T], isize),
    (to, mut t): (&mut [T], isize),
    map: impl Fn(T) -> T + Copy,
) {
    match *axes {
        [] => {}
        [row] => line(row, (from, f), (to, t), map),
        [rows, row] if is_transposition(rows, row) => tiles(rows, row, (from, f), (to, t), map),
        [axis, ref rest @ ..] => {
            for _ in 0..axis.size {
                walk(rest, (from, f), (to, t), map);
                (f, t) = (f + axis.from, t + axis.to);
            }
        }
    }
}

/// The innermost axis.
#[inline(always)]
fn line<T: Copy>(
    axis: Axis,
    (from, f): (&[T], isize),
    (to, t): (&mut [T], isize),
    map: impl Fn(T) -> T,
) {
    let to = &mut to[t as usize..];
    match axis {
        Axis { size, from: 1, to: 1 } => {
            let from = &from[f as usize..][..size];
            to[..size].iter_mut().zip(from).for_each(|(y, &x)| *y = map(x));
        }
        Axis { size, from: step, to: 1 } => {
            let mut f = f;
            for y in &mut to[..size] {
                *y = map(from[f as usize]);
                f += step;
            }
        }
        Axis { size, from: step, to: stride } => {
            for i in 0..size as isize {
                to[(i * stride) as usize] = map(from[(f + i * step) as usize]);
            }
        }
    }
}

/// Whether each of `rows` is dense, and their elements of one column stand side by side where they come from.
fn is_transposition(rows: Axis, row: Axis) -> bool {
    rows.from == 1 && row.to == 1 && row.from > 0 && rows.to >= row.size as isize
}

/// A transposition, [`TILE`] rows at a time: what is read of a column lies side by side.
#[inline(always)]
fn tiles<T: Copy>(
    rows: Axis,
    row: Axis,
    (from, f): (&[T], isize),
    (to, t): (&mut [T], isize),
    map: impl Fn(T) -> T + Copy,
) {
    let (stride, step) = (rows.to as usize, row.from as usize);
    let tiled = rows.size / TILE * TILE;
    for first in (0..tiled).step_by(TILE) {
        let from = &from[f as usize + first..];
        let (a, rest) = to[t as usize + first * stride..].split_at_mut(stride);
        let (b, rest) = rest.split_at_mut(stride);
        let (c, d) = rest.split_at_mut(stride);
        let [a, b, c, d] = [a, b, c, d].map(|row_of| &mut row_of[..row.size]);
        for i in 0..row.size {
            let column = &from[i * step..][..TILE];
            a[i] = map(column[0]);
            b[i] = map(column[1]);
            c[i] = map(column[2]);
            d[i] = map(column[3]);
        }
    }
    for last in tiled as isize..rows.size as isize {
        line(row, (from, f + last), (&mut *to, t + last * rows.to), map);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The strides of a dense tensor, outermost axis first.
    fn dense(shape: &[usize]) -> Vec<isize> {
        (0..shape.len()).map(|a| shape[a + 1..].iter().product::<usize>() as isize).collect()
    }

    fn from_start(strides: Vec<isize>) -> Side {
        Side { start: 0, strides }
    }

    /// Channels last, into channels first: every number of channels and of pixels about a tile.
    #[test]
    fn transposes() {
        for (channels, pixels) in (1..10).flat_map(|c| (1..10).map(move |p| (c, p))) {
            let shape = [2, channels, pixels];
            let last = dense(&[2, pixels, channels]);
            let last = from_start(vec![last[0], last[2], last[1]]);
            let copy = Strided::new(&shape, &last, &from_start(dense(&shape)));
            let x: Vec<i8> = (0..2 * channels * pixels).map(|i| i as i8).collect();
            let mut y = vec![0; x.len()];
            copy.bytes(&x, &mut y);
            for (at, &y) in y.iter().enumerate() {
                let (n, c, p) = (at / (channels * pixels), at / pixels % channels, at % pixels);
                assert_eq!(y, x[(n * pixels + p) * channels + c], "{shape:?} at {at}");
            }
        }
    }

    /// Four axes turned round: the innermost two make no transposition by themselves.
    #[test]
    fn turns_any_axes() {
        let shape = [2, 3, 5, 6];
        let back = from_start(vec![1, 2, 6, 30]);
        let copy = Strided::new(&shape, &back, &from_start(dense(&shape)));
        let x: Vec<f32> = (0..180u8).map(f32::from).collect();
        let mut y = vec![0.0; 180];
        copy.floats(&x, &mut y);
        let expected = (0..180).map(|i| x[i / 90 + i / 30 % 3 * 2 + i / 6 % 5 * 6 + i % 6 * 30]);
        assert!(y.iter().copied().eq(expected));
    }

    #[test]
    fn joins_axes_that_stay_together() {
        let plain = from_start(dense(&[4, 5, 6]));
        let copy = Strided::new(&[4, 5, 6], &plain, &plain);
        assert_eq!(copy.axes, [Axis { size: 120, from: 1, to: 1 }]);
    }

    #[test]
    fn slices_backwards_and_repeats() {
        let x: Vec<i8> = (0..6).collect();
        let mut y = vec![0; 6];
        let back = Side { start: 5, strides: vec![-2] };
        let double = Table::new(|x| x.wrapping_mul(2));
        Strided::new(&[3], &back, &Side { start: 1, strides: vec![1] })
            .look_up(&double, &x, &mut y);
        assert_eq!(y, [0, 10, 6, 2, 0, 0]);
        let row = Side { start: 4, strides: vec![0, 1] };
        Strided::new(&[3, 2], &row, &from_start(vec![2, 1])).bytes(&x, &mut y);
        assert_eq!(y, [4, 5, 4, 5, 4, 5]);
    }

    /// A part of a picture, channels last, into the middle of a larger one, channels first.
    #[test]
    fn transposes_a_part_into_a_part() {
        let from = Side { start: 9, strides: vec![1, 9] };
        let copy = Strided::new(&[7, 3], &from, &Side { start: 2, strides: vec![5, 1] });
        let x: Vec<i8> = (0..45).collect();
        let mut y = [-1; 40];
        copy.bytes(&x, &mut y);
        for (at, y) in y.into_iter().enumerate() {
            let (channel, pixel) = (at / 5, at % 5);
            let copied = channel < 7 && (2..5).contains(&pixel);
            assert_eq!(y, if copied { x[9 * (pixel - 1) + channel] } else { -1 }, "{at}");
        }
    }

    #[test]
    fn nothing_is_copied_out_of_nothing() {
        let beyond = Side { start: 1, strides: vec![0, 1] };
        Strided::new(&[5, 0], &from_start(vec![1, 5]), &beyond).bytes(&[], &mut []);
    }

    /// A buffer that is too small must panic, not end early.
    #[test]
    #[should_panic(expected = "range")]
    fn a_short_buffer_is_a_mistake() {
        let shape = [4, 6];
        let copy = Strided::new(&shape, &from_start(vec![1, 4]), &from_start(dense(&shape)));
        copy.bytes(&[0; 23], &mut [0; 24]);
    }
}
