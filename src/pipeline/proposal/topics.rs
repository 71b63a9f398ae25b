//! The topic of messages that came on several.

use std::collections::BTreeSet;

use super::payload_kind::SPARKPLUG;

/// What each level of the topics is. All have as many levels.
pub(super) fn levels<'t>(topics: &BTreeSet<&'t str>) -> Vec<BTreeSet<&'t str>> {
    let mut levels: Vec<BTreeSet<&str>> = Vec::new();
    for topic in topics {
        for (place, level) in topic.split('/').enumerate() {
            match levels.get_mut(place) {
                Some(seen) => _ = seen.insert(level),
                None => levels.push(BTreeSet::from([level])),
            }
        }
    }
    levels
}

/// The topics' levels, with a capture in place of each level that differs.
pub(super) fn pattern(topics: &BTreeSet<&str>) -> String {
    captured(&levels(topics), None)
}

/// The same, with `{channel}` for one of the levels.
pub(super) fn with_channel(levels: &[BTreeSet<&str>], channel: usize) -> String {
    captured(levels, Some(channel))
}

fn captured(levels: &[BTreeSet<&str>], channel: Option<usize>) -> String {
    let differs =
        |(place, seen): &(usize, &BTreeSet<&str>)| seen.len() > 1 && Some(*place) != channel;
    let differing = levels.iter().enumerate().filter(differs).count();
    // The type of a message of Sparkplug B; births bring the names of the metrics.
    let namespace = levels.iter().position(|seen| seen.contains(SPARKPLUG));
    let kind = namespace.map(|place| place.saturating_add(2));
    let level = |(place, seen): (usize, &BTreeSet<&str>)| match seen.iter().next() {
        _ if Some(place) == kind => "{message}".to_owned(),
        _ if Some(place) == channel => "{channel}".to_owned(),
        Some(only) if seen.len() == 1 => (*only).to_owned(),
        _ if differing == 1 => "{device}".to_owned(),
        _ => format!("{{level{place}}}"),
    };
    levels.iter().enumerate().map(level).collect::<Vec<_>>().join("/")
}
