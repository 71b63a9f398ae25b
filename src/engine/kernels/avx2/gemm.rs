//! The matrix product: blocks of 6 rows by 16 columns, and one row by 64 columns.
//!
//! Registers of the 6 x 16 block: 12 accumulators, 2 vectors of widened weights (8 columns x 2),
//! one pair of activations broadcast, one product: all 16. Per pair of k it takes 26 vector
//! operations for 192 multiply-adds.
use super::super::gemm::{Left, Place};
use super::super::pack::{PANEL, View};
use super::super::requant::Out;
use super::finish::{Columns, finish};
use std::arch::x86_64::*;

/// Rows of a block.
const ROWS: usize = 6;

/// The product of staged activations and packed columns.
///
/// # Panics
/// When the activations, the weights or the output are shorter than the shapes say.
#[target_feature(enable = "avx2")]
pub(in super::super) fn gemm(
    left: &Left<'_, i16>,
    right: &View<'_>,
    place: Place,
    out: &mut Out<'_>,
) {
    left.check(right);
    assert_eq!(right.depth, 2);
    let mut row = 0;
    while row + ROWS <= left.grid.count {
        rows::<ROWS>(left, right, row, place, out);
        row += ROWS;
    }
    match left.grid.count - row {
        0 => (),
        1 => rows::<1>(left, right, row, place, out),
        2 => rows::<2>(left, right, row, place, out),
        3 => rows::<3>(left, right, row, place, out),
        4 => rows::<4>(left, right, row, place, out),
        _ => rows::<5>(left, right, row, place, out),
    }
}

/// All columns of `R` rows from `row` on.
#[target_feature(enable = "avx2")]
#[inline]
fn rows<const R: usize>(
    left: &Left<'_, i16>,
    right: &View<'_>,
    row: usize,
    place: Place,
    out: &mut Out<'_>,
) {
    let mut bases = [left.stage.as_ptr(); R];
    for (i, base) in bases.iter_mut().enumerate() {
        // SAFETY: `Left::check` found every row's elements inside the stage.
        *base = unsafe { base.add(left.grid.base(row + i)) };
    }
    for panel in 0..right.panels() {
        let first = panel * PANEL;
        // SAFETY: as above; the panel has 32 weights for each offset, and `start` 16 elements from
        // any column on.
        let mut acc = unsafe {
            block(&bases, left.offsets, right.panel(panel), right.start[first..][..PANEL].as_ptr())
        };
        if let Some(zeros) = right.zeros {
            unskew(&mut acc, &left.row_sums[row..], &zeros[first..][..PANEL]);
        }
        let columns = PANEL.min(right.columns - first);
        for (i, acc) in acc.into_iter().enumerate() {
            let column = place.column + first;
            finish(acc, columns, out, (place.row + row + i) * place.width + column, column);
        }
    }
}

/// 16 columns of `R` rows.
///
/// # Safety
/// Two elements must be readable at each base plus each offset, `weights` must hold 32 for each
/// offset, and 16 must be readable at `start`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn block<const R: usize>(
    bases: &[*const i16; R],
    offsets: &[u32],
    weights: &[i8],
    start: *const i32,
) -> [Columns; R] {
    // SAFETY: 16 elements.
    let start =
        unsafe { [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(8).cast())] };
    let mut acc = [start; R];
    let mut weights = weights.as_ptr();
    for &offset in offsets {
        // SAFETY: 32 weights are left.
        let w = unsafe { [widen(weights), widen(weights.add(16))] };
        for (acc, base) in acc.iter_mut().zip(bases) {
            // SAFETY: two elements are readable there.
            let pair = unsafe { base.add(offset as usize).cast::<i32>().read_unaligned() };
            let pair = _mm256_set1_epi32(pair);
            acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(pair, w[0]));
            acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(pair, w[1]));
        }
        // SAFETY: at most one past the end.
        weights = unsafe { weights.add(32) };
    }
    acc
}

/// 16 weights to 16 bits.
///
/// # Safety
/// 16 must be readable.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn widen(weights: *const i8) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.cast())) }
}

/// Takes (weight zero point x row sum) off each accumulator.
#[target_feature(enable = "avx2")]
#[inline]
fn unskew<const R: usize>(acc: &mut [Columns; R], sums: &[i32], zeros: &[i32]) {
    let zeros = zeros[..16].as_ptr();
    // SAFETY: 16 elements were just sliced.
    let zeros =
        unsafe { [_mm256_loadu_si256(zeros.cast()), _mm256_loadu_si256(zeros.add(8).cast())] };
    for (acc, &sum) in acc.iter_mut().zip(sums) {
        let sum = _mm256_set1_epi32(sum);
        acc[0] = _mm256_sub_epi32(acc[0], _mm256_mullo_epi32(zeros[0], sum));
        acc[1] = _mm256_sub_epi32(acc[1], _mm256_mullo_epi32(zeros[1], sum));
    }
}
