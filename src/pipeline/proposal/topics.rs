//! The topic of messages that came on several.

use std::collections::BTreeSet;

/// The topics' levels, with a capture in place of each level that differs. All have as many levels.
pub(super) fn pattern(topics: &BTreeSet<&str>) -> String {
    let mut levels: Vec<BTreeSet<&str>> = Vec::new();
    for topic in topics {
        for (place, level) in topic.split('/').enumerate() {
            match levels.get_mut(place) {
                Some(seen) => _ = seen.insert(level),
                None => levels.push(BTreeSet::from([level])),
            }
        }
    }
    let differing = levels.iter().filter(|seen| seen.len() > 1).count();
    let level = |(place, seen): (usize, &BTreeSet<&str>)| match seen.iter().next() {
        Some(only) if seen.len() == 1 => (*only).to_owned(),
        _ if differing == 1 => "{device}".to_owned(),
        _ => format!("{{level{place}}}"),
    };
    levels.iter().enumerate().map(level).collect::<Vec<_>>().join("/")
}
