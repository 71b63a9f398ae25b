//! Products of one row: bytes straight from the input, weights straight from memory.
//!
//! With |w| <= 127 two products of bytes fit 16 bits: |a| as an unsigned byte (128 fits) times w
//! with the sign of a, summed in pairs by `vpmaddubsw`, is at most 2 x 128 x 127 and cannot saturate.
//! Per 32 weights that takes four vector operations, against six with widened weights.
use super::super::gemm::{Left, Place};
use super::super::pack::{PANEL, View};
use super::super::requant::Out;
use super::finish::{Columns, Tail, ToS8, load, unskew};
use std::arch::x86_64::*;

/// The product of few rows and columns packed in fours, no weight being -128.
///
/// # Panics
/// When the activations, the weights or the output are shorter than the shapes say.
#[target_feature(enable = "avx2")]
pub(in super::super) fn vectors(
    left: &Left<'_, i8>,
    right: &View<'_>,
    place: Place,
    out: &mut Out<'_>,
) {
    left.check(right);
    assert!(right.depth == 4 && right.narrow);
    match out {
        Out::S8(out, requant) => rows(left, right, place, &mut ToS8::new(out, requant)),
        out => rows(left, right, place, out),
    }
}

#[target_feature(enable = "avx2")]
fn rows(left: &Left<'_, i8>, right: &View<'_>, place: Place, tail: &mut impl Tail) {
    let mut bases = left.grid.bases();
    for row in 0..left.grid.count {
        let base = bases.step();
        let mut panel = 0;
        // Four panels at a time, so that eight sums are under way at once.
        while panel + 4 <= right.panels() {
            panels::<4>(left, right, [row, base, panel], place, tail);
            panel += 4;
        }
        match right.panels() - panel {
            0 => (),
            1 => panels::<1>(left, right, [row, base, panel], place, tail),
            2 => panels::<2>(left, right, [row, base, panel], place, tail),
            _ => panels::<3>(left, right, [row, base, panel], place, tail),
        }
    }
}

/// `P` panels of one row that starts at `base`.
#[target_feature(enable = "avx2")]
#[inline]
fn panels<const P: usize>(
    left: &Left<'_, i8>,
    right: &View<'_>,
    [row, base, panel]: [usize; 3],
    place: Place,
    tail: &mut impl Tail,
) {
    let starts: [Columns; P] = std::array::from_fn(|i| load(right.start, (panel + i) * PANEL));
    let weights: [*const i8; P] = std::array::from_fn(|i| right.panel(panel + i).as_ptr());
    // SAFETY: `Left::check` found the row's elements inside the stage; each panel has 64 weights
    // for each offset.
    let acc = unsafe { add(left.stage.as_ptr().add(base), left.offsets, &weights, starts) };
    let first = (place.row + row) * place.width + place.column;
    for (i, mut acc) in acc.into_iter().enumerate() {
        let at = (panel + i) * PANEL;
        if let Some(zeros) = right.zeros {
            unskew(&mut acc, load(zeros, at), left.row_sums[row]);
        }
        // SAFETY: this function runs on AVX2.
        unsafe {
            let shared = tail.panel(place.column + at);
            tail.finish(shared, acc, PANEL.min(right.columns - at), first + at);
        }
    }
}

/// Adds the products of one row and `P` panels.
///
/// # Safety
/// Four elements must be readable at the base plus each offset, and 64 weights for each offset.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add<const P: usize>(
    base: *const i8,
    offsets: &[u32],
    weights: &[*const i8; P],
    mut acc: [Columns; P],
) -> [Columns; P] {
    let ones = _mm256_set1_epi16(1);
    for (group, &offset) in offsets.iter().enumerate() {
        // SAFETY: four elements are readable there.
        let four = unsafe { base.add(offset as usize).cast::<i32>().read_unaligned() };
        let signed = _mm256_set1_epi32(four);
        let size = _mm256_abs_epi8(signed);
        for (acc, weights) in acc.iter_mut().zip(weights) {
            for (half, acc) in acc.iter_mut().enumerate() {
                // SAFETY: the panel has 64 weights for each offset.
                let w = unsafe { _mm256_loadu_si256(weights.add(group * 64 + half * 32).cast()) };
                let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w, signed));
                *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    acc
}
