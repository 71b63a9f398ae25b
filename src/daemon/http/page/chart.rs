//! Small charts as SVG. Colours are classes of the style sheet.

use std::fmt::Write as _;

use crate::monitor::Minute;

/// Units of a minute's bar, and of the chart's height.
const BAR: usize = 4;
const HEIGHT: u64 = 40;
const MINUTES: usize = 60;

/// The messages of the last hour, one bar a minute, with rejects at the bottom.
pub(super) fn hour(minutes: &[Minute], label: &str) -> String {
    let most = minutes.iter().map(|minute| minute.messages).max().unwrap_or(0);
    let height = |count: u32| match u64::from(count) * HEIGHT / u64::from(most.max(1)) {
        0 if count > 0 => 1,
        height => height.min(HEIGHT),
    };
    let width = MINUTES * BAR;
    let mut svg = format!(
        "<svg class=\"hour\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" \
         role=\"img\" aria-label=\"{label}\">"
    );
    for (place, minute) in minutes.iter().rev().take(MINUTES).enumerate() {
        let x = width - (place + 1) * BAR;
        let mut bar = |class, count| {
            let high = height(count);
            if high > 0 {
                let y = HEIGHT - high;
                // Writing to a string cannot fail.
                _ = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"3\" height=\"{high}\"/>"
                );
            }
        };
        bar("bar", minute.messages);
        bar("bar bad", minute.rejects.min(minute.messages));
    }
    svg + "</svg>"
}

/// Parts of a whole, one beside the other. Each has a class.
pub(super) fn parts(parts: &[(&str, u64)], label: &str) -> String {
    let sum: u64 = parts.iter().map(|(_, size)| size).sum();
    let mut svg = format!(
        "<svg class=\"parts\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{label}\">"
    );
    let mut x = 0;
    for (class, size) in parts {
        let width = size.saturating_mul(1000).checked_div(sum).unwrap_or(0);
        _ = write!(svg, "<rect class=\"{class}\" x=\"{x}\" width=\"{width}\" height=\"10\"/>");
        x += width;
    }
    svg + "</svg>"
}

/// Two distributions over the same bins: the expected one behind, the found one before it. Both are
/// scaled to their sums.
pub(super) fn bins(expected: &[u16], found: &[u16], label: &str) -> String {
    let share = |values: &[u16]| -> Vec<u64> {
        let sum: u64 = values.iter().map(|value| u64::from(*value)).sum();
        let scale = |value: &u16| (u64::from(*value) * 1000).checked_div(sum).unwrap_or(0);
        values.iter().map(scale).collect()
    };
    let (expected, found) = (share(expected), share(found));
    let most = expected.iter().chain(&found).copied().max().unwrap_or(0).max(1);
    let width = expected.len().max(found.len()) * 6;
    let mut svg = format!(
        "<svg class=\"bins\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" \
         role=\"img\" aria-label=\"{label}\">"
    );
    for (class, wide, shares) in [("expected", 5, &expected), ("found", 3, &found)] {
        for (place, share) in shares.iter().enumerate() {
            let high = share * HEIGHT / most;
            let (x, y) = (place * 6 + (5 - wide) / 2, HEIGHT - high);
            _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\"/>"
            );
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_stay_within_their_boxes() {
        let minute = |messages, rejects| Minute { messages, predictions: 0, rejects };
        let svg = hour(&[minute(0, 0), minute(1, 0), minute(1000, 5000)], "messages");
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert!(svg.contains("x=\"236\" y=\"0\" width=\"3\" height=\"40\""), "{svg}");
        assert!(svg.contains("x=\"232\" y=\"39\" width=\"3\" height=\"1\""), "{svg}");
        let svg = parts(&[("a", 1), ("b", 3)], "times");
        assert!(svg.contains("class=\"b\" x=\"250\" width=\"750\""), "{svg}");
        assert!(parts(&[("a", 0)], "none").contains("width=\"0\""));
        let svg = bins(&[500, 500], &[0, 4], "shares");
        assert!(svg.contains("class=\"expected\" x=\"0\" y=\"20\""), "{svg}");
        assert!(svg.contains("class=\"found\" x=\"7\" y=\"0\""), "{svg}");
    }
}
