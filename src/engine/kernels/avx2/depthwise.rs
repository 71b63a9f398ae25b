//! Depthwise convolution: 16 channels of a few positions at a time, taps taken in pairs whose
//! activations are interleaved so that `vpmaddwd` sums them.
//!
//! `vpunpcklwd` works within halves: of 16 channels it takes 0-3 and 8-11, `vpunpckhwd` the others.
//! Weights, starts and multipliers are brought into that order, and packing the results undoes it.
use super::super::depthwise::Filters;
use super::super::gemm::Grid;
use super::super::requant::Out;
use super::finish::{Columns, Fitter, finish};
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
    let weights = BLOCK * 2 * pairs.offsets.len();
    for (block, weights) in pairs.weights.chunks_exact(weights).enumerate() {
        let job = Job {
            weights,
            offsets: &pairs.offsets,
            stage: &stage[block * BLOCK..],
            grid,
            start: halves(&start[block * BLOCK..]),
            columns: BLOCK.min(channels - block * BLOCK),
            channels,
            at: row * channels + block * BLOCK,
            column: block * BLOCK,
        };
        let mut position = 0;
        while position + TOGETHER <= grid.count {
            job.positions::<TOGETHER>(position, out);
            position += TOGETHER;
        }
        while position < grid.count {
            job.positions::<1>(position, out);
            position += 1;
        }
    }
}

/// One block of channels of one band.
struct Job<'a> {
    weights: &'a [i16],
    offsets: &'a [[u32; 2]],
    stage: &'a [i16],
    grid: &'a Grid,
    start: Columns,
    columns: usize,
    channels: usize,
    /// The first position's place in the output, and the channel it is.
    at: usize,
    column: usize,
}

impl Job<'_> {
    /// `P` positions from `position` on.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn positions<const P: usize>(&self, position: usize, out: &mut Out<'_>) {
        let mut bases = [self.stage.as_ptr(); P];
        for (i, base) in bases.iter_mut().enumerate() {
            // SAFETY: every window's elements are inside the stage, as checked by `depthwise`.
            *base = unsafe { base.add(self.grid.base(position + i)) };
        }
        // SAFETY: as above; each pair has 32 weights.
        let acc = unsafe { self.accumulate(&bases) };
        for (i, acc) in acc.into_iter().enumerate() {
            self.finish(acc, out, self.at + (position + i) * self.channels);
        }
    }

    /// # Safety
    /// 16 elements must be readable at each base plus each offset.
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn accumulate<const P: usize>(&self, bases: &[*const i16; P]) -> [Columns; P] {
        let mut acc = [self.start; P];
        for (&[first, second], w) in self.offsets.iter().zip(self.weights.chunks_exact(2 * BLOCK)) {
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

    #[target_feature(enable = "avx2")]
    #[inline]
    fn finish(&self, acc: Columns, out: &mut Out<'_>, at: usize) {
        match out {
            Out::S8(out, requant) if self.columns == BLOCK => {
                let multipliers = requant.multipliers()[self.column..][..BLOCK].as_ptr();
                // SAFETY: 16 multipliers were just sliced.
                let m =
                    unsafe { [_mm256_loadu_ps(multipliers), _mm256_loadu_ps(multipliers.add(8))] };
                let m = [
                    _mm256_permute2f128_ps(m[0], m[1], 0x20),
                    _mm256_permute2f128_ps(m[0], m[1], 0x31),
                ];
                let bytes = Fitter::new(&requant.fit).fit16(acc, m);
                let out = out[at..at + BLOCK].as_mut_ptr();
                // SAFETY: 16 elements were just sliced.
                unsafe { _mm_storeu_si128(out.cast(), bytes) };
            }
            out => finish(exchange(acc), self.columns, out, at, self.column),
        }
    }
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

/// From column order (0-7, 8-15) to the accumulators' (0-3 8-11, 4-7 12-15) and back.
#[target_feature(enable = "avx2")]
#[inline]
fn exchange([a, b]: Columns) -> Columns {
    [_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)]
}
