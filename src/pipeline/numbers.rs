//! Numbers as predictions show them.

/// The nearest number of six significant digits, which is as many as an `f32` is sure of: its
/// shortest form then has no more.
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
