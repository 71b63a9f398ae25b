//! The matrix product: blocks of 6 rows by 16 columns.
//!
//! Registers of the 6 x 16 block: 12 accumulators, 2 vectors of widened weights (8 columns x 2),
//! one pair of activations broadcast, one product: all 16. Per pair of k it takes 26 vector
//! operations for 192 multiply-adds, and `vpmaddwd` alone bounds it at 6 cycles.
use super::super::operands::{Left, OutputOffset, PANEL, PackedView};
use super::super::requant::OutputBuffer;
use super::epilogue::{Columns, Epilogue, ToS8, load, subtract_zero_points};
use std::arch::x86_64::*;

/// Rows of a block.
const ROWS: usize = 6;

/// Multiplies staged activations by packed columns.
///
/// # Panics
/// If the activations, the weights or the output are shorter than the shapes require.
#[target_feature(enable = "avx2")]
pub(in super::super) fn gemm(
    left: &Left<'_, i16>,
    right: &PackedView<'_>,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
    left.check(right);
    assert_eq!(right.group_size, 2);
    match out {
        OutputBuffer::S8(out, requant) => {
            product(left, right, output, &mut ToS8::new(out, requant))
        }
        out => product(left, right, output, out),
    }
}

#[target_feature(enable = "avx2")]
fn product(
    left: &Left<'_, i16>,
    right: &PackedView<'_>,
    output: OutputOffset,
    epilogue: &mut impl Epilogue,
) {
    let count = left.grid.count;
    let mut bases = left.grid.bases();
    let mut row = 0;
    while row + ROWS <= count {
        rows::<ROWS>(left, right, row, bases.take(), output, epilogue);
        row += ROWS;
    }
    match count - row {
        0 => (),
        1 => rows::<1>(left, right, row, bases.take(), output, epilogue),
        2 => rows::<2>(left, right, row, bases.take(), output, epilogue),
        3 => rows::<3>(left, right, row, bases.take(), output, epilogue),
        4 => rows::<4>(left, right, row, bases.take(), output, epilogue),
        _ => rows::<5>(left, right, row, bases.take(), output, epilogue),
    }
}

/// Computes all columns of `R` rows from `row` on.
#[target_feature(enable = "avx2")]
#[inline]
fn rows<const R: usize>(
    left: &Left<'_, i16>,
    right: &PackedView<'_>,
    row: usize,
    bases: [usize; R],
    output: OutputOffset,
    epilogue: &mut impl Epilogue,
) {
    // SAFETY: `Left::check` found every row's elements inside the stage.
    let bases = bases.map(|base| unsafe { left.stage.as_ptr().add(base) });
    let first = (output.row + row) * output.width + output.column;
    for panel in 0..right.panels() {
        let at = panel * PANEL;
        let weights = right.panel(panel).as_ptr();
        // SAFETY: as above; the panel has 32 weights for each offset.
        let mut acc =
            unsafe { block(&bases, left.offsets.each(), weights, [load(right.start, at); R]) };
        if let Some(zeros) = right.zeros {
            let zeros = load(zeros, at);
            acc.iter_mut()
                .zip(&left.row_sums[row..])
                .for_each(|(a, &sum)| subtract_zero_points(a, zeros, sum));
        }
        let columns = PANEL.min(right.columns - at);
        // SAFETY: this function runs on AVX2.
        unsafe {
            let shared = epilogue.panel::<false>(output.column + at);
            epilogue.finish::<R, false>(shared, acc, columns, first + at, output.width);
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

/// Widens 16 weights to 16 bits.
///
/// # Safety
/// 16 must be readable.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn widen(weights: *const i8) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.cast())) }
}
