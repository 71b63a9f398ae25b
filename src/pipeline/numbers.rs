//! Rounding of the numbers in predictions.

/// Rounds to six significant digits, the number that an `f32` always represents. Its shortest form
/// then has no more digits.
#[expect(clippy::cast_possible_truncation, reason = "back to where it came from")]
pub(super) fn round6(value: f32) -> f32 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let wide = f64::from(value);
    let digits = 5 - wide.abs().log10().floor() as i32;
    let scale = 10_f64.powi(digits.abs());
    let rounded =
        if digits < 0 { (wide / scale).round() * scale } else { (wide * scale).round() / scale };
    rounded as f32
}
