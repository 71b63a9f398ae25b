//! Time as a value: pure modules receive the time, and only the daemon and the programs read a
//! clock.

mod zone;

pub use zone::{Zone, ZoneError};

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Monotonic time since the daemon's start, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// A difference of the clocks between two readings that only setting one of them causes.
const MIN_STEP: Duration = Duration::from_secs(30);

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub wall: Timestamp,
    pub mono: Mono,
}

impl Now {
    /// Returns the reading `span` ago, or at the start of the clock if that is later.
    #[must_use]
    pub fn back(self, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).min(self.mono.0);
        let wall = self.wall.0.saturating_sub(i64::try_from(micros).unwrap_or(i64::MAX));
        Self { wall: Timestamp(wall), mono: Mono(self.mono.0 - micros) }
    }

    /// Whether the wall clock was set in between, by more than a slewed clock gains or loses.
    #[must_use]
    pub fn is_step_from(self, earlier: Self) -> bool {
        let expected = earlier.wall.plus(self.mono.since(earlier.mono));
        self.wall.since(expected).max(expected.since(self.wall)) > MIN_STEP
    }
}

/// A source of time; tests provide their own.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Now;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at zero.
    #[must_use]
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let mono = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { wall: Timestamp::from(SystemTime::now()), mono: Mono(mono) }
    }
}

impl Timestamp {
    /// Parses RFC 3339, e.g. `2026-11-22T10:00:00.120Z`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }

    /// Parses a date of HTTP, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`; `None` for anything else, its
    /// obsolete forms included.
    #[must_use]
    pub fn parse_http(text: &str) -> Option<Self> {
        let date = text.strip_suffix("GMT")?;
        let date = jiff::fmt::rfc2822::parse(&format!("{date}+0000")).ok()?;
        Some(Self(date.timestamp().as_microsecond()))
    }

    /// Parses RFC 3339 and the forms beside it that name their offset: RFC 2822, `… UTC` or `… GMT`
    /// at the end, and dates written `2026/11/30` or `30.11.2026`; `None` for anything else.
    #[must_use]
    pub fn parse_any(text: &str) -> Option<Self> {
        let universal = || {
            let (time, name) = text.rsplit_once(' ')?;
            matches!(name, "UTC" | "GMT" | "Z").then(|| Zone::UTC.moment(time.trim_end()))?
        };
        let iso = || Self::parse(&zone::iso_date(text)?);
        let mail = || {
            let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
            Some(Self(zoned.timestamp().as_microsecond()))
        };
        Self::parse(text).or_else(universal).or_else(iso).or_else(mail)
    }

    /// Returns how much later this is than `earlier`; negative spans are zero.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }

    /// Whether the clock was set when it was read. A board without a real-time clock starts in
    /// 1970, and inferd is younger than 2020.
    #[must_use]
    pub fn is_set(self) -> bool {
        self.0 >= 1_577_836_800_000_000
    }

    /// Returns the time `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Mono {
    /// Returns how much later this is than `earlier`; negative spans are zero.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        })
    }
}

/// Prints RFC 3339 in UTC with milliseconds, the form of every time that leaves the daemon.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{time:.3}")
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        let wrong = || serde::de::Error::custom(format!("{text:?} is not an RFC 3339 time"));
        Self::parse(&text).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_take_more_than_32_bits_are_times() {
        let late = UNIX_EPOCH + Duration::from_secs(1 << 33);
        assert_eq!(Timestamp::from(late).to_string(), "2242-03-16T12:56:32.000Z");
        let parsed = Timestamp::parse("2242-03-16T12:56:32Z").unwrap();
        assert_eq!(parsed, Timestamp::from(late));
        let start = Timestamp::parse("2038-01-19T03:14:07Z").unwrap();
        assert_eq!(start.plus(Duration::from_secs(1)).to_string(), "2038-01-19T03:14:08.000Z");
        assert!(parsed.since(start) > Duration::from_secs(1 << 32));
    }

    #[test]
    fn a_timestamp_prints_as_it_was_read_to_the_millisecond() {
        let text = "2026-11-22T10:00:00.120Z";
        assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        assert_eq!(Timestamp::parse("2026-11-22T12:00:00.120+02:00").unwrap().to_string(), text);
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn a_clock_that_went_back_makes_an_empty_span() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Mono(5).since(Mono(9)), Duration::ZERO);
    }
}
