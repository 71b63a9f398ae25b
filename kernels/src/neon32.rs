//! The kernels for 32-bit ARM with NEON: `vmull.s8` and `vpadal.s16` on bytes.
//!
//! Rust's intrinsics for this architecture are not stable, `asm!` is; but it takes no vectors here,
//! so each inner loop is one block from its first load to its last store. NEON on ARMv7 takes small floats for zeros:
//! floats that stay floats are left to scalar code.
mod elementwise;
mod finish;

use super::gemm::{Left, Place};
use super::lane::Sweep;
use super::pack::{PANEL, View};
use super::requant::Out;
pub(super) use elementwise::{clamp, fold, largest, range, sum, total};
use finish::finish;
use std::arch::asm;

/// 16 accumulators in column order.
type Columns = [i32; PANEL];

/// The product for weights packed in pairs: two rows by 16 columns at a time.
///
/// # Panics
/// When the activations, the weights or the output are shorter than the shapes say.
pub(super) fn gemm(left: &Left<'_, i8>, right: &View<'_>, place: Place, out: &mut Out<'_>) {
    left.check(right);
    assert_eq!(right.depth, 2);
    let (mut bases, mut row) = (left.grid.bases(), 0);
    while row < left.grid.count {
        // The last row of an odd number meets itself, and is finished once.
        let rows = (left.grid.count - row).min(2);
        let first = bases.step();
        let second = if rows == 2 { bases.step() } else { first };
        for panel in 0..right.panels() {
            let column = panel * PANEL;
            let mut start = [0; PANEL];
            start.copy_from_slice(&right.start[column..][..PANEL]);
            let mut acc = [start; 2];
            let weights = right.panel(panel).as_ptr();
            // SAFETY: `Left::check` found every row's elements inside the stage, and 32 weights for
            // each offset in the panel.
            unsafe {
                let rows = [first, second].map(|base| left.stage.as_ptr().add(base));
                multiply(rows, left.offsets.each(), weights, &mut acc);
            }
            for (i, acc) in acc.iter_mut().take(rows).enumerate() {
                if let Some(zeros) = right.zeros {
                    let skewed = *acc;
                    fold([&skewed, &zeros[column..][..PANEL]], left.row_sums[row + i], acc);
                }
                let columns = PANEL.min(right.columns - column);
                let at = (place.row + row + i) * place.width + place.column + column;
                finish(acc, columns, out, at, place.column + column);
            }
        }
        row += rows;
    }
}

/// Adds the products of two rows and the 16 columns of a panel.
///
/// # Safety
/// Two elements must be readable at each base plus each offset, and 32 weights for each offset.
unsafe fn multiply(
    bases: [*const i8; 2],
    offsets: &[u32],
    weights: *const i8,
    acc: &mut [Columns; 2],
) {
    if offsets.is_empty() {
        return;
    }
    // SAFETY: reads what the caller vouches for; writes the accumulators and the named registers.
    unsafe {
        asm!(
            "mov {t}, {acc}",
            "vld1.32 {{d16-d19}}, [{t}]!",
            "vld1.32 {{d20-d23}}, [{t}]!",
            "vld1.32 {{d24-d27}}, [{t}]!",
            "vld1.32 {{d28-d31}}, [{t}]",
            "2:",
            "ldr {t}, [{offsets}], #4",
            "ldrh {x}, [{a}, {t}]",
            "ldrh {t}, [{b}, {t}]",
            "vld1.8 {{d4-d7}}, [{weights}]!",
            "vdup.16 d0, {x}",
            "vdup.16 d1, {t}",
            "vmull.s8 q4, d4, d0",
            "vmull.s8 q5, d5, d0",
            "vmull.s8 q6, d6, d0",
            "vmull.s8 q7, d7, d0",
            "vpadal.s16 q8, q4",
            "vpadal.s16 q9, q5",
            "vpadal.s16 q10, q6",
            "vpadal.s16 q11, q7",
            "vmull.s8 q4, d4, d1",
            "vmull.s8 q5, d5, d1",
            "vmull.s8 q6, d6, d1",
            "vmull.s8 q7, d7, d1",
            "vpadal.s16 q12, q4",
            "vpadal.s16 q13, q5",
            "vpadal.s16 q14, q6",
            "vpadal.s16 q15, q7",
            "subs {count}, {count}, #1",
            "bne 2b",
            "vst1.32 {{d16-d19}}, [{acc}]!",
            "vst1.32 {{d20-d23}}, [{acc}]!",
            "vst1.32 {{d24-d27}}, [{acc}]!",
            "vst1.32 {{d28-d31}}, [{acc}]",
            acc = inout(reg) acc.as_mut_ptr() => _,
            offsets = inout(reg) offsets.as_ptr() => _,
            count = inout(reg) offsets.len() => _,
            weights = inout(reg) weights => _,
            a = in(reg) bases[0],
            b = in(reg) bases[1],
            t = out(reg) _,
            x = out(reg) _,
            out("q0") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _, out("q6") _,
            out("q7") _, out("q8") _, out("q9") _, out("q10") _, out("q11") _, out("q12") _,
            out("q13") _, out("q14") _, out("q15") _,
            options(nostack),
        );
    }
}

/// One staged band: 16 channels of one position at a time.
///
/// # Panics
/// When the stage or the output are shorter than the shapes say.
pub(super) fn depthwise(sweep: &Sweep<'_, i8>, out: &mut Out<'_>) {
    let Sweep { filters, weights, stage, grid, start, row } = *sweep;
    let (channels, taps) = (filters.channels, &filters.taps);
    let reach = taps.iter().max().map_or(0, |&o| o as usize);
    assert!(grid.last() + reach + channels.next_multiple_of(PANEL) <= stage.len(), "stage");
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
                sweep_taps(base, taps, weights.as_ptr().add(channel), channels, &mut acc);
            }
            finish(&acc, columns, out, (row + position) * channels + channel, channel);
        }
    }
}

/// Adds the products of 16 channels of one position.
///
/// # Safety
/// 16 elements must be readable at the base plus each tap, and at every `channels`-th weight.
unsafe fn sweep_taps(
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
