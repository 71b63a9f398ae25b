//! Depthwise convolution: 16 channels of a few positions at a time, taps taken in pairs whose
//! activations are interleaved so that `vpmaddwd` sums them.
//!
//! `vpunpcklwd` works within halves: of 16 channels it takes 0-3 and 8-11, `vpunpckhwd` the others.
//! Weights, starts and multipliers are brought into that order, and packing the results undoes it.
use super::super::depthwise::Filters;
use super::super::gemm::Grid;
use super::super::requant::Out;
use super::finish::{Columns, Tail, ToS8, exchange};
use std::arch::x86_64::*;

/// Channels of a block.
const BLOCK: usize = 16;
/// Positions taken together.
const TOGETHER: usize = 4;

/// Filters packed in pairs of taps.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Pairs {
    /// `[channel / 16][pair][low and high channels][8 channels][2 taps]`
    weights: Vec<i16>,
    /// Where the two taps of each pair stand.
    offsets: Vec<[u32; 2]>,
}

impl Pairs {
    pub(in super::super) fn new(filters: &Filters, taps: &[u32]) -> Self {
        let offset = |i: usize| taps.get(i).copied().unwrap_or(taps[0]);
        let offsets: Vec<_> =
            (0..taps.len()).step_by(2).map(|i| [offset(i), offset(i + 1)]).collect();
        let weight = |tap: usize, c: usize| {
            if tap < taps.len() && c < filters.channels {
                filters.values[tap * filters.channels + c]
            } else {
                0
            }
        };
        let mut weights = Vec::new();
        for block in 0..filters.channels.div_ceil(BLOCK) {
            for pair in 0..offsets.len() {
                for c in [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15] {
                    let c = block * BLOCK + c;
                    weights.extend([weight(2 * pair, c), weight(2 * pair + 1, c)]);
                }
            }
        }
        Self { weights, offsets }
    }
}

/// One staged band: `grid` says where its windows start, `row` is the first one's place in the
/// output; `start` is what accumulation starts from.
///
/// # Panics
/// When the stage or the output are shorter than the shapes say.
#[target_feature(enable = "avx2")]
pub(in super::super) fn depthwise(
    pairs: &Pairs,
    channels: usize,
    stage: &[i16],
    grid: &Grid,
    start: &[i32],
    row: usize,
    out: &mut Out<'_>,
) {
    let reach = pairs.offsets.iter().flatten().max().map_or(0, |&o| o as usize);
    let blocks = channels.div_ceil(BLOCK);
    assert!(grid.last() + reach + blocks * BLOCK <= stage.len(), "stage too small");
    let band = Band { pairs, channels, stage, grid, row };
    match out {
        Out::S8(out, requant) => band.run(start, &mut ToS8::new(out, requant)),
        out => band.run(start, out),
    }
}

/// One staged band.
struct Band<'a> {
    pairs: &'a Pairs,
    channels: usize,
    stage: &'a [i16],
    grid: &'a Grid,
    row: usize,
}

impl Band<'_> {
    #[target_feature(enable = "avx2")]
    fn run(&self, start: &[i32], tail: &mut impl Tail) {
        let weights = BLOCK * 2 * self.pairs.offsets.len();
        for (block, weights) in self.pairs.weights.chunks_exact(weights).enumerate() {
            let channel = block * BLOCK;
            let start = halves(&start[channel..]);
            let mut bases = self.grid.bases();
            let mut position = 0;
            while position + TOGETHER <= self.grid.count {
                let bases = bases.take::<TOGETHER>();
                self.positions(position, bases, channel, weights, start, tail);
                position += TOGETHER;
            }
            while position < self.grid.count {
                self.positions(position, [bases.step()], channel, weights, start, tail);
                position += 1;
            }
        }
    }

    /// 16 channels of `P` positions.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn positions<const P: usize>(
        &self,
        position: usize,
        bases: [usize; P],
        channel: usize,
        weights: &[i16],
        start: Columns,
        tail: &mut impl Tail,
    ) {
        // SAFETY: every window's elements are inside the stage, as checked by `depthwise`.
        let bases = bases.map(|base| unsafe { self.stage.as_ptr().add(base + channel) });
        // SAFETY: as above.
        let acc = unsafe { accumulate(&bases, &self.pairs.offsets, weights, [start; P]) };
        // SAFETY: this function runs on AVX2.
        let shared = unsafe { tail.panel_halves(channel) };
        let columns = BLOCK.min(self.channels - channel);
        for (i, acc) in acc.into_iter().enumerate() {
            let at = (self.row + position + i) * self.channels + channel;
            // SAFETY: as above.
            unsafe { tail.finish_halves(shared, acc, columns, at) };
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
    offsets: &[[u32; 2]],
    weights: &[i16],
    mut acc: [Columns; P],
) -> [Columns; P] {
    for (&[first, second], w) in offsets.iter().zip(weights.chunks_exact(2 * BLOCK)) {
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

/// The first 16 of `values` in the order the accumulators have.
#[target_feature(enable = "avx2")]
#[inline]
fn halves(values: &[i32]) -> Columns {
    let values = values[..BLOCK].as_ptr();
    // SAFETY: 16 elements were just sliced.
    exchange(unsafe {
        [_mm256_loadu_si256(values.cast()), _mm256_loadu_si256(values.add(8).cast())]
    })
}
