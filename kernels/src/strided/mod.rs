//! Copies between tensors with different memory layouts.
//!
//! One kind of copy implements transpositions, slices, parts of a concatenation, padding and
//! broadcasts.
use super::elementwise::Table;

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

/// The source or the destination of a copy: the start of the box and the strides of its axes, in
/// elements.
#[derive(Clone, Debug)]
pub struct StridedView {
    pub start: usize,
    pub strides: Vec<isize>,
}

/// Rows of a transposition that are filled together.
const TILE_ROWS: usize = 4;

impl Strided {
    /// Plans the copy of a box of this shape. `to` must be a dense layout or part of one; its
    /// strides give the order of the walk.
    #[must_use]
    pub fn new(shape: &[usize], from: &StridedView, to: &StridedView) -> Self {
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
    /// If a buffer is smaller than the strides require.
    #[inline(never)]
    pub fn bytes(&self, from: &[i8], to: &mut [i8]) {
        self.run(from, to, |x| x);
    }

    /// Copies bytes through a table.
    ///
    /// # Panics
    /// Same as [`Strided::bytes`].
    #[inline(never)]
    pub fn look_up(&self, table: &Table, from: &[i8], to: &mut [i8]) {
        self.run(from, to, |x| table.at(x));
    }

    /// Copies floats.
    ///
    /// # Panics
    /// Same as [`Strided::bytes`].
    #[inline(never)]
    pub fn floats(&self, from: &[f32], to: &mut [f32]) {
        self.run(from, to, |x| x);
    }

    /// Copies elements of any type through `map`. It is compiled with the options of the caller, so
    /// runs call [`Strided::bytes`] and its siblings instead.
    ///
    /// # Panics
    /// Same as [`Strided::bytes`].
    pub fn run<T: Copy>(&self, from: &[T], to: &mut [T], map: impl Fn(T) -> T + Copy) {
        walk(&self.axes, (from, self.from as isize), (to, self.to as isize), map);
    }
}

fn joins(outer: Axis, inner: Axis) -> bool {
    let size = inner.size as isize;
    outer.to == inner.to * size && outer.from == inner.from * size
}

/// Copies the box of `axes`. Each side is a buffer and the index of the box's first element in it.
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

/// Copies the innermost axis.
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

/// Whether each of `rows` is dense, and the elements of one column are adjacent in the source.
fn is_transposition(rows: Axis, row: Axis) -> bool {
    rows.from == 1 && row.to == 1 && row.from > 0 && rows.to >= row.size as isize
}

/// Transposes [`TILE_ROWS`] rows at a time, so that reads of a column are adjacent.
#[inline(always)]
fn tiles<T: Copy>(
    rows: Axis,
    row: Axis,
    (from, f): (&[T], isize),
    (to, t): (&mut [T], isize),
    map: impl Fn(T) -> T + Copy,
) {
    let (stride, step) = (rows.to as usize, row.from as usize);
    let tiled = rows.size / TILE_ROWS * TILE_ROWS;
    for first in (0..tiled).step_by(TILE_ROWS) {
        let from = &from[f as usize + first..];
        let (a, rest) = to[t as usize + first * stride..].split_at_mut(stride);
        let (b, rest) = rest.split_at_mut(stride);
        let (c, d) = rest.split_at_mut(stride);
        let [a, b, c, d] = [a, b, c, d].map(|row_of| &mut row_of[..row.size]);
        for i in 0..row.size {
            let column = &from[i * step..][..TILE_ROWS];
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
mod tests;
