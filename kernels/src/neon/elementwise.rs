//! Element by element, sixteen at a time. Written out: the compiler makes such code of the plain loops only where a
//! program is linked for speed, and boards' are linked for size.
//!
//! Each gives back what is left of its slices, less than sixteen elements.
use super::super::arith::Term;
use super::super::requant::Fit;
use super::finish::nearest;
use std::arch::aarch64::*;

const LANES: usize = 16;

/// Sixteen numbers in order.
type Floats = [float32x4_t; 4];

/// `x - zero` of the sixteen elements of `x`.
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

/// `fit` of each into `out`.
#[inline(always)]
fn store(fit: &Fit, x: Floats, out: &mut [i8; LANES]) {
    // SAFETY: sixteen elements are written; every aarch64 has NEON.
    unsafe {
        let zero = vdupq_n_s16(i16::from(fit.zero));
        let [a, b, c, d] = x.map(|x| vmovn_s32(nearest(fit, x)));
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

/// Two operands through `f`, which is given the differences from their zero points.
#[inline(always)]
fn both<'a>(
    zeros: [i8; 2],
    (a, b): (&'a [i8], &'a [i8]),
    fit: Fit,
    out: &'a mut [i8],
    f: impl Fn(Floats, Floats) -> Floats,
) -> (&'a [i8], &'a [i8], &'a mut [i8]) {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let (out, rest) = out.as_chunks_mut::<LANES>();
    for ((y, a), b) in out.iter_mut().zip(a).zip(b) {
        store(&fit, f(differences(a, zeros[0]), differences(b, zeros[1])), y);
    }
    (rest_a, rest_b, rest)
}

/// [`super::super::arith::add`].
pub(crate) fn add<'a>(
    terms: [Term; 2],
    operands: (&'a [i8], &'a [i8]),
    fit: Fit,
    out: &'a mut [i8],
) -> (&'a [i8], &'a [i8], &'a mut [i8]) {
    both(terms.map(|term| term.zero), operands, fit, out, |a, b| {
        let (a, b) = (scaled(a, terms[0].ratio), scaled(b, terms[1].ratio));
        // SAFETY: every aarch64 has NEON.
        [0, 1, 2, 3].map(|i| unsafe { vaddq_f32(a[i], b[i]) })
    })
}

/// [`super::super::arith::mul`]. The product of two differences is exact in single precision, too.
pub(crate) fn mul<'a>(
    zeros: [i8; 2],
    ratio: f32,
    operands: (&'a [i8], &'a [i8]),
    fit: Fit,
    out: &'a mut [i8],
) -> (&'a [i8], &'a [i8], &'a mut [i8]) {
    both(zeros, operands, fit, out, |a, b| {
        // SAFETY: every aarch64 has NEON.
        scaled([0, 1, 2, 3].map(|i| unsafe { vmulq_f32(a[i], b[i]) }), ratio)
    })
}

/// [`super::super::convert::quantize`].
pub(crate) fn quantize<'a>(
    scale: f32,
    fit: Fit,
    input: &'a [f32],
    out: &'a mut [i8],
) -> (&'a [f32], &'a mut [i8]) {
    let ((input, rest_in), (out, rest)) =
        (input.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
    for (y, x) in out.iter_mut().zip(input) {
        // SAFETY: sixteen elements are read; every aarch64 has NEON.
        let x = [0, 4, 8, 12]
            .map(|i| unsafe { vdivq_f32(vld1q_f32(x[i..][..4].as_ptr()), vdupq_n_f32(scale)) });
        store(&fit, x, y);
    }
    (rest_in, rest)
}

/// [`super::super::convert::dequantize`].
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
