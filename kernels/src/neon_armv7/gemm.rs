//! The matrix product: two rows by 16 columns at a time.
use super::super::operands::{Left, OutputOffset, PANEL, PackedView};
use super::super::requant::OutputBuffer;
use super::elementwise::fold;
use super::epilogue::{Columns, finish};
use std::arch::asm;

/// Multiplies staged activations by weights packed in pairs.
///
/// # Panics
/// If the activations, the weights or the output are shorter than the shapes require.
pub(in super::super) fn gemm(
    left: &Left<'_, i8>,
    right: &PackedView<'_>,
    output: OutputOffset,
    out: &mut OutputBuffer<'_>,
) {
    left.check(right);
    assert_eq!(right.group_size, 2);
    let (mut bases, mut row) = (left.grid.bases(), 0);
    while row < left.grid.count {
        // The last row of an odd number is paired with itself, and finished once.
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
                    let asymmetric = *acc;
                    fold([&asymmetric, &zeros[column..][..PANEL]], left.row_sums[row + i], acc);
                }
                let columns = PANEL.min(right.columns - column);
                let at = (output.row + row + i) * output.width + output.column + column;
                finish(acc, columns, out, at, output.column + column);
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
