//! Topic patterns, matched as the broker matches filters.

use crate::config::{Level, TopicPattern};

/// The capture that names the device.
pub(super) const DEVICE: &str = "device";

/// Whether a pattern matches as its MQTT filter would: a capture takes one level, which may be
/// empty (that is rejected later, with a reason), but no first level that starts with `$`.
pub(super) fn matches(pattern: &TopicPattern, topic: &str) -> bool {
    let mut levels = topic.split('/');
    let mut first = true;
    for level in &pattern.levels {
        let Some(got) = levels.next() else { return false };
        let fits = match level {
            Level::Literal(text) => text == got,
            Level::Capture(_) => !(first && got.starts_with('$')),
        };
        if !fits {
            return false;
        }
        first = false;
    }
    levels.next().is_none()
}
