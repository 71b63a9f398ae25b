//! Sums in one order, and the conversion of counts.

/// A count as a number; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

/// The mean, summed from the first to the last; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    mean_of(values.iter().copied(), values.len())
}

/// The mean of `count` numbers.
pub(super) fn mean_of(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    if count == 0 { 0.0 } else { values.fold(0.0, |sum, x| sum + x) / real(count) }
}

/// The central moments of orders 2, 3 and 4.
pub(super) fn moments(values: &[f64]) -> (f64, [f64; 3]) {
    let mean = mean(values);
    let mut sums = [0.0; 3];
    for value in values {
        let away = value - mean;
        let square = away * away;
        let [second, third, fourth] = &mut sums;
        *second += square;
        *third += square * away;
        *fourth += square * square;
    }
    (mean, sums.map(|sum| if values.is_empty() { 0.0 } else { sum / real(values.len()) }))
}

/// Skewness `m3 / m2^1.5` and excess kurtosis `m4 / m2^2 - 3` of the population, as
/// `scipy.stats.skew` and `kurtosis`; both are 0 where all numbers are the same.
pub(super) fn shape(values: &[f64]) -> (f64, f64) {
    let (mean, [second, third, fourth]) = moments(values);
    let noise = f64::EPSILON * mean;
    if second <= noise * noise {
        return (0.0, 0.0);
    }
    (third / (second * second.sqrt()), fourth / (second * second) - 3.0)
}
