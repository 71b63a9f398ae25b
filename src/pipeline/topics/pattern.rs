//! Topic patterns, matched as the broker matches filters.

use crate::config::{Level, TopicPattern};
use crate::message::Captures;

/// The capture that names the device.
pub(super) const DEVICE: &str = "device";

/// What a pattern captures of a topic; `None` if it does not match. As in MQTT filters, a capture of
/// a whole level may be empty (that is rejected later, with a reason), and no capture takes a first
/// level that starts with `$`. A part of a level has at least one character, and a capture of all
/// levels from its place on has at least one level.
pub(super) fn capture(pattern: &TopicPattern, topic: &str) -> Option<Captures> {
    let mut captures = Captures::default();
    let mut levels = topic.split('/');
    let mut start = 0_usize;
    for level in &pattern.levels {
        let got = levels.next()?;
        let end = start.saturating_add(got.len());
        let is_open = start > 0 || !got.starts_with('$');
        match level {
            Level::Literal(text) if text == got => {}
            Level::Capture(_) if is_open => captures.push(start..end),
            Level::Part { before, after, .. } if is_open => {
                let inner = got.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                let from = start.saturating_add(before.len());
                captures.push(from..from.saturating_add(inner.len()));
                if inner.is_empty() {
                    return None;
                }
            }
            Level::Rest(_) if is_open => {
                captures.push(start..topic.len());
                return Some(captures);
            }
            _ => return None,
        }
        start = end.saturating_add(1);
    }
    levels.next().is_none().then_some(captures)
}
