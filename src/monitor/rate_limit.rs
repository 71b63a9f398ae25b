use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::clock::Mono;

/// A token bucket: at most `per_minute` a minute on average, with a burst of as many.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    per_minute: u32,
    /// In units of one token / 60 s in microseconds, so that refilling is exact.
    level: u64,
    filled: Mono,
}

const MINUTE_US: u64 = 60_000_000;

impl TokenBucket {
    #[must_use]
    pub fn new(per_minute: u32, now: Mono) -> Self {
        Self { per_minute, level: u64::from(per_minute) * MINUTE_US, filled: now }
    }

    /// Takes one token if there is one.
    pub fn take(&mut self, now: Mono) -> bool {
        let full = u64::from(self.per_minute) * MINUTE_US;
        let passed = now.0.saturating_sub(self.filled.0).min(MINUTE_US);
        self.level = (self.level + passed * u64::from(self.per_minute)).min(full);
        self.filled = now;
        if self.level < MINUTE_US {
            return false;
        }
        self.level -= MINUTE_US;
        true
    }
}

/// Lets a repeated log message through once per period, with the number of suppressed ones.
#[derive(Debug)]
pub struct LogLimiter {
    period: Duration,
    seen: HashMap<String, (Mono, u64)>,
}

/// Number of suppressed messages like this one. Displayed as a suffix; empty for zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Suppressed(pub u64);

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            count => write!(f, " ({count} more like this since the last)"),
        }
    }
}

/// Maximum number of different messages remembered. Beyond it all are forgotten, so that remote
/// input cannot grow the table.
const MAX_REMEMBERED_KEYS: usize = 256;

impl LogLimiter {
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self { period, seen: HashMap::new() }
    }

    /// Whether to log the message of this key now, and how many were suppressed since the last time.
    pub fn allow(&mut self, now: Mono, key: &str) -> Option<Suppressed> {
        if let Some((last, held)) = self.seen.get_mut(key) {
            if now.since(*last) < self.period {
                *held += 1;
                return None;
            }
            *last = now;
            return Some(Suppressed(std::mem::take(held)));
        }
        if self.seen.len() >= MAX_REMEMBERED_KEYS {
            self.seen.clear();
        }
        self.seen.insert(key.to_owned(), (now, 0));
        Some(Suppressed(0))
    }

    /// When [`LogLimiter::take_overdue`] has something to report; `None` if nothing is suppressed.
    #[must_use]
    pub fn overdue_at(&self) -> Option<Mono> {
        let held = self.seen.values().filter(|(_, held)| *held > 0);
        held.map(|(last, _)| last.plus(self.period)).min()
    }

    /// Messages that were suppressed and did not come again after the period, by key: otherwise
    /// nobody would learn of them.
    pub fn take_overdue(&mut self, now: Mono) -> Vec<(String, u64)> {
        let period = self.period;
        let is_overdue = |last: Mono, held: u64| held > 0 && now.since(last) >= period;
        let overdue = self.seen.iter_mut().filter(|(_, (last, held))| is_overdue(*last, *held));
        overdue.map(|(key, (_, held))| (key.clone(), std::mem::take(held))).collect()
    }

    /// What [`LogLimiter::take_overdue`] returns, as lines for the log.
    pub fn overdue_lines(&mut self, now: Mono) -> impl Iterator<Item = String> + use<> {
        let seconds = self.period.as_secs();
        self.take_overdue(now).into_iter().map(move |(key, count)| {
            format!("{count} more log lines on {key:?} were suppressed within {seconds} s")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000)
    }

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let mut bucket = TokenBucket::new(6, at(0));
        assert_eq!((0..20).filter(|_| bucket.take(at(0))).count(), 6);
        assert!(!bucket.take(at(9)));
        assert!(bucket.take(at(20)));
        assert_eq!((0..20).filter(|_| bucket.take(at(1000))).count(), 6);
    }

    #[test]
    fn a_bucket_of_none_gives_none() {
        assert!(!TokenBucket::new(0, at(0)).take(at(100)));
    }

    #[test]
    fn a_repeat_is_held_back_and_counted() {
        let mut repeats = LogLimiter::new(Duration::from_secs(60));
        assert_eq!(repeats.allow(at(0), "stale"), Some(Suppressed(0)));
        assert_eq!(repeats.allow(at(1), "stale"), None);
        assert_eq!(repeats.allow(at(2), "syntax"), Some(Suppressed(0)));
        assert_eq!(repeats.allow(at(3), "stale"), None);
        assert_eq!(repeats.allow(at(61), "stale"), Some(Suppressed(2)));
    }

    #[test]
    fn what_was_held_back_and_does_not_come_again_is_reported() {
        let mut repeats = LogLimiter::new(Duration::from_secs(60));
        (0..5).for_each(|i| _ = repeats.allow(at(i), "stale"));
        _ = repeats.allow(at(3), "once");
        assert_eq!(repeats.overdue_at(), Some(at(60)));
        assert_eq!(repeats.take_overdue(at(59)), []);
        assert_eq!(repeats.take_overdue(at(60)), [("stale".to_owned(), 4)]);
        assert_eq!((repeats.overdue_at(), repeats.take_overdue(at(200))), (None, vec![]));
        assert_eq!(repeats.allow(at(61), "stale"), Some(Suppressed(0)));
    }

    #[test]
    fn strangers_cannot_grow_the_memory_of_repeats() {
        let mut repeats = LogLimiter::new(Duration::from_secs(60));
        (0..10_000)
            .for_each(|i| assert_eq!(repeats.allow(at(0), &i.to_string()), Some(Suppressed(0))));
        assert!(repeats.seen.len() <= MAX_REMEMBERED_KEYS);
    }
}
