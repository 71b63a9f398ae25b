//! Elementary functions in single precision: polynomials of fused multiply-adds, so that every
//! machine and every vector width gives the same bits. The tests state their errors.
//!
//! All are free of branches that a compiler cannot turn into selections, and are inlined into loops
//! that it vectorises.
//!
//! Sources: Cody and Waite, Software Manual for the Elementary Functions (1980), for the reduction
//! of exp; Moshier, Cephes, for log; Kahan for log(1 + x).

/// Returns `a * b + c`, rounded once.
#[cfg(not(all(target_arch = "arm", target_feature = "neon")))]
#[inline(always)]
pub(super) fn fma(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}
#[cfg(all(target_arch = "arm", target_feature = "neon"))]
pub(super) use super::super::vfp4::fma;

/// Returns `c[0] + x (c[1] + x (c[2] + ...))`.
#[inline(always)]
pub(super) fn polynomial<const N: usize>(x: f32, c: [f32; N]) -> f32 {
    let mut sum = c[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = fma(sum, x, c[i]);
    }
    sum
}

/// 1.5 * 2^23: added to a float below 2^22, it leaves the nearest integer in the lowest bits.
const ROUNDING_MAGIC: f32 = 12_582_912.0;

/// ln 2 in two parts, the first with 9 trailing zero bits.
const LN2: [f32; 2] = [0.693_145_75, 1.428_606_8e-6];

/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, fitted like [`ERF_NEAR`]; e^r is 3e-9 off before
/// rounding.
const EXP_SERIES: [f32; 5] =
    [4.999_999_4e-1, 1.666_652_1e-1, 4.166_839e-2, 8.368_717e-3, 1.381_459_9e-3];

/// Returns e^r - 1 with r = x - n ln 2, and n + [`ROUNDING_MAGIC`], for the integer n nearest to
/// x / ln 2. The integer is in the lowest bits of the latter.
#[inline(always)]
fn reduced_exponential(x: f32) -> (f32, f32) {
    let shifted = fma(x, std::f32::consts::LOG2_E, ROUNDING_MAGIC);
    let n = shifted - ROUNDING_MAGIC;
    let r = fma(n, -LN2[1], fma(n, -LN2[0], x));
    (fma(r * r, polynomial(r, EXP_SERIES), r), shifted)
}

/// Returns 2^n for n in -126..=127, and 0 for -127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^x. Arguments beyond those with a finite result that is not zero are moved there.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = if x < -104.5 { -104.5 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let (t, shifted) = reduced_exponential(x);
    let n = shifted.to_bits().wrapping_sub(ROUNDING_MAGIC.to_bits()) as i32;
    // 2^n may be too large or too small for a float.
    let half = n >> 1;
    (1.0 + t) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// Returns 2^n and e^r - 1 for x <= 0, where e^x = 2^n e^r; 2^n is 0 below 2^-126.
#[inline(always)]
fn exponential_of_negative(x: f32) -> (f32, f32) {
    let x = if x < -88.0 { -88.0 } else { x };
    let (t, shifted) = reduced_exponential(x);
    // The shift leaves the lowest bits of n only.
    let scale = (shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits());
    (f32::from_bits(scale), t)
}

/// e^x for x <= 0; results below 2^-126 may be zero.
#[inline(always)]
pub(super) fn exp_of_negative(x: f32) -> f32 {
    let (scale, t) = exponential_of_negative(x);
    fma(scale, t, scale)
}

/// e^x - 1 for x <= 0, exact to the last bits also near zero.
#[inline(always)]
pub(super) fn expm1_of_negative(x: f32) -> f32 {
    let (scale, t) = exponential_of_negative(x);
    fma(scale, t, scale - 1.0)
}

/// 1 / (1 + e^-x); results below 2^-126 may be zero.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let e = exp_of_negative(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// The hyperbolic tangent, by the quotient of polynomials that Eigen uses
/// (`generic_fast_tanh_float`). Its magnitude stays below 1, by 2^-22 at infinity.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    /// Beyond it the result does not change.
    const MOST: f32 = 7.905_311;
    let x = if x < -MOST { -MOST } else { x };
    let x = if x > MOST { MOST } else { x };
    let square = x * x;
    x * polynomial(square, TANH_NUMERATOR) / polynomial(square, TANH_DENOMINATOR)
}

const TANH_NUMERATOR: [f32; 7] = [
    4.893_524_6e-3,
    6.372_619_3e-4,
    1.485_722_4e-5,
    5.122_297e-8,
    -8.604_672e-11,
    2.000_188e-13,
    -2.760_768_5e-16,
];
const TANH_DENOMINATOR: [f32; 4] = [4.893_525e-3, 2.268_434_6e-3, 1.185_347_1e-4, 1.198_258_4e-6];

/// The natural logarithm; NaN below zero.
#[inline(always)]
pub(super) fn log(x: f32) -> f32 {
    /// The smallest normal number.
    const LEAST: f32 = f32::MIN_POSITIVE;
    let tiny = x < LEAST;
    let scaled = if tiny { x * 16_777_216.0 } else { x };
    // m in [sqrt(1/2), sqrt(2)): the bits are those of m * 2^e.
    let bits = scaled.to_bits().wrapping_sub(0x3F35_04F3);
    let e = (bits as i32 >> 23) as f32 - if tiny { 24.0 } else { 0.0 };
    let m = f32::from_bits((bits & 0x007F_FFFF).wrapping_add(0x3F35_04F3)) - 1.0;
    let series = [
        3.333_333e-1,
        -2.499_999_4e-1,
        2.000_071_5e-1,
        -1.666_805_8e-1,
        1.424_932_3e-1,
        -1.242_014_1e-1,
        1.167_699_9e-1,
        -1.151_461e-1,
        7.037_683_6e-2,
    ];
    let square = m * m;
    let low = fma(e, LN2[1], square * m * polynomial(m, series));
    let y = fma(e, LN2[0], m + fma(square, -0.5, low));
    let y = if x > f32::MAX { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

/// log(1 + x) for x >= 0.
#[inline(always)]
pub(super) fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let rounded = u - 1.0;
    let y = log(u) * (x / rounded);
    if rounded > 0.0 && u < f32::MAX { y } else { x }
}

/// log(1 + e^x).
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    let e = exp_of_negative(-x.abs());
    (if x > 0.0 { x } else { 0.0 }) + log1p(if x.is_nan() { x } else { e })
}

/// The error function.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    let a = x.abs();
    // Beyond 4 the result rounds to 1.
    let a = if a > 4.0 { 4.0 } else { a };
    let near = a * polynomial(a * a, ERF_NEAR);
    let far = 1.0 - exp_of_negative(-a * polynomial(a, ERF_FAR));
    (if a < ERF_SPLIT { near } else { far }).copysign(x)
}

/// Where [`erf`] changes from one approximation to the other. The coefficients were fitted by
/// weighted least squares with Lawson's weights: 1.2e-9 and 4e-10 off before rounding.
const ERF_SPLIT: f32 = 1.0;
/// erf(x) / x in powers of x^2.
const ERF_NEAR: [f32; 7] = [
    std::f32::consts::FRAC_2_SQRT_PI,
    -3.761_262_6e-1,
    1.128_358_5e-1,
    -2.685_381_3e-2,
    5.188_327_7e-3,
    -8.010_193_7e-4,
    7.853_861_5e-5,
];
/// -log(1 - erf(x)) / x in powers of x.
const ERF_FAR: [f32; 7] = [
    1.128_694_3,
    6.349_695_3e-1,
    1.065_308_5e-1,
    -2.401_005_5e-2,
    3.757_470_3e-3,
    -3.505_904e-4,
    1.396_227_7e-5,
];

/// x times the normal distribution, x (1 + erf(x / sqrt 2)) / 2: the distribution of a negative
/// argument is half of 1 - erf, an exponential, without cancellation.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    let a = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let within = if a > 4.0 { 4.0 } else { a };
    let half = 0.5 * exp_of_negative(-a * polynomial(within, ERFC));
    x * if x < 0.0 { half } else { 1.0 - half }
}

/// -log(1 - erf(x)) / x for x in 0..=4 in powers of x, fitted like [`ERF_FAR`]: 1.7e-7 off, times
/// x.
const ERFC: [f32; 10] = [
    1.128_386,
    6.365_336e-1,
    1.031_451_5e-1,
    -1.991_463_8e-2,
    7.111_938_3e-4,
    1.092_429_7e-3,
    -4.207_068e-4,
    8.019_393e-5,
    -8.233_575e-6,
    3.617_791_7e-7,
];
