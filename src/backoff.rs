//! Delays between attempts: exponential backoff with full jitter.
//!
//! The jitter keeps ten thousand gateways that lost one broker from reconnecting in the same
//! second. ("Exponential Backoff And Jitter", M. Brooker, AWS Architecture Blog, 2015.)

use std::time::Duration;

/// Returns the delay before attempt number `attempt` (0 is the first retry).
///
/// It lies between zero and `min * 2^attempt`, and is never more than `max`. `random` is uniform
/// over `u64`.
pub(crate) fn delay(attempt: u32, min: Duration, max: Duration, random: u64) -> Duration {
    let ceiling = 2_u32.checked_pow(attempt).and_then(|f| min.checked_mul(f)).unwrap_or(max);
    let nanos = ceiling.min(max).as_nanos();
    let share = nanos.saturating_mul(u128::from(random)) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn the_ceiling_doubles_to_the_maximum_and_stays() {
        let ceilings: Vec<u64> = [0, 1, 2, 5, 6, 31, 32, u32::MAX]
            .map(|attempt| delay(attempt, MIN, MAX, u64::MAX).as_secs())
            .to_vec();
        assert_eq!(ceilings, [1, 2, 4, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn the_whole_span_below_the_ceiling_is_used() {
        assert_eq!(delay(3, MIN, MAX, 0), Duration::ZERO);
        let half = delay(3, MIN, MAX, u64::MAX / 2);
        assert!(half > Duration::from_millis(3_999) && half <= Duration::from_secs(4), "{half:?}");
    }
}
