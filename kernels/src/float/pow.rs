//! Powers, computed in double precision and rounded once at the end.

/// x^y with the special cases of IEEE 754.
pub(super) fn pow(x: f32, y: f32) -> f32 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f32::NAN;
    }
    if y == 1.0 {
        return x;
    }
    if y == 2.0 {
        return x * x;
    }
    let integer = y.floor() == y;
    let odd = integer && (y * 0.5).floor() != y * 0.5;
    if x < 0.0 && !integer && x.is_finite() && y.is_finite() {
        return f32::NAN;
    }
    let magnitude = magnitude(f64::from(x.abs()), f64::from(y));
    if odd && x.is_sign_negative() { -magnitude } else { magnitude }
}

/// x^y for x >= 0 and y != 0, both not NaN.
fn magnitude(x: f64, y: f64) -> f32 {
    if x == 1.0 {
        return 1.0;
    }
    if x == 0.0 || x.is_infinite() || y.is_infinite() {
        let grows = (x > 1.0) == (y > 0.0);
        return if grows { f32::INFINITY } else { 0.0 };
    }
    exp2(y * log2(x)) as f32
}

/// The binary logarithm of a positive number that was a float: x = m 2^e, and the series of
/// 2 artanh((m - 1) / (m + 1)) for log m.
fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut e = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        e += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for n in (0..11).rev() {
        sum = sum * square + 1.0 / f64::from(2 * n + 1);
    }
    f64::from(e) + 2.0 * std::f64::consts::LOG2_E * s * sum
}

/// 2^x by Taylor's series of the fraction.
fn exp2(x: f64) -> f64 {
    let x = x.clamp(-1000.0, 1000.0);
    let n = x.round_ties_even();
    let r = (x - n) * std::f64::consts::LN_2;
    let mut sum = 1.0;
    for k in (1..=14).rev() {
        sum = 1.0 + sum * r / f64::from(k);
    }
    sum * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}
