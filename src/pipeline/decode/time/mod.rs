//! Time stamps as devices write them.

mod rules;

pub(super) use rules::TimeRules;

use crate::clock::Timestamp;

/// Seconds up to the year 5138, in the unit that the magnitude tells; each next unit is a
/// thousandth. Milliseconds below this bound would be before March 1973.
const SECONDS_BELOW: f64 = 1e11;

/// A number of seconds, milli-, micro- or nanoseconds since 1970, told apart by magnitude.
/// `None` for what is not finite or lies out of range.
pub(in crate::pipeline) fn from_number(value: f64) -> Option<Timestamp> {
    let size = value.abs();
    let micros = if size < SECONDS_BELOW {
        value * 1e6
    } else if size < SECONDS_BELOW * 1e3 {
        value * 1e3
    } else if size < SECONDS_BELOW * 1e6 {
        value
    } else {
        value / 1e3
    };
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (micros.abs() < SECONDS_BELOW * 1e6).then(|| Timestamp(micros.round() as i64))
}

/// The first moment of 2100: no clock is later, whatever its unit.
const LATEST: Timestamp = Timestamp(4_102_444_800_000_000);

/// Whether a time can be a sample's: not an uptime, not a clock that was never set, and not a number
/// in no unit. The bounds lie closer together than two units, so that a unit is never taken for another.
pub(super) fn is_plausible(at: Timestamp, earliest: Timestamp) -> bool {
    (earliest..LATEST).contains(&at)
}

/// A time as a text that [`from_text`] reads, to the microsecond.
pub(in crate::pipeline::decode) fn precise(at: Timestamp) -> String {
    let text = at.to_string();
    let whole = text.split('.').next().unwrap_or_default();
    format!("{whole}.{:06}Z", at.0.rem_euclid(1_000_000))
}

/// A date with an offset, or a number in a text as CSV and some devices have it.
pub(in crate::pipeline) fn from_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    Timestamp::parse_any(text).or_else(|| from_number(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_a_number_is_told_by_its_magnitude() {
        let at = Timestamp::parse("2026-11-22T10:00:00.125Z").unwrap();
        for number in [1_795_341_600.125, 1_795_341_600_125.0, 1_795_341_600_125_000.0] {
            assert_eq!(from_number(number), Some(at), "{number}");
        }
        assert_eq!(from_number(1_795_341_600_125_000_000.0), Some(at));
        let precise_at = Timestamp(1_795_341_600_125_678);
        for at in [precise_at, Timestamp(0), Timestamp(-1), Timestamp(-1_000_001)] {
            assert_eq!(from_text(&precise(at)), Some(at));
        }
        assert_eq!(from_number(0.0), Some(Timestamp(0)));
        assert_eq!(from_number(-1.5), Some(Timestamp(-1_500_000)));
        for bad in [f64::NAN, f64::INFINITY, 1e30] {
            assert_eq!(from_number(bad), None);
        }
    }
}
