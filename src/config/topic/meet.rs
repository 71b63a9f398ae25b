//! Whether some topic is matched by two patterns.

use super::Level;

/// Whether some topic is matched by both lists of levels.
pub(super) fn meet(ours: &[Level], theirs: &[Level]) -> bool {
    for place in 0.. {
        match (ours.get(place), theirs.get(place)) {
            (None, None) => return true,
            // It takes at least one level, and any number of others.
            (Some(Level::Rest(_)), Some(other)) | (Some(other), Some(Level::Rest(_))) => {
                return place > 0 || !is_reserved(other);
            }
            (Some(ours), Some(theirs)) if levels_meet(ours, theirs, place == 0) => {}
            _ => return false,
        }
    }
    false
}

/// Whether some topic is matched by the MQTT filters of both lists of levels.
pub(super) fn meet_as_filters(ours: &[Level], theirs: &[Level]) -> bool {
    let widened = |levels: &[Level]| {
        let level = |level: &Level| match level {
            Level::Part { name, .. } => Level::Capture(name.clone()),
            other => other.clone(),
        };
        levels.iter().map(level).collect::<Vec<_>>()
    };
    // `a/#` matches `a` as well.
    let parent = |ours: &[Level], theirs: &[Level]| match ours.split_last() {
        Some((Level::Rest(_), parent)) => meet(parent, theirs),
        _ => false,
    };
    let (ours, theirs) = (widened(ours), widened(theirs));
    meet(&ours, &theirs) || parent(&ours, &theirs) || parent(&theirs, &ours)
}

/// Whether wildcards do not match a level if it is the first one.
fn is_reserved(level: &Level) -> bool {
    matches!(level, Level::Literal(text) if text.starts_with('$'))
}

fn levels_meet(ours: &Level, theirs: &Level, is_first: bool) -> bool {
    match (ours, theirs) {
        (Level::Literal(ours), Level::Literal(theirs)) => ours == theirs,
        (literal @ Level::Literal(_), _) | (_, literal @ Level::Literal(_))
            if is_first && is_reserved(literal) =>
        {
            false
        }
        (Level::Literal(text), Level::Part { before, after, .. })
        | (Level::Part { before, after, .. }, Level::Literal(text)) => {
            let inner = text.strip_prefix(before.as_str());
            let inner = inner.and_then(|rest| rest.strip_suffix(after.as_str()));
            inner.is_some_and(|inner| !inner.is_empty())
        }
        (Level::Part { before, after, .. }, Level::Part { before: begins, after: ends, .. }) => {
            (before.starts_with(begins.as_str()) || begins.starts_with(before.as_str()))
                && (after.ends_with(ends.as_str()) || ends.ends_with(after.as_str()))
        }
        // A capture of a level takes any text.
        _ => true,
    }
}
