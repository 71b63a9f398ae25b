//! Depthwise convolution of 16 channels of one position at a time.
use super::super::operands::DepthwiseJob;
use super::super::requant::OutputBuffer;
use super::epilogue::{Columns, finish, load};
use std::arch::aarch64::*;

/// Channels of a block.
const BLOCK: usize = 16;

/// Convolves one staged tile.
///
/// # Panics
/// If the stage or the output are shorter than the shapes require.
pub(in super::super) fn depthwise(job: &DepthwiseJob<'_, i8>, out: &mut OutputBuffer<'_>) {
    let DepthwiseJob { channels, taps, weights, stage, grid, start, row } = *job;
    let extent = taps.iter().max().map_or(0, |&o| o as usize);
    assert!(grid.last() + extent + channels.next_multiple_of(BLOCK) <= stage.len(), "stage");
    assert!(taps.len() * channels + BLOCK <= weights.len(), "filters");
    for channel in (0..channels).step_by(BLOCK) {
        let start = load(start, channel);
        let columns = BLOCK.min(channels - channel);
        let mut bases = grid.bases();
        for position in 0..grid.count {
            // SAFETY: every window's elements are inside the stage, as just checked, and so are the
            // filters' weights.
            let acc = unsafe {
                let base = stage.as_ptr().add(bases.step() + channel);
                accumulate(base, taps, weights.as_ptr().add(channel), channels, start)
            };
            finish(acc, columns, out, (row + position) * channels + channel, channel);
        }
    }
}

/// # Safety
/// 16 elements must be readable at the base plus each tap, and at every `channels`-th weight.
#[inline(always)]
unsafe fn accumulate(
    base: *const i8,
    taps: &[u32],
    weights: *const i16,
    channels: usize,
    mut acc: Columns,
) -> Columns {
    for (i, &tap) in taps.iter().enumerate() {
        // SAFETY: the caller's; every aarch64 has NEON.
        unsafe {
            let x = vld1q_s8(base.add(tap as usize));
            let [a, b] = [vmovl_s8(vget_low_s8(x)), vmovl_s8(vget_high_s8(x))];
            let w = weights.add(i * channels);
            let [v, w] = [vld1q_s16(w), vld1q_s16(w.add(8))];
            acc[0] = vmlal_s16(acc[0], vget_low_s16(a), vget_low_s16(v));
            acc[1] = vmlal_s16(acc[1], vget_high_s16(a), vget_high_s16(v));
            acc[2] = vmlal_s16(acc[2], vget_low_s16(b), vget_low_s16(w));
            acc[3] = vmlal_s16(acc[3], vget_high_s16(b), vget_high_s16(w));
        }
    }
    acc
}
