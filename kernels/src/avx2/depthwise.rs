//! Depthwise convolution: 16 channels of a few positions at a time, taps taken in pairs whose
//! activations are interleaved so that `vpmaddwd` sums them.
//!
//! `vpunpcklwd` works within halves: of 16 channels it takes 0-3 and 8-11, `vpunpckhwd` the others.
//! Weights, starts and multipliers are brought into that order, and packing the results undoes it.
use super::super::lane::Sweep;
use super::super::requant::Out;
use super::finish::{Columns, Tail, ToS8, exchange};
use std::arch::x86_64::*;

/// Channels of a block.
const BLOCK: usize = 16;
/// Positions taken together.
const TOGETHER: usize = 4;

/// One staged band, the filters interleaved.
///
/// # Panics
/// When the stage or the output are shorter than the shapes say.
#[target_feature(enable = "avx2")]
pub(in super::super) fn depthwise(sweep: &Sweep<'_, i16>, out: &mut Out<'_>) {
    let (taps, rest) = sweep.filters.taps.as_chunks::<2>();
    assert!(rest.is_empty(), "taps in pairs");
    let reach = taps.iter().flatten().max().map_or(0, |&o| o as usize);
    let channels = sweep.filters.channels.next_multiple_of(BLOCK);
    assert!(sweep.grid.last() + reach + channels <= sweep.stage.len(), "stage too small");
    let band = Band { sweep, taps };
    match out {
        Out::S8(out, requant) => band.run(&mut ToS8::new(out, requant)),
        out => band.run(out),
    }
}

struct Band<'a> {
    sweep: &'a Sweep<'a, i16>,
    taps: &'a [[u32; 2]],
}

impl Band<'_> {
    #[target_feature(enable = "avx2")]
    fn run(&self, tail: &mut impl Tail) {
        let (mut bases, mut position) = (self.sweep.grid.bases(), 0);
        while position + TOGETHER <= self.sweep.grid.count {
            self.positions(position, bases.take::<TOGETHER>(), tail);
            position += TOGETHER;
        }
        while position < self.sweep.grid.count {
            self.positions(position, [bases.step()], tail);
            position += 1;
        }
    }

    /// All channels of `P` positions.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn positions<const P: usize>(&self, position: usize, bases: [usize; P], tail: &mut impl Tail) {
        let filters = self.sweep.filters;
        let at = (self.sweep.row + position) * filters.channels;
        let weights = self.sweep.weights.chunks_exact(BLOCK * 2 * self.taps.len());
        for (channel, weights) in (0..filters.channels).step_by(BLOCK).zip(weights) {
            let start = exchange(super::finish::load(self.sweep.start, channel));
            // SAFETY: every window's elements are inside the stage, as checked by `depthwise`.
            let acc = unsafe {
                let bases = bases.map(|base| self.sweep.stage.as_ptr().add(base + channel));
                accumulate(&bases, self.taps, weights, [start; P])
            };
            let columns = BLOCK.min(filters.channels - channel);
            // SAFETY: this function runs on AVX2.
            unsafe {
                let shared = tail.panel::<true>(channel);
                tail.finish::<P, true>(shared, acc, columns, at + channel, filters.channels);
            }
        }
    }
}

/// Adds the products of all taps.
///
/// # Safety
/// 16 elements must be readable at each base plus each offset.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn accumulate<const P: usize>(
    bases: &[*const i16; P],
    taps: &[[u32; 2]],
    weights: &[i16],
    mut acc: [Columns; P],
) -> [Columns; P] {
    for (&[first, second], w) in taps.iter().zip(weights.chunks_exact(2 * BLOCK)) {
        // SAFETY: 32 weights.
        let w = unsafe { [load(w.as_ptr()), load(w.as_ptr().add(BLOCK))] };
        for (acc, base) in acc.iter_mut().zip(bases) {
            // SAFETY: the caller's.
            let [a, b] =
                unsafe { [load(base.add(first as usize)), load(base.add(second as usize))] };
            let [low, high] = [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)];
            acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(low, w[0]));
            acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(high, w[1]));
        }
    }
    acc
}

/// # Safety
/// 16 elements must be readable.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load(from: *const i16) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_loadu_si256(from.cast()) }
}
