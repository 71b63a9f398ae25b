//! The matrix product: blocks of 6 rows by 16 columns.
//!
//! Registers of the 6 x 16 block: 12 accumulators, 2 vectors of widened weights (8 columns x 2),
//! one pair of activations broadcast, one product: all 16. Per pair of k it takes 26 vector
//! operations for 192 multiply-adds, and `vpmaddwd` alone bounds it at 6 cycles.
use super::super::gemm::{Left, Place};
use super::super::pack::{PANEL, View};
use super::super::requant::Out;
use super::finish::{Columns, Tail, ToS8, load, unskew};
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
    match out {
        Out::S8(out, requant) => product(left, right, place, &mut ToS8::new(out, requant)),
        out => product(left, right, place, out),
    }
}

#[target_feature(enable = "avx2")]
fn product(left: &Left<'_, i16>, right: &View<'_>, place: Place, tail: &mut impl Tail) {
    let count = left.grid.count;
    let mut bases = left.grid.bases();
    let mut row = 0;
    while row + ROWS <= count {
        rows::<ROWS>(left, right, row, bases.take(), place, tail);
        row += ROWS;
    }
    match count - row {
        0 => (),
        1 => rows::<1>(left, right, row, bases.take(), place, tail),
        2 => rows::<2>(left, right, row, bases.take(), place, tail),
        3 => rows::<3>(left, right, row, bases.take(), place, tail),
        4 => rows::<4>(left, right, row, bases.take(), place, tail),
        _ => rows::<5>(left, right, row, bases.take(), place, tail),
    }
}

/// All columns of `R` rows from `row` on.
#[target_feature(enable = "avx2")]
#[inline]
fn rows<const R: usize>(
    left: &Left<'_, i16>,
    right: &View<'_>,
    row: usize,
    bases: [usize; R],
    place: Place,
    tail: &mut impl Tail,
) {
    // SAFETY: `Left::check` found every row's elements inside the stage.
    let bases = bases.map(|base| unsafe { left.stage.as_ptr().add(base) });
    let first = (place.row + row) * place.width + place.column;
    for panel in 0..right.panels() {
        let at = panel * PANEL;
        let weights = right.panel(panel).as_ptr();
        // SAFETY: as above; the panel has 32 weights for each offset.
        let mut acc =
            unsafe { block(&bases, left.offsets.each(), weights, [load(right.start, at); R]) };
        if let Some(zeros) = right.zeros {
            let zeros = load(zeros, at);
            acc.iter_mut().zip(&left.row_sums[row..]).for_each(|(a, &sum)| unskew(a, zeros, sum));
        }
        let columns = PANEL.min(right.columns - at);
        // SAFETY: this function runs on AVX2.
        unsafe {
            let shared = tail.panel::<false>(place.column + at);
            tail.finish::<R, false>(shared, acc, columns, first + at, place.width);
        }
    }
}

/// Adds the products of `R` rows and 16 columns.
///
/// # Safety
/// Two elements must be readable at each base plus each offset, and 32 weights for each offset.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn block<const R: usize>(
    bases: &[*const i16; R],
    offsets: &[u32],
    mut weights: *const i8,
    mut acc: [Columns; R],
) -> [Columns; R] {
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
