//! Durations and sizes as strings: `"10s"`, `"64KiB"`.

use std::time::Duration;

/// Longest first, so that the exact unit found first is the largest.
const DURATION_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

/// `"500ms"`, `"10s"`, `"5m"`, `"1h"`, `"2d"`; `None` for anything else.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let millis = scaled(text, DURATION_UNITS)?;
    Some(Duration::from_millis(millis))
}

/// `"512B"`, `"64KiB"`, `"10MB"`; `None` for anything else.
pub(crate) fn size(text: &str) -> Option<u64> {
    scaled(text, SIZE_UNITS)
}

/// A whole number and one of the units, with or without a space between.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.bytes().position(|b| !b.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// The shortest exact way to write a span that `duration` reads; parts of a millisecond are cut.
pub(crate) fn print_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let exact =
        DURATION_UNITS.iter().find(|(_, scale)| millis != 0 && millis.is_multiple_of(*scale));
    let (unit, scale) = exact.unwrap_or(&("s", 1_000));
    format!("{}{unit}", millis / scale)
}

/// The shortest exact way to write a size that [`size`] reads.
pub(crate) fn print_size(bytes: u64) -> String {
    let exact = SIZE_UNITS.iter().find(|(unit, scale)| {
        bytes != 0 && bytes.is_multiple_of(*scale) && (unit.ends_with("iB") || *scale == 1)
    });
    let (unit, scale) = exact.unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_printed() {
        for (text, millis) in
            [("0s", 0), ("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("2d", 172_800_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(print_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration("10 s"), duration("10s"));
        assert_eq!(print_duration(Duration::from_secs(90)), "90s");
        for bad in ["", "s", "10", "-1s", "1.5s", "10 parsecs", "99999999999999999999s", "1h30m"] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_read_and_printed() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("10MB"), Some(10_000_000));
        assert_eq!(size("7 B"), Some(7));
        assert_eq!(print_size(65_536), "64KiB");
        assert_eq!(print_size(1 << 30), "1GiB");
        assert_eq!(print_size(1_000), "1000B");
        assert_eq!(print_size(0), "0B");
        assert_eq!(size("6GiB"), Some(6 * (1 << 30)), "more than 32 bits");
        for bad in ["", "KiB", "64", "64k", "64kb", "-1B", "18446744073709551615KiB"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }
}
