//! Products of one row: neither activations nor weights are widened.
//!
//! `vpmaddubsw` multiplies unsigned by signed bytes and sums pairs in 16 bits. With |a| as the
//! unsigned byte and, where a is negative, every bit of w flipped, which makes it -w - 1,
//!
//! ```text
//! sum |a| flipped(w)  =  sum a w  -  sum of |a| where a is negative
//! ```
//!
//! and no pair can saturate: it lies between 2 x 128 x -128 = -32768 and 2 x 128 x 127. The last
//! sum is one number per row. Per 32 weights that takes four vector operations, of which only two
//! are multiplications; with widened weights it would take six.
use super::super::operands::{Left, OutputOffset, PANEL, PackedView};
use super::super::requant::OutputBuffer;
use super::epilogue::{Columns, Epilogue, ToS8, load, subtract_zero_points};
use std::arch::x86_64::*;

/// Multiplies few rows by columns packed in fours; the elements of a row are contiguous.
///
/// # Panics
/// If the activations, the weights or the output are shorter than the shapes require.
#[target_feature(enable = "avx2")]
pub(in super::super) fn gemv(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
    left.check(right);
    assert!(right.group_size == 4 && left.offsets.extent() == 4 * right.groups);
    match out {
        OutputBuffer::S8(out, requant) => rows(left, right, output, &mut ToS8::new(out, requant)),
        out => rows(left, right, output, out),
    }
}

#[target_feature(enable = "avx2")]
fn rows(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    output: OutputOffset,
    epilogue: &mut impl Epilogue,
) {
    let (mut bases, length) = (left.grid.bases(), left.offsets.extent());
    for row in 0..left.grid.count {
        let base = bases.step();
        let below = below(&left.stage[base..][..length]);
        let at = Row { row, base, below };
        let mut panel = 0;
        // Four panels at a time, so that eight sums are under way at once.
        while panel + 4 <= right.panels() {
            panels::<4>(left, right, at, panel, output, epilogue);
            panel += 4;
        }
        match right.panels() - panel {
            0 => (),
            1 => panels::<1>(left, right, at, panel, output, epilogue),
            2 => panels::<2>(left, right, at, panel, output, epilogue),
            _ => panels::<3>(left, right, at, panel, output, epilogue),
        }
    }
}

/// One row.
#[derive(Clone, Copy)]
struct Row {
    row: usize,
    /// Its position in the stage.
    base: usize,
    /// The sum of |a| over its negative activations.
    below: i32,
}

/// Returns the sum of |a| over the negative elements of `row`.
#[target_feature(enable = "avx2")]
fn below(row: &[i8]) -> i32 {
    let none = _mm256_setzero_si256();
    let mut sums = none;
    for chunk in row.chunks(32) {
        let mut all = [0i8; 32];
        let chunk = match chunk.first_chunk::<32>() {
            Some(whole) => whole,
            None => {
                all[..chunk.len()].copy_from_slice(chunk);
                &all
            }
        };
        // SAFETY: 32 elements.
        let x = unsafe { _mm256_loadu_si256(chunk.as_ptr().cast()) };
        let size = _mm256_abs_epi8(_mm256_min_epi8(x, none));
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(size, none));
    }
    let two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    _mm_cvtsi128_si32(two) + _mm_extract_epi32(two, 2)
}

/// Computes `P` panels of one row.
#[target_feature(enable = "avx2")]
#[inline]
fn panels<const P: usize>(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    at: Row,
    panel: usize,
    output: OutputOffset,
    epilogue: &mut impl Epilogue,
) {
    let below = _mm256_set1_epi32(at.below);
    let starts: [Columns; P] = std::array::from_fn(|i| {
        load(right.start, (panel + i) * PANEL).map(|start| _mm256_add_epi32(start, below))
    });
    let weights: [*const i8; P] = std::array::from_fn(|i| right.panel(panel + i).as_ptr());
    // SAFETY: `Left::check` found the row's elements inside the stage, four for each group of
    // weights; a panel's groups are of 64.
    let acc = unsafe { add(left.stage.as_ptr().add(at.base), right.groups, &weights, starts) };
    let first = (output.row + at.row) * output.width + output.column;
    for (i, mut acc) in acc.into_iter().enumerate() {
        let column = (panel + i) * PANEL;
        if let Some(zeros) = right.zeros {
            subtract_zero_points(&mut acc, load(zeros, column), left.row_sums[at.row]);
        }
        // SAFETY: this function runs on AVX2.
        unsafe {
            let shared = epilogue.panel::<false>(output.column + column);
            let columns = PANEL.min(right.columns - column);
            epilogue.finish::<1, false>(shared, [acc], columns, first + column, 0);
        }
    }
}

/// Adds the products of one row and `P` panels.
///
/// # Safety
/// Four elements must be readable from the base on for each of `groups`, and 64 weights.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add<const P: usize>(
    base: *const i8,
    groups: usize,
    weights: &[*const i8; P],
    mut acc: [Columns; P],
) -> [Columns; P] {
    let ones = _mm256_set1_epi16(1);
    for group in 0..groups {
        // SAFETY: four elements are readable there.
        let four = unsafe { base.add(4 * group).cast::<i32>().read_unaligned() };
        let four = _mm256_set1_epi32(four);
        let size = _mm256_abs_epi8(four);
        let flip = _mm256_cmpgt_epi8(_mm256_setzero_si256(), four);
        for (acc, weights) in acc.iter_mut().zip(weights) {
            for (half, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the panel has 64 weights for each group.
                let w = unsafe { _mm256_loadu_si256(weights.add(group * 64 + half * 32).cast()) };
                let pairs = _mm256_maddubs_epi16(size, _mm256_xor_si256(w, flip));
                *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    acc
}
