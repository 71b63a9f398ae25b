//! Elementwise operations on sixteen elements at a time.
//!
//! They are written by hand because the compiler vectorises the plain loops only in programs linked
//! for speed, and board builds are linked for size. Each function returns the rest of its slices,
//! less than sixteen elements.
use super::super::operands::Term;
use super::super::requant::OutputQuant;
use super::epilogue::nearest;
use std::arch::aarch64::*;

const LANES: usize = 16;

/// Sixteen numbers in order.
type Floats = [float32x4_t; 4];

/// Computes `x - zero` of sixteen elements.
#[inline(always)]
fn differences(x: &[i8; LANES], zero: i8) -> Floats {
    // SAFETY: sixteen elements are read; every aarch64 has NEON.
    unsafe {
        let (x, zero) = (vld1q_s8(x.as_ptr()), vdupq_n_s8(zero));
        let words = [vsubl_s8(vget_low_s8(x), vget_low_s8(zero)), vsubl_high_s8(x, zero)];
        let [low, high] = words.map(|w| [vmovl_s16(vget_low_s16(w)), vmovl_high_s16(w)]);
        [low[0], low[1], high[0], high[1]].map(|w| vcvtq_f32_s32(w))
    }
}

/// Writes the quantized value of each to `out`.
#[inline(always)]
fn store(quant: &OutputQuant, x: Floats, out: &mut [i8; LANES]) {
    // SAFETY: sixteen elements are written; every aarch64 has NEON.
    unsafe {
        let zero = vdupq_n_s16(i16::from(quant.zero));
        let [a, b, c, d] = x.map(|x| vmovn_s32(nearest(quant, x)));
        let [low, high] =
            [vcombine_s16(a, b), vcombine_s16(c, d)].map(|w| vmovn_s16(vaddq_s16(w, zero)));
        vst1q_s8(out.as_mut_ptr(), vcombine_s8(low, high));
    }
}

#[inline(always)]
fn scaled(x: Floats, ratio: f32) -> Floats {
    // SAFETY: every aarch64 has NEON.
    x.map(|x| unsafe { vmulq_n_f32(x, ratio) })
}

/// Passes the differences of two operands from their zero points to `f` and stores the results.
#[inline(always)]
fn both<'a>(
    zeros: [i8; 2],
    (a, b): (&'a [i8], &'a [i8]),
    quant: OutputQuant,
    out: &'a mut [i8],
    f: impl Fn(Floats, Floats) -> Floats,
) -> (&'a [i8], &'a [i8], &'a mut [i8]) {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let (out, rest) = out.as_chunks_mut::<LANES>();
    for ((y, a), b) in out.iter_mut().zip(a).zip(b) {
        store(&quant, f(differences(a, zeros[0]), differences(b, zeros[1])), y);
    }
    (rest_a, rest_b, rest)
}

/// [`super::super::elementwise::add`].
pub(crate) fn add<'a>(
    terms: [Term; 2],
    operands: (&'a [i8], &'a [i8]),
    quant: OutputQuant,
    out: &'a mut [i8],
) -> (&'a [i8], &'a [i8], &'a mut [i8]) {
    both(terms.map(|term| term.zero), operands, quant, out, |a, b| {
        let (a, b) = (scaled(a, terms[0].ratio), scaled(b, terms[1].ratio));
        // SAFETY: every aarch64 has NEON.
        [0, 1, 2, 3].map(|i| unsafe { vaddq_f32(a[i], b[i]) })
    })
}

/// [`super::super::elementwise::mul`]. The product of two differences is exact in single precision.
pub(crate) fn mul<'a>(
    zeros: [i8; 2],
    ratio: f32,
    operands: (&'a [i8], &'a [i8]),
    quant: OutputQuant,
    out: &'a mut [i8],
) -> (&'a [i8], &'a [i8], &'a mut [i8]) {
    both(zeros, operands, quant, out, |a, b| {
        // SAFETY: every aarch64 has NEON.
        scaled([0, 1, 2, 3].map(|i| unsafe { vmulq_f32(a[i], b[i]) }), ratio)
    })
}

/// [`super::super::quantize::quantize`].
pub(crate) fn quantize<'a>(
    scale: f32,
    quant: OutputQuant,
    input: &'a [f32],
    out: &'a mut [i8],
) -> (&'a [f32], &'a mut [i8]) {
    let ((input, rest_in), (out, rest)) =
        (input.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
    for (y, x) in out.iter_mut().zip(input) {
        // SAFETY: sixteen elements are read; every aarch64 has NEON.
        let x = [0, 4, 8, 12]
            .map(|i| unsafe { vdivq_f32(vld1q_f32(x[i..][..4].as_ptr()), vdupq_n_f32(scale)) });
        store(&quant, x, y);
    }
    (rest_in, rest)
}

/// [`super::super::quantize::dequantize`].
pub(crate) fn dequantize<'a>(
    scale: f32,
    zero: i8,
    input: &'a [i8],
    out: &'a mut [f32],
) -> (&'a [i8], &'a mut [f32]) {
    let ((input, rest_in), (out, rest)) =
        (input.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
    for (y, x) in out.iter_mut().zip(input) {
        for (y, x) in y.chunks_exact_mut(4).zip(scaled(differences(x, zero), scale)) {
            // SAFETY: four elements are written; every aarch64 has NEON.
            unsafe { vst1q_f32(y.as_mut_ptr(), x) };
        }
    }
    (rest_in, rest)
}

/// [`super::super::elementwise::mul_scalar`].
pub(crate) fn mul_scalar<'a>(
    factor: f32,
    values: &'a [f32],
    out: &'a mut [f32],
) -> (&'a [f32], &'a mut [f32]) {
    let ((values, rest_in), (out, rest)) = (values.as_chunks::<4>(), out.as_chunks_mut::<4>());
    for (y, x) in out.iter_mut().zip(values) {
        // SAFETY: four elements are read and written; every aarch64 has NEON.
        unsafe { vst1q_f32(y.as_mut_ptr(), vmulq_n_f32(vld1q_f32(x.as_ptr()), factor)) };
    }
    (rest_in, rest)
}

/// [`super::super::pack::fold`].
pub(crate) fn fold<'a>(
    [bias, sums]: [&'a [i32]; 2],
    zero: i32,
    start: &'a mut [i32],
) -> ([&'a [i32]; 2], &'a mut [i32]) {
    let ((bias, rest_bias), (sums, rest_sums)) = (bias.as_chunks::<4>(), sums.as_chunks::<4>());
    let (start, rest) = start.as_chunks_mut::<4>();
    for ((y, b), s) in start.iter_mut().zip(bias).zip(sums) {
        // SAFETY: four elements are read and written; every aarch64 has NEON.
        unsafe {
            let (b, s) = (vld1q_s32(b.as_ptr()), vld1q_s32(s.as_ptr()));
            vst1q_s32(y.as_mut_ptr(), vmlsq_n_s32(b, s, zero));
        }
    }
    ([rest_bias, rest_sums], rest)
}

/// Clamps four values to `low..=high`. NaN becomes `low`, which `fmaxnm` does not ensure for
/// signalling NaN.
#[inline(always)]
fn within(x: float32x4_t, low: float32x4_t, high: float32x4_t) -> float32x4_t {
    // SAFETY: every aarch64 has NEON.
    unsafe {
        let above = vbslq_f32(vcgtq_f32(x, low), x, low);
        vbslq_f32(vcltq_f32(above, high), above, high)
    }
}

/// [`super::super::elementwise::clamp`].
pub(crate) fn clamp(values: &mut [f32], low: f32, high: f32) -> &mut [f32] {
    let (fours, rest) = values.as_chunks_mut::<4>();
    for four in fours {
        // SAFETY: four elements are read and written; every aarch64 has NEON.
        unsafe {
            let x = vld1q_f32(four.as_ptr());
            vst1q_f32(four.as_mut_ptr(), within(x, vdupq_n_f32(low), vdupq_n_f32(high)));
        }
    }
    rest
}

/// Computes the smallest and the largest of every sixteenth value, for `quantize::range`.
pub(crate) fn range<'a>(
    input: &'a [f32],
    low: &mut [f32; LANES],
    high: &mut [f32; LANES],
) -> &'a [f32] {
    let (all, rest) = input.as_chunks::<LANES>();
    // SAFETY: sixteen elements are read or written; every aarch64 has NEON.
    unsafe {
        let load = |from: &[f32; LANES]| [0, 4, 8, 12].map(|i| vld1q_f32(from[i..][..4].as_ptr()));
        let (mut least, mut most) = (load(low), load(high));
        for x in all {
            for (i, x) in load(x).into_iter().enumerate() {
                least[i] = vbslq_f32(vcltq_f32(x, least[i]), x, least[i]);
                most[i] = vbslq_f32(vcgtq_f32(x, most[i]), x, most[i]);
            }
        }
        for (i, (low, high)) in low.chunks_exact_mut(4).zip(high.chunks_exact_mut(4)).enumerate() {
            vst1q_f32(low.as_mut_ptr(), least[i]);
            vst1q_f32(high.as_mut_ptr(), most[i]);
        }
    }
    rest
}

/// Writes the maximum of each element of `most` and of `input`, of the same length, to `most`.
pub(crate) fn largest<'a>(most: &'a mut [i8], input: &'a [i8]) -> (&'a mut [i8], &'a [i8]) {
    let (most, rest) = most.as_chunks_mut::<LANES>();
    let (input, rest_in) = input.as_chunks::<LANES>();
    for (y, x) in most.iter_mut().zip(input) {
        // SAFETY: sixteen elements are read and written; every aarch64 has NEON.
        unsafe { vst1q_s8(y.as_mut_ptr(), vmaxq_s8(vld1q_s8(y.as_ptr()), vld1q_s8(x.as_ptr()))) };
    }
    (rest, rest_in)
}

/// Adds each element of `input` to that of `sums`, of the same length.
pub(crate) fn total<'a>(sums: &'a mut [i32], input: &'a [i8]) -> (&'a mut [i32], &'a [i8]) {
    let (sums, rest) = sums.as_chunks_mut::<LANES>();
    let (input, rest_in) = input.as_chunks::<LANES>();
    for (sums, x) in sums.iter_mut().zip(input) {
        // SAFETY: sixteen elements are read and written; every aarch64 has NEON.
        unsafe {
            let x = vld1q_s8(x.as_ptr());
            let words = [vmovl_s8(vget_low_s8(x)), vmovl_high_s8(x)];
            let halves = words.map(|w| [vget_low_s16(w), vget_high_s16(w)]);
            for (sums, x) in sums.chunks_exact_mut(4).zip(halves.iter().flatten()) {
                vst1q_s32(sums.as_mut_ptr(), vaddw_s16(vld1q_s32(sums.as_ptr()), *x));
            }
        }
    }
    (rest, rest_in)
}

/// Returns the sum of the first elements, and the rest.
#[inline(always)]
pub(crate) fn sum(values: &[i8]) -> (i32, &[i8]) {
    let (all, rest) = values.as_chunks::<LANES>();
    // SAFETY: sixteen elements are read; every aarch64 has NEON.
    unsafe {
        let mut sums = vdupq_n_s32(0);
        for x in all {
            sums = vpadalq_s16(sums, vpaddlq_s8(vld1q_s8(x.as_ptr())));
        }
        (vaddvq_s32(sums), rest)
    }
}
