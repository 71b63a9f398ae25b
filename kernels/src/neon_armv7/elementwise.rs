//! Elementwise operations that compare the bits of floats as integers, because NEON on ARMv7
//! flushes subnormal floats to zero.
//!
//! Each function returns the rest of its slices to plain code, usually less than two vectors.
use std::arch::asm;

const LANES: usize = 8;

/// The bits of infinity; those of every NaN are larger.
const INFINITY: i32 = f32::INFINITY.to_bits() as i32;

/// Writes the smallest and the largest value to the first elements, which are zero, for
/// `quantize::range`.
pub(crate) fn range<'a>(input: &'a [f32], low: &mut [f32], high: &mut [f32]) -> &'a [f32] {
    let (all, rest) = input.as_chunks::<LANES>();
    if all.is_empty() {
        return rest;
    }
    // These have the order of the floats.
    let mut keys = [[0i32; LANES]; 2];
    // SAFETY: reads the chunks, at least one; writes the keys and the named registers.
    unsafe {
        asm!(
            "vdup.32 q4, {infinity}",
            "vmov.i32 q8, #0",
            "vmov.i32 q9, #0",
            "vmov.i32 q10, #0",
            "vmov.i32 q11, #0",
            "2:",
            "vld1.32 {{d0-d3}}, [{input}]!",
            // Whether it is a number.
            "vabs.f32 q12, q0",
            "vabs.f32 q13, q1",
            "vcge.s32 q12, q4, q12",
            "vcge.s32 q13, q4, q13",
            // The larger the bits of a negative float are, the smaller the float is.
            "vshr.s32 q2, q0, #31",
            "vshr.s32 q3, q1, #31",
            "vshr.u32 q2, q2, #1",
            "vshr.u32 q3, q3, #1",
            "veor q0, q0, q2",
            "veor q1, q1, q3",
            "vand q0, q0, q12",
            "vand q1, q1, q13",
            "vmin.s32 q8, q8, q0",
            "vmin.s32 q9, q9, q1",
            "vmax.s32 q10, q10, q0",
            "vmax.s32 q11, q11, q1",
            "subs {count}, {count}, #1",
            "bne 2b",
            "vst1.32 {{d16-d19}}, [{keys}]!",
            "vst1.32 {{d20-d23}}, [{keys}]",
            infinity = in(reg) INFINITY,
            input = inout(reg) all.as_ptr() => _,
            count = inout(reg) all.len() => _,
            keys = inout(reg) keys.as_mut_ptr() => _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _,
            out("q4") _, out("q8") _, out("q9") _,
            out("q10") _, out("q11") _, out("q12") _, out("q13") _,
            options(nostack),
        );
    }
    let float = |key: i32| f32::from_bits(key as u32 ^ ((key >> 31) as u32 >> 1));
    low[0] = float(keys[0].iter().fold(0, |least, &key| least.min(key)));
    high[0] = float(keys[1].iter().fold(0, |most, &key| most.max(key)));
    rest
}

/// [`super::super::elementwise::clamp`] for bounds that are not negative: negative floats are also
/// negative as integers.
pub(crate) fn clamp(values: &mut [f32], low: f32, high: f32) -> &mut [f32] {
    let bounds = [low, high].map(|bound| bound.to_bits() as i32);
    if bounds.iter().any(|bound| !(0..=INFINITY).contains(bound)) {
        return values;
    }
    let (all, rest) = values.as_chunks_mut::<LANES>();
    if all.is_empty() {
        return rest;
    }
    // SAFETY: reads and writes the chunks, at least one, and the named registers.
    unsafe {
        asm!(
            "vdup.32 q4, {infinity}",
            "vdup.32 q8, {low}",
            "vdup.32 q9, {high}",
            "2:",
            "vld1.32 {{d0-d3}}, [{values}]",
            "vcgt.s32 q2, q0, q4",
            "vcgt.s32 q3, q1, q4",
            "vbit q0, q8, q2",
            "vbit q1, q8, q3",
            "vmax.s32 q0, q0, q8",
            "vmax.s32 q1, q1, q8",
            "vmin.s32 q0, q0, q9",
            "vmin.s32 q1, q1, q9",
            "vst1.32 {{d0-d3}}, [{values}]!",
            "subs {count}, {count}, #1",
            "bne 2b",
            infinity = in(reg) INFINITY,
            low = in(reg) bounds[0],
            high = in(reg) bounds[1],
            values = inout(reg) all.as_mut_ptr() => _,
            count = inout(reg) all.len() => _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _,
            out("q4") _, out("q8") _, out("q9") _,
            options(nostack),
        );
    }
    rest
}

/// [`super::super::pack::fold`], for any factor.
pub(crate) fn fold<'a>(
    [bias, sums]: [&'a [i32]; 2],
    zero: i32,
    start: &'a mut [i32],
) -> ([&'a [i32]; 2], &'a mut [i32]) {
    let ((bias, rest_bias), (sums, rest_sums)) =
        (bias.as_chunks::<LANES>(), sums.as_chunks::<LANES>());
    let (start, rest) = start.as_chunks_mut::<LANES>();
    let count = start.len().min(bias.len()).min(sums.len());
    if count > 0 {
        // SAFETY: reads and writes `count` chunks of each, at least one, and the named registers.
        unsafe {
            asm!(
                "vdup.32 q8, {zero}",
                "2:",
                "vld1.32 {{d0-d3}}, [{bias}]!",
                "vld1.32 {{d4-d7}}, [{sums}]!",
                "vmls.i32 q0, q2, q8",
                "vmls.i32 q1, q3, q8",
                "vst1.32 {{d0-d3}}, [{start}]!",
                "subs {count}, {count}, #1",
                "bne 2b",
                zero = in(reg) zero,
                bias = inout(reg) bias.as_ptr() => _,
                sums = inout(reg) sums.as_ptr() => _,
                start = inout(reg) start.as_mut_ptr() => _,
                count = inout(reg) count => _,
                out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q8") _,
                options(nostack),
            );
        }
    }
    ([rest_bias, rest_sums], rest)
}

/// Returns the sum of the first elements, and the rest.
pub(crate) fn sum(values: &[i8]) -> (i32, &[i8]) {
    let (all, rest) = values.as_chunks::<16>();
    let mut sums = [0; 4];
    if !all.is_empty() {
        // SAFETY: reads the chunks, at least one; writes the sums and the named registers.
        unsafe {
            asm!(
                "vmov.i32 q8, #0",
                "2:",
                "vld1.8 {{d0-d1}}, [{values}]!",
                "vpaddl.s8 q1, q0",
                "vpadal.s16 q8, q1",
                "subs {count}, {count}, #1",
                "bne 2b",
                "vst1.32 {{d16-d17}}, [{sums}]",
                values = inout(reg) all.as_ptr() => _,
                count = inout(reg) all.len() => _,
                sums = in(reg) sums.as_mut_ptr(),
                out("q0") _, out("q1") _, out("q8") _,
                options(nostack),
            );
        }
    }
    (sums.iter().sum(), rest)
}

/// Writes the maximum of each element of `most` and of `input`, of the same length, to `most`.
pub(crate) fn largest<'a>(most: &'a mut [i8], input: &'a [i8]) -> (&'a mut [i8], &'a [i8]) {
    let ((most, rest), (input, rest_in)) = (most.as_chunks_mut::<16>(), input.as_chunks::<16>());
    let count = most.len().min(input.len());
    if count > 0 {
        // SAFETY: reads and writes `count` chunks of each, at least one, and the named registers.
        unsafe {
            asm!(
                "2:",
                "vld1.8 {{d0-d1}}, [{input}]!",
                "vld1.8 {{d2-d3}}, [{most}]",
                "vmax.s8 q0, q0, q1",
                "vst1.8 {{d0-d1}}, [{most}]!",
                "subs {count}, {count}, #1",
                "bne 2b",
                input = inout(reg) input.as_ptr() => _,
                most = inout(reg) most.as_mut_ptr() => _,
                count = inout(reg) count => _,
                out("q0") _, out("q1") _,
                options(nostack),
            );
        }
    }
    (rest, rest_in)
}

/// Adds each element of `input` to that of `sums`, of the same length.
pub(crate) fn total<'a>(sums: &'a mut [i32], input: &'a [i8]) -> (&'a mut [i32], &'a [i8]) {
    let ((sums, rest), (input, rest_in)) = (sums.as_chunks_mut::<8>(), input.as_chunks::<8>());
    let count = sums.len().min(input.len());
    if count > 0 {
        // SAFETY: reads and writes `count` chunks of each, at least one, and the named registers.
        unsafe {
            asm!(
                "2:",
                "vld1.8 {{d0}}, [{input}]!",
                "vld1.32 {{d4-d7}}, [{sums}]",
                "vmovl.s8 q1, d0",
                "vaddw.s16 q2, q2, d2",
                "vaddw.s16 q3, q3, d3",
                "vst1.32 {{d4-d7}}, [{sums}]!",
                "subs {count}, {count}, #1",
                "bne 2b",
                input = inout(reg) input.as_ptr() => _,
                sums = inout(reg) sums.as_mut_ptr() => _,
                count = inout(reg) count => _,
                out("q0") _, out("q1") _, out("q2") _, out("q3") _,
                options(nostack),
            );
        }
    }
    (rest, rest_in)
}
