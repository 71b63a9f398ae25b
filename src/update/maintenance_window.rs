//! Maintenance windows: spans of every day, in UTC.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

const DAY_S: i64 = 24 * 60 * 60;

/// From a time of day until another, on the next day where that is not later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceWindow {
    pub from: TimeOfDay,
    pub to: TimeOfDay,
}

/// Minutes since midnight UTC, written `22:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a time of day such as 22:30");
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        let two = |part: &str, below: u16| {
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            part.parse().ok().filter(|&number: &u16| digits && number < below)
        };
        let hours = two(hours, 24).ok_or_else(wrong)?;
        let minutes = two(minutes, 60).ok_or_else(wrong)?;
        Ok(Self(hours * 60 + minutes))
    }
}

impl From<TimeOfDay> for String {
    fn from(TimeOfDay(minutes): TimeOfDay) -> Self {
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// How long until one of the windows is open: nothing where one is, or where there are none.
#[must_use]
pub fn until_open(windows: &[MaintenanceWindow], now: Timestamp) -> Duration {
    let second = now.0.div_euclid(1_000_000).rem_euclid(DAY_S);
    let wait = |window: &MaintenanceWindow| {
        let (from, to) = (i64::from(window.from.0) * 60, i64::from(window.to.0) * 60);
        let length = (to - from - 1).rem_euclid(DAY_S) + 1;
        if (second - from).rem_euclid(DAY_S) < length {
            0
        } else {
            (from - second).rem_euclid(DAY_S)
        }
    };
    let seconds = windows.iter().map(wait).min().unwrap_or(0);
    Duration::from_secs(seconds.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(from: &str, to: &str, now: &str) -> u64 {
        let time = |text: &str| TimeOfDay::try_from(text.to_owned()).unwrap();
        let now = Timestamp::parse(&format!("2026-11-22T{now}:00Z")).unwrap();
        until_open(&[MaintenanceWindow { from: time(from), to: time(to) }], now).as_secs() / 60
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        assert_eq!(wait("22:00", "04:00", "23:00"), 0);
        assert_eq!(wait("22:00", "04:00", "03:59"), 0);
        assert_eq!(wait("22:00", "04:00", "04:00"), 18 * 60);
        assert_eq!(wait("22:00", "04:00", "21:30"), 30);
        assert_eq!(wait("01:00", "02:00", "02:00"), 23 * 60);
        assert_eq!(wait("05:00", "05:00", "12:00"), 0, "the whole day");
        assert_eq!(until_open(&[], Timestamp(0)), Duration::ZERO);
    }

    #[test]
    fn a_time_of_day_has_one_spelling() {
        for bad in ["", "24:00", "1:00", "12:60", "+1:00", "12.30", "12:3é"] {
            assert!(TimeOfDay::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
