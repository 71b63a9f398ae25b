//! Time zones, for times that are written without an offset.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::Timestamp;

/// Where the operating system keeps its zones.
const DATABASE: &str = "/usr/share/zoneinfo";
/// The machine's own zone.
const LOCAL: &str = "/etc/localtime";
/// The largest file of a zone; the longest one of the 2026 database has 4 KiB.
const MAX_FILE: u64 = 64 << 10;

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    zone: TimeZone,
}

/// Why a text names no zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    #[error("not a zone")]
    Unknown,
    #[error("{DATABASE}/{0} cannot be read: install the package tzdata, or write the offset")]
    Missing(String),
    #[error("the machine's zone, {LOCAL}, cannot be read: write the offset")]
    NoLocal,
}

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self { zone: TimeZone::UTC };

    /// `utc`, an offset (`+01:00`), a rule of POSIX (`CET-1CEST,M3.5.0,M10.5.0/3`), a name of the
    /// system's database (`Europe/Berlin`), or `local` for the machine's own zone.
    ///
    /// # Errors
    /// A text of another form, or a zone whose file is not there.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        if text.eq_ignore_ascii_case("utc") {
            return Ok(Self::UTC);
        }
        if text.starts_with(['+', '-']) {
            return offset(text).map(|zone| Self { zone }).ok_or(ZoneError::Unknown);
        }
        if text == "local" {
            let zone = read(Path::new(LOCAL), text).ok_or(ZoneError::NoLocal)?;
            return Ok(Self { zone });
        }
        let digits = text.contains(|c: char| c.is_ascii_digit());
        if text.contains(',') || (digits && !text.contains('/')) {
            let zone = TimeZone::posix(text).map_err(|_| ZoneError::Unknown)?;
            return Ok(Self { zone });
        }
        let part = |part: &str| !part.is_empty() && part.bytes().all(is_of_name);
        if !text.split('/').all(part) {
            return Err(ZoneError::Unknown);
        }
        let zone = read(&Path::new(DATABASE).join(text), text);
        zone.map(|zone| Self { zone }).ok_or_else(|| ZoneError::Missing(text.to_owned()))
    }

    /// The moment of a date and time without an offset: `2026-11-30T06:50:00`, with a space in place
    /// of the T, with fractions of a second, or as `2026/11/30 06:50:00` or `30.11.2026 06:50:00`.
    /// Of an hour that comes twice in autumn, the first is meant.
    #[must_use]
    pub fn moment(&self, text: &str) -> Option<Timestamp> {
        let iso = iso_date(text);
        let text = iso.as_deref().unwrap_or(text);
        let civil: DateTime = text.parse().ok()?;
        let at = self.zone.to_timestamp(civil).ok()?;
        Some(Timestamp(at.as_microsecond()))
    }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+')
}

fn read(path: &Path, name: &str) -> Option<TimeZone> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    TimeZone::tzif(name, &bytes).ok()
}

/// `+01:00`, `-0330` or `+01`.
fn offset(text: &str) -> Option<TimeZone> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.get(1..)?.chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 =
        digits.get(2..).filter(|m| !m.is_empty()).map_or(Some(0), |m| m.parse().ok())?;
    if hours > 18 || minutes > 59 {
        return None;
    }
    let seconds = sign * (hours * 3600 + minutes * 60);
    Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}

/// Dates with the year first and slashes, or with the day first and points, in the order of ISO 8601.
/// Others, such as `11/30/2026`, have no order that can be told.
pub(super) fn iso_date(text: &str) -> Option<String> {
    let end = text.find([' ', 'T', 't']).unwrap_or(text.len());
    let (date, rest) = text.split_at_checked(end)?;
    let parts = |separator: char| -> Option<[&str; 3]> {
        let parts: Vec<&str> = date.split(separator).collect();
        let [a, b, c] = parts.as_slice() else { return None };
        let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
        [a, b, c].into_iter().all(digits).then_some([*a, *b, *c])
    };
    let ymd = parts('/').filter(|[year, ..]| year.len() == 4);
    let dmy = parts('.').filter(|[.., year]| year.len() == 4).map(|[d, m, y]| [y, m, d]);
    let [year, month, day] = ymd.or(dmy)?;
    Some(format!("{year}-{month:0>2}-{day:0>2}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_offsets_rules_or_names() {
        let hour =
            |zone: &str, text: &str| Zone::parse(zone).unwrap().moment(text).unwrap().to_string();
        let winter = "2026-11-30T06:50:00";
        assert_eq!(hour("utc", winter), "2026-11-30T06:50:00.000Z");
        assert_eq!(hour("+01:00", winter), "2026-11-30T05:50:00.000Z");
        assert_eq!(hour("-0330", winter), "2026-11-30T10:20:00.000Z");
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(hour(berlin, winter), "2026-11-30T05:50:00.000Z");
        assert_eq!(hour(berlin, "2026-07-30 06:50:00"), "2026-07-30T04:50:00.000Z");
        if Path::new(DATABASE).join("Europe/Berlin").exists() {
            assert_eq!(
                Zone::parse("Europe/Berlin").unwrap().moment(winter).map(|t| t.to_string()),
                Some("2026-11-30T05:50:00.000Z".to_owned())
            );
        }
        for bad in ["", "+1", "+25:00", "../x", "a b", "+aa", "CET-1CEST,M"] {
            assert_eq!(Zone::parse(bad), Err(ZoneError::Unknown), "{bad:?}");
        }
        let missing = Zone::parse("Europe/Atlantis").unwrap_err();
        assert_eq!(missing, ZoneError::Missing("Europe/Atlantis".to_owned()));
    }

    #[test]
    fn local_times_have_several_forms() {
        let at = Zone::UTC.moment("2026-11-30T06:50:00");
        assert!(at.is_some());
        for text in [
            "2026-11-30 06:50:00",
            "2026/11/30 06:50:00",
            "30.11.2026 06:50:00",
            "2026-11-30T06:50",
            "20261130T065000",
        ] {
            assert_eq!(Zone::UTC.moment(text), at, "{text}");
        }
        for bad in ["11/30/2026 06:50:00", "noon", "", "2026-13-01 00:00:00"] {
            assert_eq!(Zone::UTC.moment(bad), None, "{bad}");
        }
    }
}
