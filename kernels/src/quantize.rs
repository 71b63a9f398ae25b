//! Conversions between float and s8, and between u8 and s8.
use super::isa::Isa;
#[cfg(target_feature = "neon")]
use super::neon;
use super::requant::OutputQuant;

/// Quantizes as ONNX QuantizeLinear: `out = quant(x / scale)`.
///
/// For u8 results, the zero point of `quant` is stored minus 128 like the values.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn quantize(isa: Isa, scale: f32, quant: OutputQuant, input: &[f32], out: &mut [i8]) {
    assert_eq!(input.len(), out.len(), "quantize");
    #[cfg(target_arch = "aarch64")]
    let (input, out) =
        if isa.has_neon() { neon::quantize(scale, quant, input, out) } else { (input, out) };
    isa.run(
        #[inline(always)]
        || out.iter_mut().zip(input).for_each(|(y, &x)| *y = quant.store(x / scale)),
    );
}

/// Dequantizes as ONNX DequantizeLinear: `out = (x - zero) as f32 * scale`.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn dequantize(isa: Isa, scale: f32, zero: i8, input: &[i8], out: &mut [f32]) {
    assert_eq!(input.len(), out.len(), "dequantize");
    #[cfg(target_arch = "aarch64")]
    let (input, out) =
        if isa.has_neon() { neon::dequantize(scale, zero, input, out) } else { (input, out) };
    isa.run(
        #[inline(always)]
        || {
            for (y, &x) in out.iter_mut().zip(input) {
                *y = (i32::from(x) - i32::from(zero)) as f32 * scale;
            }
        },
    );
}

/// Quantizes as ONNX DynamicQuantizeLinear: by the range of the values, which always includes zero.
///
/// Returns the scale and the zero point, stored minus 128 like the u8 values in `out`.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn quantize_dynamic(isa: Isa, input: &[f32], out: &mut [i8]) -> (f32, i8) {
    let (low, high) = range(isa, input);
    let span = high - low;
    let scale = if span == 0.0 { 1.0 } else { span / 255.0 };
    let zero = OutputQuant::full(i8::MIN).store((0.0 - low) / scale);
    quantize(isa, scale, OutputQuant::full(zero), input, out);
    (scale, zero)
}

/// Returns the smallest and the largest value, zero included. NaN is skipped.
fn range(isa: Isa, input: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([0.0f32; 16], [0.0f32; 16]);
    #[cfg(target_feature = "neon")]
    let input = if isa.has_neon() { neon::range(input, &mut low, &mut high) } else { input };
    isa.run(
        #[inline(always)]
        || {
            for chunk in input.chunks(16) {
                for ((&x, l), h) in chunk.iter().zip(&mut low).zip(&mut high) {
                    *l = if x < *l { x } else { *l };
                    *h = if x > *h { x } else { *h };
                }
            }
            let least = |a: f32, &b: &f32| if b < a { b } else { a };
            let most = |a: f32, &b: &f32| if b > a { b } else { a };
            (low.iter().fold(0.0, least), high.iter().fold(0.0, most))
        },
    )
}

/// Converts stored u8 to stored s8 by subtracting 128.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn s8_from_u8(input: &[u8], out: &mut [i8]) {
    assert_eq!(input.len(), out.len(), "u8 to s8");
    out.iter_mut().zip(input).for_each(|(y, &x)| *y = (x ^ 0x80) as i8);
}

/// Converts stored s8 to stored u8 by adding 128.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn u8_from_s8(input: &[i8], out: &mut [u8]) {
    assert_eq!(input.len(), out.len(), "s8 to u8");
    out.iter_mut().zip(input).for_each(|(y, &x)| *y = x as u8 ^ 0x80);
}
