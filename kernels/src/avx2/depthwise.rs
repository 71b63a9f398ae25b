//! Depthwise convolution of 16 channels of a few positions at a time.
//!
//! Taps are taken in pairs whose activations are interleaved so that `vpmaddwd` sums them.
//! `vpunpcklwd` works within halves: of 16 channels it takes 0-3 and 8-11, `vpunpckhwd` the others.
//! Weights, starts and multipliers are reordered to match, and packing the results restores the
//! order.
use super::super::operands::DepthwiseJob;
use super::super::requant::OutputBuffer;
use super::epilogue::{Columns, Epilogue, ToS8, exchange};
use std::arch::x86_64::*;

/// Channels of a block.
const BLOCK: usize = 16;
/// Positions taken together.
const TOGETHER: usize = 4;

/// Convolves one staged tile with interleaved filters.
///
/// # Panics
/// If the stage or the output are shorter than the shapes require.
#[target_feature(enable = "avx2")]
pub(in super::super) fn depthwise(job: &DepthwiseJob<'_, i16>, out: &mut OutputBuffer<'_>) {
    let (taps, rest) = job.taps.as_chunks::<2>();
    assert!(rest.is_empty(), "taps in pairs");
    let extent = taps.iter().flatten().max().map_or(0, |&o| o as usize);
    let channels = job.channels.next_multiple_of(BLOCK);
    assert!(job.grid.last() + extent + channels <= job.stage.len(), "stage too small");
    let paired = PairedJob { job, taps };
    match out {
        OutputBuffer::S8(out, requant) => paired.run(&mut ToS8::new(out, requant)),
        out => paired.run(out),
    }
}

/// A job with its taps in pairs.
struct PairedJob<'a> {
    job: &'a DepthwiseJob<'a, i16>,
    taps: &'a [[u32; 2]],
}

impl PairedJob<'_> {
    #[target_feature(enable = "avx2")]
    fn run(&self, epilogue: &mut impl Epilogue) {
        let (mut bases, mut position) = (self.job.grid.bases(), 0);
        while position + TOGETHER <= self.job.grid.count {
            self.positions(position, bases.take::<TOGETHER>(), epilogue);
            position += TOGETHER;
        }
        while position < self.job.grid.count {
            self.positions(position, [bases.step()], epilogue);
            position += 1;
        }
    }

    /// Computes all channels of `P` positions.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn positions<const P: usize>(
        &self,
        position: usize,
        bases: [usize; P],
        epilogue: &mut impl Epilogue,
    ) {
        let channels = self.job.channels;
        let at = (self.job.row + position) * channels;
        let weights = self.job.weights.chunks_exact(BLOCK * 2 * self.taps.len());
        for (channel, weights) in (0..channels).step_by(BLOCK).zip(weights) {
            let start = exchange(super::epilogue::load(self.job.start, channel));
            // SAFETY: every window's elements are inside the stage, as checked by `depthwise`.
            let acc = unsafe {
                let bases = bases.map(|base| self.job.stage.as_ptr().add(base + channel));
                accumulate(&bases, self.taps, weights, [start; P])
            };
            let columns = BLOCK.min(channels - channel);
            // SAFETY: this function runs on AVX2.
            unsafe {
                let shared = epilogue.panel::<true>(channel);
                epilogue.finish::<P, true>(shared, acc, columns, at + channel, channels);
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
