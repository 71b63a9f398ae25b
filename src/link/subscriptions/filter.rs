//! Topic filters as sets of topics: overlap, containment, union. Pure.

use crate::link::capabilities::Features;
use crate::link::fault::reason_codes;

/// What filters that a group of clients shares begin with (MQTT 5, 4.8.2).
pub(in crate::link) const SHARED: &str = "$share/";

/// Why a broker with these features does not take a filter.
pub(in crate::link) fn unsupported(filter: &str, features: Features) -> Option<u8> {
    if !features.shared && filter.starts_with(SHARED) {
        Some(reason_codes::NOT_SHARED)
    } else if !features.wildcards && filter.contains(['+', '#']) {
        Some(reason_codes::NO_WILDCARDS)
    } else {
        None
    }
}

/// True if some topic matches both.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    // A wildcard on the first level matches no topic that starts with `$`.
    if a.starts_with('$') != b.starts_with('$') {
        return false;
    }
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            // `x/#` matches `x` too.
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(one), Some(other)) if one == "+" || other == "+" || one == other => {}
            _ => return false,
        }
    }
}

/// True if `outer` matches every topic that `inner` matches.
pub(crate) fn contains(outer: &str, inner: &str) -> bool {
    let mut inner = inner.split('/');
    for (place, level) in outer.split('/').enumerate() {
        let got = inner.next();
        // A wildcard on the first level matches no topic that starts with `$`.
        let is_own = place == 0 && got.is_some_and(|got| got.starts_with('$'));
        match (level, got) {
            ("#", _) => return !is_own,
            ("+", Some(got)) if got != "#" && !is_own => {}
            (level, Some(got)) if level == got => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

/// The smallest filter that contains both.
pub(crate) fn join(a: &str, b: &str) -> String {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    let mut levels = Vec::new();
    loop {
        match (a.next(), b.next()) {
            (None, None) => break,
            (Some(one), Some(other)) if one == "#" || other == "#" => {
                levels.push("#");
                break;
            }
            (Some(one), Some(other)) => levels.push(if one == other { one } else { "+" }),
            _ => {
                levels.push("#");
                break;
            }
        }
    }
    levels.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_overlap_where_some_topic_matches_both() {
        let table = [
            ("t/+", "t/press-7", true),
            ("a/+", "+/b", true),
            ("a/+/c", "+/b/+", true),
            ("a/+", "b/+", false),
            ("a/b", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/+/d", true),
            ("#", "x/y", true),
            ("a/#", "b/#", false),
            ("/a", "+/a", true),
            ("a", "/a", false),
            ("#", "$SYS/x", false),
            ("+/x", "$aws/x", false),
            ("$aws/+", "$aws/x", true),
            ("t/+", "$share/g/t/+", false),
            ("$share/g/t/+", "$share/g/+/x", true),
        ];
        for (a, b, expected) in table {
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} and {b}");
        }
    }

    #[test]
    fn a_filter_contains_one_whose_topics_it_all_matches() {
        let table = [
            ("t/+", "t/press-7", true),
            ("t/press-7", "t/+", false),
            ("a/+", "+/b", false),
            ("+/+", "a/+", true),
            ("a/b", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/+/c", true),
            ("a/+", "a/#", false),
            ("#", "+/+", true),
            ("+/x", "$SYS/x", false),
            ("#", "$SYS/x", false),
            ("$SYS/+", "$SYS/x", true),
            ("a/+/c", "a/b", false),
        ];
        for (outer, inner, expected) in table {
            assert_eq!(contains(outer, inner), expected, "{outer} of {inner}");
        }
    }

    #[test]
    fn a_join_contains_both_and_differs_where_they_do() {
        let table = [
            ("a/+", "+/b", "+/+"),
            ("site/+/press", "site/a/+", "site/+/+"),
            ("a/b", "a/b", "a/b"),
            ("a/b", "a/b/c", "a/b/#"),
            ("a/#", "a/b/c", "a/#"),
            ("a/#", "b/c", "+/#"),
        ];
        for (a, b, expected) in table {
            assert_eq!((join(a, b).as_str(), join(b, a).as_str()), (expected, expected));
            assert!(contains(&join(a, b), a) && contains(&join(a, b), b), "{a} and {b}");
        }
    }
}
