//! What a stream reads from a topic: the captured levels and the device.

use super::pattern::{DEVICE, matches};
use crate::config::{Level, TopicPattern};
use crate::ids::MAX_DEVICE_KEY_BYTES;
use crate::pipeline::reject::Reject;

/// A topic as a stream reads it. The buffers are used again for the next one.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct TopicCaptures {
    /// The captures, in the order of the pattern.
    pub(super) levels: Vec<String>,
    /// What the topic says of the device.
    topic: String,
    pub(super) device: String,
    /// Where in that the payload's name of the device begins.
    pub(super) own: usize,
}

impl TopicCaptures {
    pub(in crate::pipeline) fn device(&self) -> &str {
        &self.device
    }

    /// Reads a topic by a pattern. The device is the capture of that name, else all captures
    /// together, else `-`.
    pub(in crate::pipeline) fn read(
        &mut self,
        pattern: &TopicPattern,
        topic: &str,
    ) -> Result<(), Reject> {
        let reject = |problem| Reject::Topic { topic: topic.to_owned(), problem };
        if !matches(pattern, topic) {
            return Err(reject("is not what the stream subscribes to"));
        }
        self.own = 0;
        self.device.clear();
        let mut captures = 0_usize;
        let named = has_device(pattern);
        for (level, got) in pattern.levels.iter().zip(topic.split('/')) {
            let Level::Capture(name) = level else { continue };
            if let Some(problem) = problem_of(got) {
                return Err(reject(problem));
            }
            match self.levels.get_mut(captures) {
                Some(text) => got.clone_into(text),
                None => self.levels.push(got.to_owned()),
            }
            captures = captures.saturating_add(1);
            if named && name != DEVICE {
                continue;
            }
            if !self.device.is_empty() {
                self.device.push('/');
            }
            self.device.push_str(got);
        }
        self.device.clone_into(&mut self.topic);
        if self.device.is_empty() {
            self.device.push('-');
        }
        if self.device.len() > MAX_DEVICE_KEY_BYTES {
            return Err(reject("names a device in more than 128 bytes"));
        }
        Ok(())
    }
}

impl TopicCaptures {
    /// Adds the name of a device that is in the payload.
    pub(in crate::pipeline) fn name(
        &mut self,
        write: impl FnOnce(&mut String),
    ) -> Result<(), Reject> {
        self.topic.clone_into(&mut self.device);
        if !self.device.is_empty() {
            self.device.push('/');
        }
        self.own = self.device.len();
        write(&mut self.device);
        if self.device.len() <= MAX_DEVICE_KEY_BYTES {
            return Ok(());
        }
        Err(Reject::BadDevice {
            field: "the name of the device".to_owned(),
            got: format!("{} bytes long", self.device.len()),
            problem: "with what the topic captures it has at most 128 bytes",
        })
    }
}

fn has_device(pattern: &TopicPattern) -> bool {
    pattern.levels.iter().any(|l| matches!(l, Level::Capture(name) if name == DEVICE))
}

/// Why a captured level cannot be used, in the terms of [`crate::ids::DeviceKey`].
fn problem_of(level: &str) -> Option<&'static str> {
    if level.is_empty() {
        Some(
            "has an empty level where a name belongs; publish to a topic whose every level names \
             something",
        )
    } else if level.len() > MAX_DEVICE_KEY_BYTES {
        Some("has a level of more than 128 bytes where a name belongs")
    } else if level.chars().any(|c| c.is_control() || matches!(c, '+' | '#')) {
        Some("has a control character or a wildcard in a name")
    } else {
        None
    }
}
