//! Depthwise convolution of 16 channels of one position at a time.
use super::super::operands::{DepthwiseJob, PANEL};
use super::super::requant::OutputBuffer;
use super::epilogue::{Columns, finish};
use std::arch::asm;

/// Convolves one staged tile.
///
/// # Panics
/// If the stage or the output are shorter than the shapes require.
pub(in super::super) fn depthwise(job: &DepthwiseJob<'_, i8>, out: &mut OutputBuffer<'_>) {
    let DepthwiseJob { channels, taps, weights, stage, grid, start, row } = *job;
    let extent = taps.iter().max().map_or(0, |&o| o as usize);
    assert!(grid.last() + extent + channels.next_multiple_of(PANEL) <= stage.len(), "stage");
    assert!(taps.len() * channels + PANEL <= weights.len(), "filters");
    for channel in (0..channels).step_by(PANEL) {
        let columns = PANEL.min(channels - channel);
        let mut bases = grid.bases();
        for position in 0..grid.count {
            let mut acc = [0; PANEL];
            acc.copy_from_slice(&start[channel..][..PANEL]);
            // SAFETY: every window's elements are inside the stage, as just checked, and so are the
            // filters' weights.
            unsafe {
                let base = stage.as_ptr().add(bases.step() + channel);
                add_taps(base, taps, weights.as_ptr().add(channel), channels, &mut acc);
            }
            finish(&acc, columns, out, (row + position) * channels + channel, channel);
        }
    }
}

/// Adds the products of 16 channels of one position.
///
/// # Safety
/// 16 elements must be readable at the base plus each tap, and at every `channels`-th weight.
unsafe fn add_taps(
    base: *const i8,
    taps: &[u32],
    weights: *const i16,
    channels: usize,
    acc: &mut Columns,
) {
    if taps.is_empty() {
        return;
    }
    // SAFETY: reads what the caller vouches for; writes the accumulators and the named registers.
    unsafe {
        asm!(
            "vld1.32 {{d16-d19}}, [{acc}]!",
            "vld1.32 {{d20-d23}}, [{acc}]",
            "sub {acc}, {acc}, #32",
            "2:",
            "ldr {t}, [{taps}], #4",
            "add {t}, {t}, {base}",
            "vld1.8 {{d0-d1}}, [{t}]",
            "vld1.16 {{d24-d27}}, [{weights}], {stride}",
            "vmovl.s8 q1, d0",
            "vmovl.s8 q2, d1",
            "vmlal.s16 q8, d2, d24",
            "vmlal.s16 q9, d3, d25",
            "vmlal.s16 q10, d4, d26",
            "vmlal.s16 q11, d5, d27",
            "subs {count}, {count}, #1",
            "bne 2b",
            "vst1.32 {{d16-d19}}, [{acc}]!",
            "vst1.32 {{d20-d23}}, [{acc}]",
            acc = inout(reg) acc.as_mut_ptr() => _,
            taps = inout(reg) taps.as_ptr() => _,
            count = inout(reg) taps.len() => _,
            weights = inout(reg) weights => _,
            stride = in(reg) channels * size_of::<i16>(),
            base = in(reg) base,
            t = out(reg) _,
            out("q0") _, out("q1") _, out("q2") _, out("q8") _, out("q9") _, out("q10") _,
            out("q11") _, out("q12") _, out("q13") _,
            options(nostack),
        );
    }
}
