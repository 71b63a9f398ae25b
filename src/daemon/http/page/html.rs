//! Text for HTML.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// Text that is safe in HTML, in attributes with double quotes as well. Control characters, which
/// devices may send, are shown as U+FFFD.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(&'a str);

/// Escapes text from outside.
pub(super) fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\n' | '\t' => f.write_char(c),
            c if c.is_control() => f.write_char('\u{fffd}'),
            c => f.write_char(c),
        })
    }
}

/// A count with thin spaces between the thousands: `1 234 567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{2009}');
        }
        out.push(digit);
    }
    out
}

/// A size in binary units: `10.2 MiB`.
pub(super) fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = size as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        (value, unit) = (value / 1024.0, Some(next));
    }
    format!("{value:.1} {}", unit.unwrap_or(&""))
}

/// A span in one unit: `12 µs`, `3.4 ms`, `5 s`, `7 min`, `3 h`, `2 days`.
pub(super) fn span(span: Duration) -> String {
    let (micros, seconds) = (span.as_micros(), span.as_secs());
    match seconds {
        0 if micros == 0 => "0 s".to_owned(),
        0 if micros < 1000 => format!("{micros} µs"),
        0 => format!("{:.1} ms", span.as_secs_f64() * 1e3),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// How long ago something was; `never` if it was not.
pub(super) fn ago(now: Timestamp, then: Option<Timestamp>) -> String {
    match then.map(|then| now.since(then)) {
        None => "never".to_owned(),
        Some(passed) if passed < Duration::from_secs(1) => "now".to_owned(),
        Some(passed) => format!("{} ago", span(passed)),
    }
}

/// A share of a whole, 0 to 100; 0 where there is no whole.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        let text = esc("<img src=x onerror=\"a('&')\">\u{1b}[2J\n").to_string();
        assert_eq!(text, "&lt;img src=x onerror=&quot;a(&#39;&amp;&#39;)&quot;&gt;\u{fffd}[2J\n");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(
            [count(7), count(1234), count(123_456)],
            ["7", "1\u{2009}234", "123\u{2009}456"]
        );
        assert_eq!([bytes(9), bytes(10_700_000)], ["9 B", "10.2 MiB"]);
        let spans = [12, 3_400, 5_000_000, 420_000_000, 10_800_000_000, 200_000_000_000];
        let spans = spans.map(|us| span(Duration::from_micros(us)));
        assert_eq!(spans, ["12 µs", "3.4 ms", "5 s", "7 min", "3 h", "2 days"]);
        let second = |at: i64| Timestamp(at * 1_000_000);
        assert_eq!(ago(second(60), Some(second(50))), "10 s ago");
        assert_eq!(ago(second(60), Some(second(70))), "now");
        assert_eq!(ago(second(60), None), "never");
        assert_eq!([percent(1, 0), percent(3, 4), percent(9, 4)], [0, 75, 100]);
    }
}
