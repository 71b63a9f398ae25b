//! Softmax over the last axis.
use super::super::isa::Isa;
use super::math::{exp_of_negative, log};
use super::reduce::{fold_row, sum_row};

/// Computes the softmax of rows of `len`: `e^(x - max)` times the reciprocal of
/// their sum. Probabilities below 2^-126 may be zero.
///
/// # Panics
/// If the lengths differ, or `len` is 0 or does not divide them.
#[inline(never)]
pub fn softmax(isa: Isa, len: usize, input: &[f32], out: &mut [f32]) {
    check(len, input, out);
    isa.run(
        #[inline(always)]
        || {
            for (x, y) in input.chunks_exact(len).zip(out.chunks_exact_mut(len)) {
                let factor = 1.0 / exponentials(x, y).1;
                y.iter_mut().for_each(|y| *y *= factor);
            }
        },
    );
}

/// Computes the logarithm of the softmax of rows of `len`: `x - max - log(sum)`.
///
/// # Panics
/// Same as [`softmax`].
#[inline(never)]
pub fn log_softmax(isa: Isa, len: usize, input: &[f32], out: &mut [f32]) {
    check(len, input, out);
    isa.run(
        #[inline(always)]
        || {
            for (x, y) in input.chunks_exact(len).zip(out.chunks_exact_mut(len)) {
                let (most, sum) = exponentials(x, y);
                let log_sum = log(sum);
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - most - log_sum);
            }
        },
    );
}

/// Writes e^(x - max) and returns the maximum and their sum.
#[inline(always)]
fn exponentials(x: &[f32], y: &mut [f32]) -> (f32, f32) {
    // A NaN may be passed over: it makes the sum NaN.
    let most = fold_row(x, f32::NEG_INFINITY, |x| x, |a, b| if b > a { b } else { a });
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = exp_of_negative(x - most));
    (most, sum_row(y))
}

fn check(len: usize, input: &[f32], out: &[f32]) {
    assert_eq!(input.len(), out.len(), "input and output");
    assert!(len > 0 && input.len().is_multiple_of(len), "rows of {len}");
}
