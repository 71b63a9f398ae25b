//! `lag`, `difference` and `pre-emphasis`: samples and those before them.

/// Appends a channel for each lag k: `x[t - k]` for each t from `longest` on. As pandas' `shift`
/// without the rows that are not complete.
pub(super) fn lag(channel: &[f64], lags: &[usize], longest: usize, out: &mut Vec<f64>) {
    for lag in lags {
        let first = longest.saturating_sub(*lag);
        let end = channel.len().saturating_sub(*lag);
        out.extend_from_slice(channel.get(first..end).unwrap_or_default());
    }
}

/// Appends `x[t + 1] - x[t]`, once after the other `order` times, as `numpy.diff`.
pub(super) fn difference(channel: &[f64], order: usize, out: &mut Vec<f64>) {
    let begin = out.len();
    out.extend_from_slice(channel);
    for _ in 0..order {
        let mut next = out.last().copied().unwrap_or(0.0);
        out.pop();
        for x in out.iter_mut().skip(begin).rev() {
            let this = *x;
            (*x, next) = (next - this, this);
        }
    }
}

/// `x[t] - coefficient * x[t - shift]`; before the first sample come the last ones (`numpy.roll`), as
/// in speechpy and Edge Impulse.
pub(super) fn pre_emphasis(
    channel: &mut [f64],
    coefficient: f64,
    shift: usize,
    spare: &mut Vec<f64>,
) {
    spare.clear();
    spare.extend_from_slice(channel);
    let (before, last) = spare.split_at(spare.len().saturating_sub(shift));
    for (x, earlier) in channel.iter_mut().zip(last.iter().chain(before)) {
        *x -= coefficient * earlier;
    }
}
