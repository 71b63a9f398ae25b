//! Elementwise operations: sums and products of differently scaled tensors, lookup tables.
use super::isa::Isa;
#[cfg(target_feature = "neon")]
use super::neon;
use super::operands::Term;
use super::requant::OutputQuant;

/// Adds two tensors: `out = quant(a.value + b.value)`.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn add(isa: Isa, terms: [Term; 2], a: &[i8], b: &[i8], quant: OutputQuant, out: &mut [i8]) {
    check(a, b, out);
    #[cfg(target_arch = "aarch64")]
    let (a, b, out) =
        if isa.has_neon() { neon::add(terms, (a, b), quant, out) } else { (a, b, out) };
    isa.run(
        #[inline(always)]
        || {
            for ((y, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *y = quant.store(terms[0].value(a) + terms[1].value(b));
            }
        },
    );
}

/// Multiplies two tensors: `out = quant((a - zeros[0]) * (b - zeros[1]) * ratio)`.
///
/// The product of the integers is exact; `ratio` is scale a * scale b / output scale.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn mul(
    isa: Isa,
    zeros: [i8; 2],
    ratio: f32,
    a: &[i8],
    b: &[i8],
    quant: OutputQuant,
    out: &mut [i8],
) {
    check(a, b, out);
    #[cfg(target_arch = "aarch64")]
    let (a, b, out) =
        if isa.has_neon() { neon::mul(zeros, ratio, (a, b), quant, out) } else { (a, b, out) };
    isa.run(
        #[inline(always)]
        || {
            let [za, zb] = zeros.map(i32::from);
            for ((y, &a), &b) in out.iter_mut().zip(a).zip(b) {
                let product = (i32::from(a) - za) * (i32::from(b) - zb);
                *y = quant.store(product as f32 * ratio);
            }
        },
    );
}

/// Multiplies each value by a factor: `out = factor * value`.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn mul_scalar(isa: Isa, factor: f32, values: &[f32], out: &mut [f32]) {
    assert_eq!(values.len(), out.len(), "factors");
    #[cfg(target_arch = "aarch64")]
    let (values, out) =
        if isa.has_neon() { neon::mul_scalar(factor, values, out) } else { (values, out) };
    isa.run(
        #[inline(always)]
        || out.iter_mut().zip(values).for_each(|(y, &x)| *y = factor * x),
    );
}

/// Clamps values to `low..=high` in place. NaN becomes `low`, as in the integer epilogues.
#[inline(never)]
pub fn clamp(isa: Isa, values: &mut [f32], low: f32, high: f32) {
    #[cfg(target_feature = "neon")]
    let values = if isa.has_neon() { neon::clamp(values, low, high) } else { values };
    isa.run(
        #[inline(always)]
        || {
            for v in values {
                let above = if *v > low { *v } else { low };
                *v = if above < high { above } else { high };
            }
        },
    );
}

fn check(a: &[i8], b: &[i8], out: &[i8]) {
    assert_eq!(a.len(), out.len(), "first operand");
    assert_eq!(b.len(), out.len(), "second operand");
}

/// A lookup table for a function from s8 to s8.
#[derive(Clone, Debug)]
pub struct Table([i8; 256]);

impl Table {
    /// Tabulates `f` over all 256 inputs.
    #[must_use]
    pub fn new(f: impl Fn(i8) -> i8) -> Self {
        let mut table = [0; 256];
        for x in i8::MIN..=i8::MAX {
            table[usize::from(x as u8)] = f(x);
        }
        Self(table)
    }

    /// Looks up one value.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, x: i8) -> i8 {
        self.0[usize::from(x as u8)]
    }

    /// Looks up each value of `input`.
    ///
    /// # Panics
    /// If the lengths differ.
    #[inline(never)]
    pub fn run(&self, input: &[i8], out: &mut [i8]) {
        assert_eq!(input.len(), out.len(), "table lookup");
        out.iter_mut().zip(input).for_each(|(y, &x)| *y = self.at(x));
    }

    /// Replaces each value by the one it looks up.
    #[inline(never)]
    pub fn run_in_place(&self, values: &mut [i8]) {
        values.iter_mut().for_each(|v| *v = self.at(*v));
    }
}

/// Looks up each value in a table of floats, indexed by the byte (0 to 255) that stores the s8.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn look_up(table: &[f32; 256], input: &[i8], out: &mut [f32]) {
    assert_eq!(input.len(), out.len(), "table lookup");
    out.iter_mut().zip(input).for_each(|(y, &x)| *y = table[usize::from(x as u8)]);
}
