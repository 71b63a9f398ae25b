//! Topic patterns, matched as the broker matches filters.

use crate::config::{Level, TopicPattern};
use crate::message::Captures;

/// The capture that names the device.
pub(super) const DEVICE: &str = "device";

/// What a pattern captures of a topic; `None` if it does not match as its MQTT filter would. A
/// capture takes one level, which may be empty (that is rejected later, with a reason), but no first
/// level that starts with `$`.
pub(super) fn capture(pattern: &TopicPattern, topic: &str) -> Option<Captures> {
    let mut captures = Captures::default();
    let mut levels = topic.split('/');
    let mut start = 0_usize;
    for level in &pattern.levels {
        let got = levels.next()?;
        let end = start.saturating_add(got.len());
        match level {
            Level::Literal(text) if text == got => {}
            Level::Capture(_) if start > 0 || !got.starts_with('$') => captures.push(start..end),
            Level::Literal(_) | Level::Capture(_) => return None,
        }
        start = end.saturating_add(1);
    }
    levels.next().is_none().then_some(captures)
}
