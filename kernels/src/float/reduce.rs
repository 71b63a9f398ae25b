//! Reductions over adjacent axes.
use super::super::isa::Isa;

/// Partial sums of a sum over adjacent elements: element i belongs to sum `i % LANES`.
pub const LANES: usize = 16;

/// What elements are reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    Sum,
    Mean,
    /// The largest element; a NaN makes the result NaN.
    Max,
    Min,
    Product,
    /// Sum of |x|.
    L1,
    /// sqrt(sum of x^2).
    L2,
    SumSquare,
}

/// Reduces the middle axis of `[outer][len][inner]` to `[outer][inner]`.
///
/// Any set of adjacent axes is one such axis. If `inner` is 1, sums are taken in [`LANES`] partial
/// sums; otherwise in order.
///
/// # Panics
/// If a length differs or `len` is 0.
#[inline(never)]
pub fn reduce(
    isa: Isa,
    op: ReduceOp,
    [outer, len, inner]: [usize; 3],
    input: &[f32],
    out: &mut [f32],
) {
    assert_eq!(input.len(), outer * len * inner, "input");
    assert_eq!(out.len(), outer * inner, "output");
    assert!(len > 0, "nothing to reduce");
    if inner == 0 {
        return;
    }
    let axes = Axes { len, inner };
    match op {
        ReduceOp::Sum | ReduceOp::Mean => axes.fold(isa, 0.0, |s, x| s + x, input, out),
        ReduceOp::Max => axes.fold(isa, f32::NEG_INFINITY, largest, input, out),
        ReduceOp::Min => axes.fold(isa, f32::INFINITY, smallest, input, out),
        ReduceOp::Product => axes.fold(isa, 1.0, |s, x| s * x, input, out),
        ReduceOp::L1 => axes.fold_of(isa, 0.0, |x| x.abs(), |s, x| s + x, input, out),
        ReduceOp::L2 | ReduceOp::SumSquare => {
            axes.fold_of(isa, 0.0, |x| x * x, |s, x| s + x, input, out);
        }
    }
    match op {
        ReduceOp::Mean => out.iter_mut().for_each(|y| *y /= len as f32),
        ReduceOp::L2 => out.iter_mut().for_each(|y| *y = y.sqrt()),
        _ => {}
    }
}

#[derive(Clone, Copy)]
struct Axes {
    len: usize,
    inner: usize,
}

impl Axes {
    fn fold(
        self,
        isa: Isa,
        start: f32,
        f: impl Fn(f32, f32) -> f32 + Copy,
        input: &[f32],
        out: &mut [f32],
    ) {
        self.fold_of(isa, start, |x| x, f, input, out);
    }

    /// Folds `of` each element.
    fn fold_of(
        self,
        isa: Isa,
        start: f32,
        of: impl Fn(f32) -> f32 + Copy,
        f: impl Fn(f32, f32) -> f32 + Copy,
        input: &[f32],
        out: &mut [f32],
    ) {
        isa.run(
            #[inline(always)]
            || {
                if self.inner == 1 {
                    for (y, row) in out.iter_mut().zip(input.chunks_exact(self.len)) {
                        *y = fold_row(row, start, of, f);
                    }
                    return;
                }
                let blocks = input.chunks_exact(self.len * self.inner);
                for (out, block) in out.chunks_exact_mut(self.inner).zip(blocks) {
                    out.fill(start);
                    for row in block.chunks_exact(self.inner) {
                        for (y, &x) in out.iter_mut().zip(row) {
                            *y = f(*y, of(x));
                        }
                    }
                }
            },
        );
    }
}

/// Folds `of` the elements of a row in [`LANES`] lanes, which are then folded in halves.
#[inline(always)]
pub(super) fn fold_row(
    row: &[f32],
    start: f32,
    of: impl Fn(f32) -> f32,
    f: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, of(x));
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = f(*lane, of(x));
    }
    // With constant lengths, these become vectors.
    let mut eight = [start; LANES / 2];
    for i in 0..LANES / 2 {
        eight[i] = f(lanes[i], lanes[i + LANES / 2]);
    }
    let mut four = [start; LANES / 4];
    for i in 0..LANES / 4 {
        four[i] = f(eight[i], eight[i + LANES / 4]);
    }
    f(f(four[0], four[2]), f(four[1], four[3]))
}

/// The sum of a row.
#[inline(always)]
pub(super) fn sum_row(row: &[f32]) -> f32 {
    fold_row(row, 0.0, |x| x, |s, x| s + x)
}

/// The larger of two; NaN if one is NaN.
#[inline(always)]
pub(super) fn largest(a: f32, b: f32) -> f32 {
    let most = if a > b { a } else { b };
    if a.is_nan() { a } else { most }
}

/// The smaller of two; NaN if one is NaN.
#[inline(always)]
pub(super) fn smallest(a: f32, b: f32) -> f32 {
    let least = if a < b { a } else { b };
    if a.is_nan() { a } else { least }
}
