//! Quantiles of the normal and of the chi-squared distribution.

use std::f64::consts::PI;

/// Terms after which a series is given up; the arguments here need fewer than a hundred.
const MAX_TERMS: usize = 10_000;
const SMALLEST: f64 = 1e-300;

/// The quantile of the standard normal distribution.
///
/// Source: Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988), relative error 1e-16.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return if p <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &NEAR);
    }
    let tail = (-p.min(1.0 - p).ln()).sqrt();
    let size = if tail <= 5.0 { ratio(tail - 1.6, &MIDDLE) } else { ratio(tail - 5.0, &FAR) };
    size.copysign(q)
}

/// Coefficients of a numerator and of a denominator, the constant first.
type Rational = [[f64; 8]; 2];

const NEAR: Rational = [
    [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_854e3,
    ],
];

const MIDDLE: Rational = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];

const FAR: Rational = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

fn ratio(x: f64, [numerator, denominator]: &Rational) -> f64 {
    let value = |of: &[f64; 8]| of.iter().rev().fold(0.0, |sum, c| sum * x + c);
    value(numerator) / value(denominator)
}

/// The value that a chi-squared variable with `freedom` degrees of freedom, which need not be
/// whole, exceeds with probability `alpha`.
///
/// The start is the approximation of Wilson and Hilferty (1931); Newton's method on the logarithm
/// of the tail refines it.
#[must_use]
pub fn chi_squared_upper_quantile(freedom: f64, alpha: f64) -> f64 {
    if !(freedom > 0.0 && alpha > 0.0 && alpha < 1.0) {
        return if alpha >= 1.0 { 0.0 } else { f64::INFINITY };
    }
    let (shape, spread) = (freedom / 2.0, 2.0 / (9.0 * freedom));
    let start = 1.0 - spread - normal_quantile(alpha) * spread.sqrt();
    let mut x = (freedom * start.powi(3)).max(freedom * 1e-3).max(1e-12);
    for _ in 0..100 {
        let tail = upper_gamma(shape, x / 2.0).max(SMALLEST);
        let density = ((shape - 1.0) * (x / 2.0).ln() - x / 2.0 - ln_gamma(shape)).exp() / 2.0;
        // d ln(tail) / dx = -density / tail
        let step = (tail / alpha).ln() * tail / density.max(SMALLEST);
        let next = (x + step).clamp(x / 4.0, x * 4.0);
        let moved = (next - x).abs();
        x = next;
        if moved <= 1e-13 * x {
            break;
        }
    }
    x
}

/// The regularized upper incomplete gamma function Q(a, x).
///
/// Source: NIST DLMF, the series 8.7.1 below a + 1 and the continued fraction 8.9.2 above it, by
/// the method of Lentz.
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..MAX_TERMS {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return 1.0 - sum * scale;
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / SMALLEST, 1.0 / b);
    let (mut fraction, mut i) = (d, 0.0_f64);
    for _ in 0..MAX_TERMS {
        i += 1.0;
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    fraction * scale
}

fn nonzero(x: f64) -> f64 {
    if x.abs() < SMALLEST { SMALLEST } else { x }
}

/// The logarithm of the gamma function of a positive number.
///
/// Source: Lanczos' approximation with g = 7 and nine terms, relative error 1e-15.
fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let mut place = x;
    let sum = TERMS.iter().fold(0.999_999_999_999_809_9, |sum, term| {
        place += 1.0;
        sum + term / place
    });
    let t = x + G + 0.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}
