//! The epilogue: accumulators of 16 columns to results.
use super::super::operands::PANEL;
use super::super::requant::{OutputBuffer, ROUNDING_MAGIC};
use std::arch::asm;

/// 16 accumulators in column order.
pub(super) type Columns = [i32; PANEL];

/// Writes `columns` results from element `at` on, which belong to the output's columns from
/// `column` on.
///
/// NEON on ARMv7 flushes subnormal floats to zero. Only bytes are made by it, for which the
/// rounding gives zero anyway. Additions round half to even, so [`ROUNDING_MAGIC`] rounds to
/// integers.
///
/// # Panics
/// If the results lie outside the output.
pub(super) fn finish(
    acc: &Columns,
    columns: usize,
    out: &mut OutputBuffer<'_>,
    at: usize,
    column: usize,
) {
    let (out, requant) = match out {
        OutputBuffer::S8(out, requant) if columns == acc.len() => {
            (&mut out[at..][..columns], requant)
        }
        out => return out.finish(&acc[..columns], at, column),
    };
    let (low, high) = requant.quant.bounds();
    // SAFETY: reads 16 accumulators and as many multipliers, writes 16 elements, all just sliced,
    // and the named registers.
    unsafe {
        asm!(
            "vdup.32 q12, {low}",
            "vdup.32 q13, {high}",
            "vdup.32 q14, {magic}",
            "vdup.16 q15, {zero}",
            "vld1.32 {{d0-d3}}, [{acc}]!",
            "vld1.32 {{d4-d7}}, [{acc}]",
            "vld1.32 {{d8-d11}}, [{multipliers}]!",
            "vld1.32 {{d12-d15}}, [{multipliers}]",
            "vcvt.f32.s32 q0, q0",
            "vcvt.f32.s32 q1, q1",
            "vcvt.f32.s32 q2, q2",
            "vcvt.f32.s32 q3, q3",
            "vmul.f32 q0, q0, q4",
            "vmul.f32 q1, q1, q5",
            "vmul.f32 q2, q2, q6",
            "vmul.f32 q3, q3, q7",
            // Not vmax: NaN becomes the lower bound.
            "vcgt.f32 q8, q0, q12",
            "vcgt.f32 q9, q1, q12",
            "vcgt.f32 q10, q2, q12",
            "vcgt.f32 q11, q3, q12",
            "vbif q0, q12, q8",
            "vbif q1, q12, q9",
            "vbif q2, q12, q10",
            "vbif q3, q12, q11",
            "vmin.f32 q0, q0, q13",
            "vmin.f32 q1, q1, q13",
            "vmin.f32 q2, q2, q13",
            "vmin.f32 q3, q3, q13",
            "vadd.f32 q0, q0, q14",
            "vadd.f32 q1, q1, q14",
            "vadd.f32 q2, q2, q14",
            "vadd.f32 q3, q3, q14",
            "vsub.i32 q0, q0, q14",
            "vsub.i32 q1, q1, q14",
            "vsub.i32 q2, q2, q14",
            "vsub.i32 q3, q3, q14",
            "vmovn.i32 d0, q0",
            "vmovn.i32 d1, q1",
            "vmovn.i32 d2, q2",
            "vmovn.i32 d3, q3",
            "vadd.i16 q0, q0, q15",
            "vadd.i16 q1, q1, q15",
            "vmovn.i16 d0, q0",
            "vmovn.i16 d1, q1",
            "vst1.8 {{d0-d1}}, [{out}]",
            low = in(reg) low.to_bits(),
            high = in(reg) high.to_bits(),
            magic = in(reg) ROUNDING_MAGIC.to_bits(),
            zero = in(reg) i32::from(requant.quant.zero),
            acc = inout(reg) acc.as_ptr() => _,
            multipliers = inout(reg) requant.multipliers()[column..][..columns].as_ptr() => _,
            out = in(reg) out.as_mut_ptr(),
            out("q0") _, out("q1") _, out("q2") _, out("q3") _,
            out("q4") _, out("q5") _, out("q6") _,
            out("q7") _, out("q8") _, out("q9") _, out("q10") _, out("q11") _, out("q12") _,
            out("q13") _, out("q14") _, out("q15") _,
            options(nostack),
        );
    }
}
