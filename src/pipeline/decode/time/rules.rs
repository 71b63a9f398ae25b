//! How the times of a stream are read.

use super::{from_number, is_plausible};
use crate::clock::{Timestamp, Zone};
use crate::config::{DeviceClock, Payload, TimeUnit};

/// How the times of a stream are read.
#[derive(Clone, Debug)]
pub(in crate::pipeline::decode) struct TimeRules {
    zone: Option<Zone>,
    unit: Option<TimeUnit>,
    /// Times count from a moment of the device's own.
    is_own_clock: bool,
    /// A time before this is none.
    pub(in crate::pipeline::decode) earliest: Timestamp,
}

impl TimeRules {
    pub(in crate::pipeline::decode) fn new(payload: &Payload) -> Self {
        let times = &payload.reading.times;
        Self {
            zone: times.zone.clone(),
            unit: times.unit,
            is_own_clock: times.clock == DeviceClock::Own,
            earliest: payload.earliest,
        }
    }

    /// The time of a number.
    pub(in crate::pipeline::decode) fn of_number(&self, value: f64) -> Option<Timestamp> {
        let per_unit = match self.unit {
            None => return from_number(value),
            Some(TimeUnit::Seconds) => 1e6,
            Some(TimeUnit::Millis) => 1e3,
            Some(TimeUnit::Micros) => 1.0,
            Some(TimeUnit::Nanos) => 1e-3,
        };
        let micros = value * per_unit;
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        (micros.abs() < 1e17).then(|| Timestamp(micros.round() as i64))
    }

    /// The time of a text: with an offset, a number, or a local time where the zone is known.
    pub(in crate::pipeline::decode) fn of_text(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        let number = || self.of_number(text.parse().ok()?);
        if self.is_own_clock {
            return number();
        }
        let local = || self.zone.as_ref()?.moment(text);
        Timestamp::parse_any(text).or_else(number).or_else(local)
    }

    /// Whether a time can be a sample's.
    pub(in crate::pipeline::decode) fn is_plausible(&self, at: Timestamp) -> bool {
        self.is_own_clock || is_plausible(at, self.earliest)
    }

    /// What to do about a text that is no time.
    pub(in crate::pipeline::decode) fn advice(&self, text: &str) -> &'static str {
        if self.is_own_clock {
            "send a number that counts up"
        } else if self.zone.is_none() && Zone::UTC.moment(text.trim()).is_some() {
            "it has no zone: send an offset, as in RFC 3339, or set payload.zone"
        } else {
            "send RFC 3339 text or a number since 1970 (s, ms, us, ns)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> TimeRules {
        let earliest = Timestamp::parse("2020-01-01T00:00:00Z").unwrap();
        TimeRules { zone: None, unit: None, is_own_clock: false, earliest }
    }

    #[test]
    fn a_text_is_a_date_with_an_offset_or_a_number() {
        let at = Timestamp::parse("2026-11-22T10:00:00Z");
        let texts = [
            "2026-11-22T11:00:00+01:00",
            " 1795341600 ",
            "2026-11-22 10:00:00 UTC",
            "Sun, 22 Nov 2026 10:00:00 +0000",
            "2026/11/22 10:00:00Z",
            "22.11.2026 10:00:00Z",
        ];
        for text in texts {
            assert_eq!(rules().of_text(text), at, "{text}");
        }
        for bad in ["", "noon", "2026-13-01T00:00:00Z", "nan", "2026-11-22 10:00:00"] {
            assert_eq!(rules().of_text(bad), None, "{bad:?}");
        }
        assert!(rules().advice("2026-11-22 10:00:00").contains("payload.zone"));
        let zone = Some(Zone::parse("+01:00").unwrap());
        let local = TimeRules { zone, ..rules() };
        assert_eq!(local.of_text("2026-11-22 11:00:00"), at);
        assert_eq!(local.of_text("2026-11-22 10:00:00Z"), at, "an offset of its own counts");
    }

    #[test]
    fn a_unit_that_is_set_is_not_told_by_the_magnitude() {
        let millis = TimeRules { unit: Some(TimeUnit::Millis), is_own_clock: true, ..rules() };
        assert_eq!(millis.of_number(12.5), Some(Timestamp(12_500)));
        assert_eq!(millis.of_text("12"), Some(Timestamp(12_000)));
        assert_eq!(millis.of_text("2026-11-22T10:00:00Z"), None);
        assert!(millis.is_plausible(Timestamp(0)));
        assert!(!rules().is_plausible(Timestamp(0)));
        assert_eq!(millis.of_number(f64::NAN), None);
    }
}
