//! The epilogues: accumulators of 16 columns to results.
use super::super::requant::{OutputBuffer, OutputQuant, Scale};
use std::arch::aarch64::*;

/// 16 accumulators in column order.
pub(super) type Columns = [int32x4_t; 4];

/// Loads 16 elements from `at` on.
#[inline(always)]
pub(super) fn load(values: &[i32], at: usize) -> Columns {
    let values = values[at..][..16].as_ptr();
    // SAFETY: 16 elements were just sliced; every aarch64 has NEON.
    unsafe { [0, 4, 8, 12].map(|i| vld1q_s32(values.add(i))) }
}

/// Rounds four numbers to the nearest integers within the bounds, before the zero point is added.
///
/// `fmaxnm` returns the bound if its other operand is NaN, like [`OutputQuant::store`], and
/// `fcvtns` rounds half to even.
#[inline(always)]
pub(super) fn nearest(quant: &OutputQuant, x: float32x4_t) -> int32x4_t {
    let (low, high) = quant.bounds();
    // SAFETY: every aarch64 has NEON.
    unsafe { vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(x, vdupq_n_f32(low)), vdupq_n_f32(high))) }
}

/// Scales and rounds four accumulators.
#[inline(always)]
fn round(quant: &OutputQuant, acc: int32x4_t, multipliers: float32x4_t) -> int32x4_t {
    // SAFETY: every aarch64 has NEON.
    nearest(quant, unsafe { vmulq_f32(vcvtq_f32_s32(acc), multipliers) })
}

/// Writes `columns` results from element `at` on, which belong to the output's columns from
/// `column` on.
///
/// # Panics
/// If the results lie outside the output.
#[inline(always)]
pub(super) fn finish(
    acc: Columns,
    columns: usize,
    out: &mut OutputBuffer<'_>,
    at: usize,
    column: usize,
) {
    match out {
        OutputBuffer::S8(out, requant) if columns == 16 => {
            let multipliers = requant.multipliers()[column..][..16].as_ptr();
            let out = out[at..][..16].as_mut_ptr();
            // SAFETY: 16 elements were just sliced from each; every aarch64 has NEON.
            unsafe {
                let zero = vdupq_n_s16(i16::from(requant.quant.zero));
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| {
                    vmovn_s32(round(&requant.quant, acc[i], vld1q_f32(multipliers.add(4 * i))))
                });
                let [low, high] = [vcombine_s16(a, b), vcombine_s16(c, d)]
                    .map(|words| vmovn_s16(vaddq_s16(words, zero)));
                vst1q_s8(out, vcombine_s8(low, high));
            }
        }
        OutputBuffer::F32(out, Scale { scale, bias }) if columns == 16 => {
            let scale = scale[column..][..16].as_ptr();
            let bias = bias.map(|bias| bias[column..][..16].as_ptr());
            let out = out[at..][..16].as_mut_ptr();
            for (i, acc) in acc.into_iter().enumerate() {
                // SAFETY: 16 elements were just sliced from each; every aarch64 has NEON.
                unsafe {
                    let scaled = vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(scale.add(4 * i)));
                    let sum = bias.map_or(scaled, |b| vaddq_f32(scaled, vld1q_f32(b.add(4 * i))));
                    vst1q_f32(out.add(4 * i), sum);
                }
            }
        }
        out => {
            let mut all = [0i32; 16];
            for (acc, to) in acc.into_iter().zip(all.chunks_exact_mut(4)) {
                // SAFETY: four elements of the array; every aarch64 has NEON.
                unsafe { vst1q_s32(to.as_mut_ptr(), acc) };
            }
            out.finish(&all[..columns], at, column);
        }
    }
}
